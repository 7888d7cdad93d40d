//! Supervision of active runs: ends those that have timed out or stopped sending heartbeats, and keeps the stores of
//! the others.
//!
//! A check does not trust the item that triggers it: the run's document alone says what is to be done.
//!
//! An item of a queue is an object whose key holds a time and a run. It is written before the change it is for, and
//! deleted after the work. A superfluous item is harmless, and any number of gateways may process a queue
//! concurrently.

use std::time::Duration;

use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::{
    clock::Timestamp,
    kv::{
        self, Catalog, JsonError, RunId, StoreLocator, StoreSnapshot, UnconditionalWrite, delete_json,
        put_unconditionally, read_json,
    },
    storage::{self, ListOptions, MAX_LIST_KEYS, Precondition},
};

use super::{
    layout::{Queue, QueueItem, RunIdentity, millis},
    registry::{Result, Runs, RunsError},
    run::Run,
    status::{AGREEMENT, Moment, Outcome, RunStatus},
};

/// Time that the runner of an aborted run has to end it.
const ABORT_PATIENCE: Duration = Duration::from_mins(1);

/// Uptime after which a run without a document is never created: no request takes so long.
const CREATION_PATIENCE: Duration = Duration::from_hours(1);

/// Pause before the next check if something overdue cannot be done yet.
const PAUSE: Duration = Duration::from_secs(1);

/// Maximum pause between two checks of an active run.
const LONGEST_PAUSE: Duration = Duration::from_hours(1);

/// Maximum pause if the store of a run is not visible: a clock that was wrong may bring it back.
const PAUSE_WITHOUT_STORE: Duration = Duration::from_mins(5);

/// Content of a run's first item, which is written before the run's document.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Creation {
    #[serde(rename = "run")]
    identity: RunIdentity,
    /// Uptime in milliseconds.
    #[serde(rename = "createdUptimeMillis")]
    made: u64,
}

impl UnconditionalWrite for Creation {}

/// Result of a check of a run.
#[derive(Debug)]
pub enum Attended {
    /// The run does not exist, or not yet.
    Absent,
    /// The run is active, and another check is scheduled.
    GoesOn,
    /// The run is over: what was created for it can be deleted.
    Over(Box<Run>),
}

/// Known use of a run's store.
#[derive(Debug, Clone, Copy)]
struct StoreUse {
    at: Timestamp,
    count: u64,
}

impl Runs {
    /// Checks a run and schedules the next check. The caller deletes the item ([`Runs::dequeue`]).
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
            match catalog.extend_expiry(run.store).await {
                Ok(()) | Err(kv::Error::StoreNotFound) => {}
                Err(error) => return Err(error.into()),
            }
        }
        // The store's use counts as of now, so the next check is as late as possible.
        let next = self.next_look(&run, store.as_deref());
        if self.enqueue(Queue::Due, next, &run.id, &()).await? == item.key {
            return Err(RunsError::Contended);
        }
        Ok(Attended::GoesOn)
    }

    /// Requests the abort of a run. The run ends soon even if its runner does not respond.
    pub async fn abort(&self, id: &RunId) -> Result<Run> {
        let at = self.now().uptime + ABORT_PATIENCE;
        self.enqueue(Queue::Due, millis(at), id, &()).await?;
        self.update(id, |run| Ok(run.ask_to_abort(self.clock.now()))).await
    }

    /// Schedules a check of a run that is about to be created.
    pub(super) async fn announce(&self, run: &Run, store: &StoreSnapshot) -> Result<()> {
        let creation = Creation { identity: RunIdentity::of(run), made: run.uptimes.started };
        let at = self.next_look(run, Some(store));
        self.enqueue(Queue::Due, at, &run.id, &Some(creation)).await.map(drop)
    }

    /// Returns whether an announced run may still be created.
    pub(super) fn may_still_be_made(&self, run: &Run) -> bool {
        self.now().uptime.saturating_sub(Duration::from_millis(run.uptimes.started)) < CREATION_PATIENCE / 2
    }

    /// Deletes remains of a run that was never created, once it is certain that it will not be.
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

    /// Ends a run that is due to end, and records use of its store. Returns whether there is anything to write.
    fn take_stock(&self, run: &mut Run, used: Option<StoreUse>) -> bool {
        let now = self.now();
        let is_corrected = run.correct_uptimes(now.uptime);
        let before = run.clone();
        let is_noted = used.is_some_and(|used| note_use(run, used, now.wall));
        run.stamp(&before, now);
        // The time checked by the guard: no clock jump can come in between.
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

    /// Returns the uptime in milliseconds at which an active run needs the next check.
    fn next_look(&self, run: &Run, store: Option<&StoreSnapshot>) -> i64 {
        let now = self.now();
        let limits = [run.abort_limit(ABORT_PATIENCE), run.time_limit(), Some(run.silence_limit(self.options.silence))];
        let of_limits = limits.into_iter().flatten().map(|limit| limit.next_check(now));
        let pause = match store {
            None => PAUSE_WITHOUT_STORE,
            // A named store needs no check; the others live for three intervals.
            Some(store) if store.document.name.is_some() => LONGEST_PAUSE,
            Some(store) => (store.document.retention.duration() / 3).min(LONGEST_PAUSE),
        };
        let next = of_limits.fold(now.uptime + pause, Duration::min);
        millis(next.max(now.uptime + PAUSE))
    }
}

