//! What is due about runs: ending those whose time is over or that nobody hears of any more, and keeping the stores of the
//! others.
//!
//! An appointment is an object whose key says when and which run; the run's document alone says what is to be done. One too
//! many does no harm, and any number of gateways may keep them at once.

use std::time::Duration;

use crate::{
    clock::Timestamp,
    kv::{self, Catalog, JsonError, RunId, StoreLocator, StoreView, remove_json, write_json},
    storage::{ListOptions, MAX_LIST_KEYS, Precondition},
};

use super::{
    error::{Result, RunsError},
    layout,
    registry::Runs,
    run::Run,
    status::{Outcome, RunStatus},
};

/// How long whoever runs it has to end a run that is to be aborted.
const ABORT_PATIENCE: Duration = Duration::from_mins(1);

/// How long an appointment is kept with a run that has no document yet: after that, it never will.
const PATIENCE: Duration = Duration::from_mins(10);

/// The pause to the next look where something is overdue that cannot be done yet.
const PAUSE: Duration = Duration::from_secs(1);

/// The longest pause between two looks at a run that goes on.
const LONGEST_PAUSE: Duration = Duration::from_hours(6);

/// An appointment that is due.
#[derive(Debug, Clone)]
pub struct DueRun {
    key: String,
    at: Timestamp,
    /// With which run.
    pub id: RunId,
}

/// What a look at a run came to.
#[derive(Debug)]
pub enum Attended {
    /// There is no such run, or not yet.
    Absent,
    /// It goes on, and will be looked at again.
    GoesOn,
    /// It is over: what was made for it can go.
    Over(Box<Run>),
}

impl Runs {
    /// The appointments that are due, the earliest first. One list.
    pub async fn due(&self) -> Result<Vec<DueRun>> {
        let options = ListOptions { prefix: layout::DUE.to_owned(), start_after: None, limit: MAX_LIST_KEYS };
        let page = self.objects.list(options).await.map_err(JsonError::from)?;
        let now = self.clock.now();
        let due = page.objects.into_iter().filter_map(|object| {
            let (at, id) = layout::parse_due(&object.key)?;
            Some(DueRun { key: object.key, at, id })
        });
        Ok(due.take_while(|due| due.at <= now).collect())
    }

    /// Does what is due about a run, and sees to it that somebody looks at it again.
    pub async fn attend(&self, due: &DueRun, catalog: &Catalog) -> Result<Attended> {
        let run = match self.get(&due.id).await {
            Ok(run) => run,
            Err(RunsError::NotFound) => return Ok(Attended::Absent),
            Err(error) => return Err(error),
        };
        if run.status.is_terminal() {
            return Ok(Attended::Over(Box::new(run)));
        }
        let store = match catalog.resolve(&StoreLocator::Id(run.store)).await {
            Ok(store) => Some(store),
            Err(kv::Error::StoreNotFound) => None,
            Err(error) => return Err(error.into()),
        };
        let used_at = store.as_ref().map(|store| catalog.activity(store).accessed_at);
        let run = self.update(&run.id, |run| Ok(self.take_stock(run, used_at))).await?;
        if run.status.is_terminal() {
            return Ok(Attended::Over(Box::new(run)));
        }
        if store.is_some() {
            match catalog.renew(run.store).await {
                Ok(()) | Err(kv::Error::StoreNotFound) => {}
                Err(error) => return Err(error.into()),
            }
        }
        // The store's use counts as it was seen just now, so that the next look is as late as it can be.
        let next = self.appoint(&run, store.as_deref()).await?;
        if next.is_some_and(|at| layout::due(at, &run.id) == due.key) {
            return Err(RunsError::Contended);
        }
        Ok(Attended::GoesOn)
    }

    /// Asks whoever runs it to end a run; it is over before long, also if nobody hears that.
    pub async fn abort(&self, id: &RunId) -> Result<Run> {
        let at = self.clock.now().plus(ABORT_PATIENCE);
        write_json(self.objects.as_ref(), &layout::due(at, id), &(), Precondition::None).await?;
        self.update(id, |run| Ok(run.ask_to_abort(self.clock.now()))).await
    }

    /// Forgets an appointment that was kept; whether it could be forgotten.
    pub async fn forget(&self, due: &DueRun, attended: &Attended) -> Result<bool> {
        let is_early = matches!(attended, Attended::Absent) && self.clock.now().since(due.at) < PATIENCE;
        if !is_early {
            remove_json(self.objects.as_ref(), &due.key).await?;
        }
        Ok(!is_early)
    }

    /// Ends a run that is due to end, and notes that its store was used; whether there is anything to write.
    fn take_stock(&self, run: &mut Run, used_at: Option<Timestamp>) -> bool {
        let now = self.clock.now();
        let is_used = used_at.is_some_and(|at| at > run.seen_at);
        if let Some(at) = used_at.filter(|_| is_used) {
            run.seen_at = at;
            run.status = run.status.alive();
        }
        let is_aborted = run.abort_asked_at.is_some_and(|at| at.plus(ABORT_PATIENCE) <= now);
        let is_late = run.deadline().is_some_and(|at| at <= now);
        let is_silent = run.seen_at.plus(self.options.silence) <= now;
        let outcome = if is_aborted { Outcome::Aborted } else { Outcome::TimedOut };
        let is_over = (is_aborted || is_late || is_silent) && run.finish(outcome, None, now);
        if is_over && !is_aborted && run.status == RunStatus::TimedOut && run.status_message.is_none() {
            let why = if is_late { "The run took longer than it may." } else { "The run gave no sign of life." };
            run.status_message = Some(why.to_owned());
        }
        is_over || is_used
    }

    /// When something may be due about a run; `None` if it is over.
    pub(super) fn next_look(&self, run: &Run, store: Option<&StoreView>) -> Option<Timestamp> {
        if run.status.is_terminal() {
            return None;
        }
        let now = self.clock.now();
        let of_abort = run.abort_asked_at.map(|at| at.plus(ABORT_PATIENCE));
        let of_silence = run.seen_at.plus(self.options.silence);
        // A named store needs nobody; the others live three looks long.
        let store = store.filter(|store| store.document.name.is_none());
        let of_store = store.map(|store| now.plus(store.document.retention.duration() / 3));
        let latest = Some(now.plus(LONGEST_PAUSE));
        let next = [of_abort, run.deadline(), Some(of_silence), of_store, latest].into_iter().flatten().min()?;
        Some(next.max(now.plus(PAUSE)))
    }
}
