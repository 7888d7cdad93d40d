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
    layout::{DueItem, Queue, RunIdentity, millis},
    run::Run,
    run_repository::{Result, RunRepository, RunsError},
    status::{CLOCK_TOLERANCE, Moment, Outcome, RunStatus},
};

/// Time that the runner of an aborted run has to end it.
const ABORT_TIMEOUT: Duration = Duration::from_mins(1);

/// Uptime after which a run without a document is never created: no request takes so long.
const CREATION_TIMEOUT: Duration = Duration::from_hours(1);

/// Pause before the next check if something overdue cannot be done yet.
const MIN_CHECK_INTERVAL: Duration = Duration::from_secs(1);

/// Maximum pause between two checks of an active run.
const MAX_CHECK_INTERVAL: Duration = Duration::from_hours(1);

/// Maximum pause if the store of a run is not visible: a clock that was wrong may bring it back.
const CHECK_INTERVAL_WITHOUT_STORE: Duration = Duration::from_mins(5);

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
pub enum RunCheck {
    /// The run does not exist, or not yet.
    Absent,
    /// The run is active, and another check is scheduled.
    Active,
    /// The run is over: what was created for it can be deleted.
    Finished(Box<Run>),
}

/// Known use of a run's store.
#[derive(Debug, Clone, Copy)]
struct StoreUse {
    at: Timestamp,
    count: u64,
}

impl RunRepository {
    /// Checks a run and schedules the next check. The caller deletes the item ([`RunRepository::ack`]).
    pub async fn check_run(&self, item: &DueItem, catalog: &Catalog) -> Result<RunCheck> {
        let run = match self.get(&item.id).await {
            Ok(run) => run,
            Err(RunsError::NotFound) => return self.check_absent(item).await.map(|()| RunCheck::Absent),
            Err(error) => return Err(error),
        };
        if run.status.is_terminal() {
            return Ok(RunCheck::Finished(Box::new(run)));
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
        let run = self.update(&run.id, |run| Ok(self.apply_timeouts(run, used))).await?;
        if run.status.is_terminal() {
            return Ok(RunCheck::Finished(Box::new(run)));
        }
        self.remove_stale_entries(&run).await?;
        if store.is_some() {
            match catalog.extend_expiry(run.store).await {
                Ok(()) | Err(kv::Error::StoreNotFound) => {}
                Err(error) => return Err(error.into()),
            }
        }
        // The store's use counts as of now, so the next check is as late as possible.
        let next = self.next_check_at(&run, store.as_deref());
        if self.schedule(Queue::Due, next, &run.id, &()).await? == item.key {
            return Err(RunsError::Contended);
        }
        Ok(RunCheck::Active)
    }

    /// Requests the abort of a run. The run ends soon even if its runner does not respond.
    pub async fn abort(&self, id: &RunId) -> Result<Run> {
        let at = self.now().uptime + ABORT_TIMEOUT;
        self.schedule(Queue::Due, millis(at), id, &()).await?;
        self.update(id, |run| Ok(run.request_abort(self.clock.now()))).await
    }

    /// Schedules a check of a run that is about to be created.
    pub(super) async fn schedule_first_check(&self, run: &Run, store: &StoreSnapshot) -> Result<()> {
        let creation = Creation { identity: RunIdentity::for_run(run), made: run.uptimes.started };
        let at = self.next_check_at(run, Some(store));
        self.schedule(Queue::Due, at, &run.id, &Some(creation)).await.map(drop)
    }

    /// Returns whether an announced run may still be created.
    pub(super) fn may_still_be_created(&self, run: &Run) -> bool {
        self.now().uptime.saturating_sub(Duration::from_millis(run.uptimes.started)) < CREATION_TIMEOUT / 2
    }

    /// Deletes remains of a run that was never created, once it is certain that it will not be.
    async fn check_absent(&self, item: &DueItem) -> Result<()> {
        let Some(creation) = self.payload::<Creation>(item).await? else { return Ok(()) };
        let now = self.now().uptime;
        let end = Duration::from_millis(creation.made) + CREATION_TIMEOUT;
        if end > now {
            let at = end.min(now + CREATION_TIMEOUT);
            return self.schedule(Queue::Due, millis(at), &item.id, &Some(creation)).await.map(drop);
        }
        self.remove_entries(&creation.identity, RunStatus::ALL).await
    }

    /// Ends a run that is due to end, and records use of its store. Returns whether there is anything to write.
    fn apply_timeouts(&self, run: &mut Run, used: Option<StoreUse>) -> bool {
        let now = self.now();
        let is_corrected = run.correct_uptimes(now.uptime);
        let before = run.clone();
        let is_recorded = used.is_some_and(|used| record_use(run, used, now.wall));
        run.stamp(&before, now);
        // The time checked by the guard: no clock jump can come in between.
        let Some(wall) = self.guard.deletion_time() else { return is_recorded || is_corrected };
        let now = Moment { wall, ..now };
        let is_aborted = run.abort_limit(ABORT_TIMEOUT).is_some_and(|limit| limit.has_passed(now));
        let is_late = run.time_limit().is_some_and(|limit| limit.has_passed(now));
        let is_silent = run.heartbeat_limit(self.options.heartbeat_timeout).has_passed(now);
        let outcome = if is_aborted { Outcome::Aborted } else { Outcome::TimedOut };
        let is_over = (is_aborted || is_late || is_silent) && run.finish(outcome, None, now.wall);
        if is_over && !is_aborted && run.status == RunStatus::TimedOut && run.status_message.is_none() {
            let why = if is_late { "The run took longer than it may." } else { "The run gave no sign of life." };
            run.status_message = Some(why.to_owned());
        }
        is_over || is_recorded || is_corrected
    }

    /// Returns the uptime in milliseconds at which an active run needs the next check.
    fn next_check_at(&self, run: &Run, store: Option<&StoreSnapshot>) -> i64 {
        let now = self.now();
        let limits = [
            run.abort_limit(ABORT_TIMEOUT),
            run.time_limit(),
            Some(run.heartbeat_limit(self.options.heartbeat_timeout)),
        ];
        let of_limits = limits.into_iter().flatten().map(|limit| limit.next_check(now));
        let pause = match store {
            None => CHECK_INTERVAL_WITHOUT_STORE,
            // A named store needs no check; the others live for three intervals.
            Some(store) if store.document.name.is_some() => MAX_CHECK_INTERVAL,
            Some(store) => (store.document.retention.duration() / 3).min(MAX_CHECK_INTERVAL),
        };
        let next = of_limits.fold(now.uptime + pause, Duration::min);
        millis(next.max(now.uptime + MIN_CHECK_INTERVAL))
    }
}

/// Records use of a run's store. Returns whether there is anything to write. Dates ahead of the wall clock are
/// ignored; the number of uses counts.
fn record_use(run: &mut Run, used: StoreUse, now: Timestamp) -> bool {
    let is_dated = used.at > run.seen_at && used.at <= now;
    let is_counted = run.store_uses.is_some_and(|before| used.count > before);
    let is_first = run.store_uses.is_none();
    if is_first || is_counted {
        run.store_uses = Some(used.count);
    }
    if is_dated || is_counted {
        // A date far ahead was written by a clock that was wrong.
        let is_ahead = run.seen_at.since(now) > CLOCK_TOLERANCE;
        let at = if is_dated { used.at } else { now };
        run.seen_at = if is_ahead { at } else { run.seen_at.max(at) };
        run.status = run.status.after_heartbeat();
    }
    is_dated || is_counted || is_first
}

/// Delay before a failed item is retried.
const RETRY_DELAY: Duration = Duration::from_mins(10);

/// Maximum distance from now of an item in a queue by uptime.
const MAX_DUE_AHEAD: Duration = Duration::from_hours(24);

impl Queue {
    /// Returns the time in milliseconds by the clock of this queue.
    fn clock(self, now: Moment) -> i64 {
        match self {
            Self::Due | Self::Removal => millis(now.uptime),
            Self::Finished => now.wall.as_millis(),
        }
    }
}

impl RunRepository {
    /// Returns the time by both clocks for queues: a wall clock in doubt advances nothing.
    fn scheduled(&self) -> Moment {
        Moment { wall: self.guard.scheduling_time(), uptime: self.guard.uptime() }
    }