/// Records use of a run's store. Returns whether there is anything to write. Dates ahead of the wall clock are
/// ignored; the number of uses counts.
fn note_use(run: &mut Run, used: StoreUse, now: Timestamp) -> bool {
    let is_dated = used.at > run.seen_at && used.at <= now;
    let is_counted = run.store_uses.is_some_and(|before| used.count > before);
    let is_first = run.store_uses.is_none();
    if is_first || is_counted {
        run.store_uses = Some(used.count);
    }
    if is_dated || is_counted {
        // A date far ahead was written by a clock that was wrong.
        let is_ahead = run.seen_at.since(now) > AGREEMENT;
        let at = if is_dated { used.at } else { now };
        run.seen_at = if is_ahead { at } else { run.seen_at.max(at) };
        run.status = run.status.alive();
    }
    is_dated || is_counted || is_first
}

/// Delay before a failed item is retried.
const POSTPONED_BY: Duration = Duration::from_mins(10);

/// Maximum distance from now of an item in a queue by uptime.
const LONGEST_AHEAD: Duration = Duration::from_hours(24);

impl Queue {
    /// Returns the time in milliseconds by the clock of this queue.
    fn clock(self, now: Moment) -> i64 {
        match self {
            Self::Due | Self::Removal => millis(now.uptime),
            Self::Finished => now.wall.as_millis(),
        }
    }
}

impl Runs {
    /// Returns the time by both clocks for queues: a wall clock in doubt advances nothing.
    fn scheduled(&self) -> Moment {
        Moment { wall: self.guard.scheduling_time(), uptime: self.guard.uptime() }
    }

    /// Returns at most [`MAX_LIST_KEYS`] due items of `queue`, earliest first. One list.
    pub async fn due(&self, queue: Queue) -> Result<Vec<QueueItem>> {
        let options = ListOptions { prefix: queue.prefix().to_owned(), start_after: None, limit: MAX_LIST_KEYS };
        let page = self.objects.list(options).await.map_err(JsonError::from)?;
        let now = queue.clock(self.scheduled());
        // An item beyond the maximum distance was written before the uptime was lost.
        let ahead = if queue == Queue::Finished { i64::MAX } else { now.saturating_add(millis(LONGEST_AHEAD)) };
        let items = page.objects.into_iter().filter_map(|object| queue.parse(&object.key));
        Ok(items.filter(|item| item.at <= now || item.at > ahead).collect())
    }

    /// Adds an item to `queue`, due at `at` milliseconds by its clock. Returns its key.
    pub(super) async fn enqueue<T: UnconditionalWrite>(
        &self,
        queue: Queue,
        at: i64,
        id: &RunId,
        body: &T,
    ) -> Result<String> {
        let key = queue.key(at, id);
        put_unconditionally(self.objects.as_ref(), &key, body).await?;
        Ok(key)
    }

    /// Reads the content of an item; `None` if it is empty or gone.
    pub(super) async fn carried<T: DeserializeOwned>(&self, item: &QueueItem) -> Result<Option<T>> {
        Ok(read_json::<Option<T>>(self.objects.as_ref(), &item.key).await?.and_then(|(carried, _)| carried))
    }

    /// Deletes a handled item.
    pub async fn dequeue(&self, item: &QueueItem) -> Result<()> {
        Ok(delete_json(self.objects.as_ref(), &item.key).await?)
    }

    /// Moves a failed item, with its content, behind the others.
    pub async fn postpone(&self, queue: Queue, item: &QueueItem) -> Result<()> {
        let key = queue.key(queue.clock(self.scheduled()).saturating_add(millis(POSTPONED_BY)), &item.id);
        match self.objects.copy(&item.key, &key, Precondition::None).await {
            Ok(_) => self.dequeue(item).await,
            Err(storage::Error::NotFound) => Ok(()),
            Err(error) => Err(JsonError::from(error).into()),
        }
    }
}
