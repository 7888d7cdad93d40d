//! What is due about runs that go on: ending those whose time is over or that are silent, and keeping the stores of the
//! others.
//!
//! A check believes nothing of the item that asks for it: the run's document alone says what is to be done.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{
    clock::Timestamp,
    kv::{self, Catalog, Note, RunId, StoreLocator, StoreView},
};

use super::{
    entries::RunIdentity,
    error::{Result, RunsError},
    layout::{Queue, QueueItem, millis},
    registry::Runs,
    run::Run,
    status::{Outcome, RunStatus},
    timeouts::{AGREEMENT, Moment},
};

/// How long whoever runs it has to end a run that is to be aborted.
const ABORT_PATIENCE: Duration = Duration::from_mins(1);

/// Uptime after which a run that has no document yet never will: no request takes so long.
const CREATION_PATIENCE: Duration = Duration::from_hours(1);

/// The pause to the next look where something is overdue that cannot be done yet.
const PAUSE: Duration = Duration::from_secs(1);

/// The longest pause between two looks at a run that goes on.
const LONGEST_PAUSE: Duration = Duration::from_hours(1);

/// The longest pause where the store of a run is not to be seen: a clock that was wrong may bring it back.
const PAUSE_WITHOUT_STORE: Duration = Duration::from_mins(5);

/// What the first item of a run carries, since it is written before the run's document.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Creation {
    #[serde(rename = "run")]
    identity: RunIdentity,
    /// Uptime in milliseconds.
    #[serde(rename = "createdUptimeMillis")]
    made: u64,
}

impl Note for Creation {}

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

/// What is known of the store of a run.
#[derive(Debug, Clone, Copy)]
struct StoreUse {
    at: Timestamp,
    count: u64,
}