    /// Returns at most [`MAX_LIST_KEYS`] due items of `queue`, earliest first. One list.
    pub async fn due(&self, queue: Queue) -> Result<Vec<DueItem>> {
        let options = ListOptions { prefix: queue.prefix().to_owned(), start_after: None, limit: MAX_LIST_KEYS };
        let page = self.objects.list(options).await.map_err(JsonError::from)?;
        let now = queue.clock(self.scheduled());
        // An item beyond the maximum distance was written before the uptime was lost.
        let ahead = if queue == Queue::Finished { i64::MAX } else { now.saturating_add(millis(MAX_DUE_AHEAD)) };
        let items = page.objects.into_iter().filter_map(|object| queue.parse(&object.key));
        Ok(items.filter(|item| item.at <= now || item.at > ahead).collect())
    }

    /// Adds an item to `queue`, due at `at` milliseconds by its clock. Returns its key.
    pub(super) async fn schedule<T: UnconditionalWrite>(
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
    pub(super) async fn payload<T: DeserializeOwned>(&self, item: &DueItem) -> Result<Option<T>> {
        Ok(read_json::<Option<T>>(self.objects.as_ref(), &item.key).await?.and_then(|(payload, _)| payload))
    }

    /// Deletes a handled item.
    pub async fn ack(&self, item: &DueItem) -> Result<()> {
        Ok(delete_json(self.objects.as_ref(), &item.key).await?)
    }

    /// Moves a failed item, with its content, behind the others.
    pub async fn postpone(&self, queue: Queue, item: &DueItem) -> Result<()> {
        let key = queue.key(queue.clock(self.scheduled()).saturating_add(millis(RETRY_DELAY)), &item.id);
        match self.objects.copy(&item.key, &key, Precondition::None).await {
            Ok(_) => self.ack(item).await,
            Err(storage::Error::NotFound) => Ok(()),
            Err(error) => Err(JsonError::from(error).into()),
        }
    }
}