impl Runs {
    /// Does what is due about a run, and sees to it that it is looked at again. The item is still to be deleted
    /// ([`Runs::dequeue`]).
    pub async fn attend(&self, item: &QueueItem, catalog: &Catalog) -> Result<Attended> {
        let run = match self.get(&item.id).await {
            Ok(run) => run,
            Err(RunsError::NotFound) => return self.attend_absent(item).await.map(|()| Attended::Absent),
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
        let used = store.as_ref().map(|store| {
            let activity = catalog.activity(store);
            let stats = activity.stats;
            let count = stats.read_count + stats.write_count + stats.delete_count + stats.list_count;
            StoreUse { at: activity.accessed_at, count }
        });
        let run = self.update(&run.id, |run| Ok(self.take_stock(run, used))).await?;
        if run.status.is_terminal() {
            return Ok(Attended::Over(Box::new(run)));
        }
        self.remove_stale_entries(&run).await?;
        if store.is_some() {
            match catalog.renew(run.store).await {
                Ok(()) | Err(kv::Error::StoreNotFound) => {}
                Err(error) => return Err(error.into()),
            }
        }
        // The store's use counts as it was seen just now, so that the next look is as late as it can be.
        let next = self.next_look(&run, store.as_deref());
        if self.enqueue(Queue::Due, next, &run.id, &()).await? == item.key {
            return Err(RunsError::Contended);
        }
        Ok(Attended::GoesOn)
    }

    /// Asks whoever runs it to end a run; it is over before long, also if nobody hears that.
    pub async fn abort(&self, id: &RunId) -> Result<Run> {
        let at = self.now().uptime + ABORT_PATIENCE;
        self.enqueue(Queue::Due, millis(at), id, &()).await?;
        self.update(id, |run| Ok(run.ask_to_abort(self.clock.now()))).await
    }

    /// Sees to it that a run is looked at which is about to be made.
    pub(super) async fn announce(&self, run: &Run, store: &StoreView) -> Result<()> {
        let creation = Creation { identity: RunIdentity::of(run), made: run.uptimes.started };
        let at = self.next_look(run, Some(store));
        self.enqueue(Queue::Due, at, &run.id, &Some(creation)).await.map(drop)
    }

    /// Returns whether a run that was announced may still be made.
    pub(super) fn may_still_be_made(&self, run: &Run) -> bool {
        self.now().uptime.saturating_sub(Duration::from_millis(run.uptimes.started)) < CREATION_PATIENCE / 2
    }

    /// Deletes what a run left that was never made, once it is certain that it will not be.
    async fn attend_absent(&self, item: &QueueItem) -> Result<()> {
        let Some(creation) = self.carried::<Creation>(item).await? else { return Ok(()) };
        let now = self.now().uptime;
        let end = Duration::from_millis(creation.made) + CREATION_PATIENCE;
        if end > now {
            let at = end.min(now + CREATION_PATIENCE);
            return self.enqueue(Queue::Due, millis(at), &item.id, &Some(creation)).await.map(drop);
        }
        self.remove_entries(&creation.identity, RunStatus::ALL).await
    }

    /// Ends a run that is due to end, and notes that its store was used; whether there is anything to write.
    fn take_stock(&self, run: &mut Run, used: Option<StoreUse>) -> bool {
        let now = self.now();
        let is_corrected = run.correct_uptimes(now.uptime);
        let before = run.clone();
        let is_noted = used.is_some_and(|used| note_use(run, used, now.wall));
        run.stamp(&before, now);
        // The time that the guard has checked: no jump of the clock comes between.
        let Some(wall) = self.guard.deletion_time() else { return is_noted || is_corrected };
        let now = Moment { wall, ..now };
        let is_aborted = run.abort_limit(ABORT_PATIENCE).is_some_and(|limit| limit.has_passed(now));
        let is_late = run.time_limit().is_some_and(|limit| limit.has_passed(now));
        let is_silent = run.silence_limit(self.options.silence).has_passed(now);
        let outcome = if is_aborted { Outcome::Aborted } else { Outcome::TimedOut };
        let is_over = (is_aborted || is_late || is_silent) && run.finish(outcome, None, now.wall);
        if is_over && !is_aborted && run.status == RunStatus::TimedOut && run.status_message.is_none() {
            let why = if is_late { "The run took longer than it may." } else { "The run gave no sign of life." };
            run.status_message = Some(why.to_owned());
        }
        is_over || is_noted || is_corrected
    }

    /// Returns the uptime in milliseconds at which something may be due about a run that goes on.
    fn next_look(&self, run: &Run, store: Option<&StoreView>) -> i64 {
        let now = self.now();
        let limits = [run.abort_limit(ABORT_PATIENCE), run.time_limit(), Some(run.silence_limit(self.options.silence))];
        let of_limits = limits.into_iter().flatten().map(|limit| limit.next_check(now));
        let pause = match store {
            None => PAUSE_WITHOUT_STORE,
            // A named store needs no look; the others live three looks long.
            Some(store) if store.document.name.is_some() => LONGEST_PAUSE,
            Some(store) => (store.document.retention.duration() / 3).min(LONGEST_PAUSE),
        };
        let next = of_limits.fold(now.uptime + pause, Duration::min);
        millis(next.max(now.uptime + PAUSE))
    }
}

/// Notes that the store of a run was used; whether there is anything to write. Dates ahead of the wall clock tell nothing, the
/// number of uses does.
fn note_use(run: &mut Run, used: StoreUse, now: Timestamp) -> bool {
    let is_dated = used.at > run.seen_at && used.at <= now;
    let is_counted = run.store_uses.is_some_and(|before| used.count > before);
    let is_first = run.store_uses.is_none();
    if is_first || is_counted {
        run.store_uses = Some(used.count);
    }
    if is_dated || is_counted {
        // A date that is far ahead was written by a clock that was wrong.
        let is_ahead = run.seen_at.since(now) > AGREEMENT;
        let at = if is_dated { used.at } else { now };
        run.seen_at = if is_ahead { at } else { run.seen_at.max(at) };
        run.status = run.status.alive();
    }
    is_dated || is_counted || is_first
}
