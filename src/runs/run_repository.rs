//! The repository of runs in the object store.
//!
//! A run is announced before its document is written: first by an item of the queue of checks, then in the lists,
//! which skip entries without a document. Every change is a compare-and-swap that carries a fresh nonce. So no two
//! writers undo each other's changes, and a writer whose response was lost can read back whether it won.
//!
//! Finished runs stay for the retention and as long as their unnamed store. They are then deleted together with their
//! dependants:
//!
//! ```text
//! finished   its tokens are revoked, an item says when its retention ends
//! expired    a first check finds that nothing keeps it; an item for the second check, by uptime, carries its identity
//! deleted    the second check agrees: the document goes, then tokens and entries, and the item last
//! ```
//!
//! The second check is an hour of uptime after the first. So no single clock reading deletes a run, and no request
//! that began while the run could be changed is still writing. A crash at any point leaves an item from which the
//! next check continues.

use std::{collections::HashMap, sync::Arc, time::Duration};

use parking_lot::Mutex;
use tokio::sync::watch;

use crate::{
    clock::{Clock, ClockGuard, Random, Timestamp},
    kv::{
        self, Catalog, DefaultRetention, JsonError, Retention, RunId, StoreLocator, StoreSnapshot, create_json,
        delete_json, read_json, replace_json,
    },
    storage::{self, ETag, ObjectStore},
};

use super::{
    layout::{self, DueItem, Queue, RunIdentity, millis},
    lists::CountedLists,
    run::{NewRun, Run},
    status::{Moment, RunStatus, whole_millis},
};

/// Maximum number of attempts of a change under contention.
const MAX_ATTEMPTS: usize = 16;

/// Maximum interval between recorded heartbeats.
const MAX_HEARTBEAT_STEP: Duration = Duration::from_secs(30);

/// Settings of runs.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RunOptions {
    /// Heartbeat timeout, after which a run counts as dead.
    pub heartbeat_timeout: Duration,
    /// Minimum retention of finished runs; the default retention of unnamed stores if not set.
    pub retention: Option<Retention>,
    /// Uptime between the two checks that must find a finished run expired.
    pub second_check: Duration,
}

impl Default for RunOptions {
    fn default() -> Self {
        Self { heartbeat_timeout: Duration::from_hours(1), retention: None, second_check: Duration::from_hours(1) }
    }
}

/// All runs.
#[derive(Debug)]
pub struct RunRepository {
    pub(super) objects: Arc<dyn ObjectStore>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) guard: Arc<ClockGuard>,
    pub(super) options: RunOptions,
    pub(super) retention: DefaultRetention,
    pub(super) watches: CompletionWatches,
    pub(super) counted: CountedLists,
    random: Arc<dyn Random>,
}

impl RunRepository {
    /// Returns the runs in `objects`. Irreversible time-based operations consult `guard`.
    pub fn new(
        objects: Arc<dyn ObjectStore>,
        clock: Arc<dyn Clock>,
        random: Arc<dyn Random>,
        guard: Arc<ClockGuard>,
        options: RunOptions,
    ) -> Self {
        let retention = DefaultRetention::new(options.retention.unwrap_or(Retention::DEFAULT));
        let (watches, counted) = (CompletionWatches::default(), CountedLists::default());
        Self { objects, clock, guard, options, retention, watches, counted, random }
    }

    /// Returns a fresh id.
    pub fn new_id(&self) -> RunId {
        RunId::generate(self.random.as_ref())
    }

    /// Creates a run with the given store.
    pub async fn create(&self, new: NewRun, store: &StoreSnapshot) -> Result<Run> {
        let now = self.now();
        let mut run = new.into_run(self.random.as_ref(), now.wall);
        (run.uptimes.started, run.uptimes.seen) = (whole_millis(now.uptime), whole_millis(now.uptime));
        // First: only this makes the remains of a crash findable.
        self.schedule_first_check(&run, store).await?;
        self.write_entries(&run).await?;
        if !self.may_still_be_created(&run) {
            return Err(RunsError::Contended);
        }
        // The id is fresh: only a lost response to this very write can conflict.
        match create_json(self.objects.as_ref(), &layout::document(&run.id), &run).await {
            Ok(true) => Ok(run),
            Ok(false) | Err(JsonError::Storage(_)) => self.get(&run.id).await,
            Err(error) => Err(error.into()),
        }
    }

    /// Returns the current state of a run. One read.
    pub async fn get(&self, id: &RunId) -> Result<Run> {
        self.read(id).await.map(|(run, _)| run)
    }

    /// Changes a run by compare-and-swap. `change` edits the current document, and runs again after each conflict. If
    /// it returns false, nothing is written.
    pub async fn update(&self, id: &RunId, mut change: impl FnMut(&mut Run) -> Result<bool>) -> Result<Run> {
        let mut is_announced = false;
        for _ in 0..MAX_ATTEMPTS {
            let (before, etag) = self.read(id).await?;
            let mut run = before.clone();
            if !change(&mut run)? {
                self.publish_change(&before, is_announced).await;
                return Ok(before);
            }
            run.stamp(&before, self.now());
            run.touch(self.random.as_ref());
            if run.status != before.status {
                self.write_entries(&run).await?;
                is_announced = true;
            }
            if self.replace(&run, etag).await? {
                self.publish_change(&run, is_announced).await;
                return Ok(run);
            }
        }
        Err(RunsError::Contended)
    }

    /// Records a heartbeat of a run.
    pub async fn heartbeat(&self, id: &RunId) -> Result<Run> {
        let step = self.heartbeat_step();
        self.update(id, |run| Ok(run.record_heartbeat(self.clock.now(), step))).await
    }

    /// Returns the interval between recorded heartbeats: well within the heartbeat timeout.
    pub fn heartbeat_step(&self) -> Duration {
        (self.options.heartbeat_timeout / 4).min(MAX_HEARTBEAT_STEP)
    }

    /// Returns the time by both clocks.
    pub(super) fn now(&self) -> Moment {
        Moment { wall: self.clock.now(), uptime: self.guard.uptime() }
    }

    /// Updates lists and waiters to the current state of a run. The next check of the run repeats what fails.
    async fn publish_change(&self, run: &Run, is_relisted: bool) {
        self.watches.publish(run);
        if is_relisted && let Err(error) = self.remove_stale_entries(run).await {
            let error = &error as &dyn std::error::Error;
            tracing::warn!(run = %run.id, error, "a run is listed with a former status until it is checked next");
        }
    }

    async fn read(&self, id: &RunId) -> Result<(Run, ETag)> {
        read_json(self.objects.as_ref(), &layout::document(id)).await?.ok_or(RunsError::NotFound)
    }

    /// Replaces the run with that validator. Returns whether the write took effect.
    async fn replace(&self, run: &Run, etag: ETag) -> Result<bool> {
        let key = layout::document(&run.id);
        let written = replace_json(self.objects.as_ref(), &key, run, etag).await;
        let failure = match written {
            Ok(true) => return Ok(true),
            Ok(false) => None,
            Err(JsonError::Storage(error @ (storage::Error::Timeout | storage::Error::Unavailable(_)))) => Some(error),
            Err(error) => return Err(error.into()),
        };
        // The write may have taken effect nevertheless.
        let (now, _) = self.read(&run.id).await?;
        match failure {
            _ if now.nonce == run.nonce => Ok(true),
            // Another writer won, or our write is still in flight and will then fail.
            None => Ok(false),
            Some(_) if now.version >= run.version => Ok(false),
            Some(error) => Err(JsonError::Storage(error).into()),
        }
    }
}

/// The runs with waiters on this gateway.
#[derive(Debug, Default)]
pub struct CompletionWatches(Mutex<HashMap<RunId, Arc<Watch>>>);

/// A run with waiters.
#[derive(Debug)]
pub struct Watch {
    /// The run as last read or written.
    pub latest: watch::Sender<Arc<Run>>,
    /// Time of the last read, by the monotonic clock; locked during a read.
    pub read_at: tokio::sync::Mutex<Duration>,
}

/// A waiter for a run.
#[derive(Debug)]
pub struct Waiter<'a> {
    watches: &'a CompletionWatches,
    /// Id of the run.
    pub id: RunId,
    /// The run.
    pub watch: Arc<Watch>,
}

impl CompletionWatches {
    /// Publishes a run to its waiters.
    pub fn publish(&self, run: &Run) {
        if let Some(watch) = self.0.lock().get(&run.id) {
            watch.show(run);
        }
    }

    /// Returns a waiter for `run`, which was read at `now`, by the monotonic clock.
    pub fn join(&self, run: &Run, now: Duration) -> Waiter<'_> {
        let new = || {
            let latest = watch::Sender::new(Arc::new(run.clone()));
            Arc::new(Watch { latest, read_at: tokio::sync::Mutex::new(now) })
        };
        let watch = Arc::clone(self.0.lock().entry(run.id).or_insert_with(new));
        watch.show(run);
        Waiter { watches: self, id: run.id, watch }
    }
}

impl Watch {
    /// Publishes a run unless a later version is published already.
    pub fn show(&self, run: &Run) {
        self.latest.send_if_modified(|latest| {
            let is_newer = run.version > latest.version;
            if is_newer {
                *latest = Arc::new(run.clone());
            }
            is_newer
        });
    }
}

impl Drop for Waiter<'_> {
    fn drop(&mut self) {
        let mut watches = self.watches.0.lock();
        // This reference and the table's: there is no other waiter.
        if Arc::strong_count(&self.watch) <= 2 {
            watches.remove(&self.id);
        }
    }
}

impl RunRepository {
    /// Returns the minimum retention of finished runs.
    pub fn retention(&self) -> Retention {
        self.retention.get()
    }

    /// Sets the minimum retention of finished runs.
    pub fn set_retention(&self, retention: Retention) {
        self.retention.set(retention);
    }

    /// Returns whether finished runs may be deleted now.
    pub fn allows_deletion(&self) -> bool {
        self.guard.allows_deletion()
    }

    /// Schedules the deletion of a finished run after its retention. Its tokens are already revoked.
    pub async fn retire(&self, run: &Run) -> Result<()> {
        self.remove_stale_entries(run).await?;
        let end = self.retention_end(run);
        self.schedule(Queue::Finished, end.as_millis(), &run.id, &()).await.map(drop)
    }

    /// Makes the first check of a finished run whose retention seems to have ended.
    pub async fn check_retention(&self, item: &DueItem, catalog: &Catalog) -> Result<()> {
        let run = match self.get(&item.id).await {
            Ok(run) => run,
            Err(RunsError::NotFound) => return self.ack(item).await,
            Err(error) => return Err(error),
        };
        if let Some(until) = self.kept_until(&run, catalog).await? {
            return self.keep(&run, until, item).await;
        }
        let at = self.now().uptime + self.options.second_check;
        self.schedule(Queue::Removal, millis(at), &run.id, &Some(RunIdentity::for_run(&run))).await?;
        self.ack(item).await
    }

    /// Makes the second check of a finished run, and deletes its document if both agree. Returns the identity for the
    /// rest of the deletion ([`RunRepository::remove_rest`]), or `None` if the run stays.
    pub async fn remove(&self, item: &DueItem, catalog: &Catalog) -> Result<Option<RunIdentity>> {
        match self.get(&item.id).await {
            Ok(run) => {
                if let Some(until) = self.kept_until(&run, catalog).await? {
                    return self.keep(&run, until, item).await.map(|()| None);
                }
                delete_json(self.objects.as_ref(), &layout::document(&run.id)).await?;
                Ok(Some(RunIdentity::for_run(&run)))
            }
            // An earlier removal got this far.
            Err(RunsError::NotFound) => match self.payload(item).await? {
                Some(identity) => Ok(Some(identity)),
                None => self.ack(item).await.map(|()| None),
            },
            Err(error) => Err(error),
        }
    }

    /// Deletes the entries of a run whose document and tokens are gone, and then the item.
    pub async fn remove_rest(&self, run: &RunIdentity, item: &DueItem) -> Result<()> {
        self.remove_entries(run, RunStatus::ALL).await?;
        self.ack(item).await
    }

    /// Reschedules the deletion of a run whose item came too early.
    async fn keep(&self, run: &Run, until: Timestamp, item: &DueItem) -> Result<()> {
        let key = self.schedule(Queue::Finished, until.as_millis(), &run.id, &()).await?;
        if key == item.key { Ok(()) } else { self.ack(item).await }
    }

    fn retention_end(&self, run: &Run) -> Timestamp {
        run.finished_at.unwrap_or(run.started_at).plus(self.retention().duration())
    }

    /// Returns the time until which a finished run is kept, or `None` if it may be deleted.
    async fn kept_until(&self, run: &Run, catalog: &Catalog) -> Result<Option<Timestamp>> {
        // A clock that has come into doubt meanwhile delays this.
        let Some(now) = self.guard.deletion_time() else { return Err(RunsError::Contended) };
        let end = self.retention_end(run);
        if end > now {
            return Ok(Some(end));
        }
        let store = match catalog.resolve(&StoreLocator::Id(run.store)).await {
            Ok(store) => store,
            Err(kv::Error::StoreNotFound) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let document = &store.document;
        if document.name.is_some() {
            return Ok(None);
        }
        let expires_at = document.expires_at.unwrap_or(now).max(end);
        Ok(Some(if expires_at > now { expires_at } else { now.plus(document.retention.duration() / 10) }))
    }
}

/// Interval between reads of a run with waiters: another gateway may end it.
const POLL_INTERVAL: Duration = Duration::from_secs(1);

impl RunRepository {
    /// Returns `run`, which was just read, once it is over, or its state after `timeout`.
    pub async fn wait_until_finished(&self, run: Run, timeout: Duration) -> Result<Run> {
        if run.status.is_terminal() || timeout.is_zero() {
            return Ok(run);
        }
        let began = self.clock.monotonic();
        let waiter = self.watches.join(&run, began);
        let mut latest = waiter.watch.latest.subscribe();
        loop {
            let run = Arc::clone(&latest.borrow_and_update());
            let now = self.clock.monotonic();
            let left = timeout.saturating_sub(now.saturating_sub(began));
            if run.status.is_terminal() || left.is_zero() {
                return Ok(Arc::unwrap_or_clone(run));
            }
            tokio::select! {
                changed = latest.changed() => { if changed.is_err() { return Ok(Arc::unwrap_or_clone(run)); } }
                () = self.clock.sleep(left.min(POLL_INTERVAL)) => self.poll(&waiter).await?,
            }
        }
    }

    /// Reads a run for all its waiters, unless one of them just has, or is about to.
    async fn poll(&self, waiter: &Waiter<'_>) -> Result<()> {
        let Ok(mut read_at) = waiter.watch.read_at.try_lock() else { return Ok(()) };
        if self.clock.monotonic().saturating_sub(*read_at) < POLL_INTERVAL * 9 / 10 {
            return Ok(());
        }
        let run = self.get(&waiter.id).await?;
        *read_at = self.clock.monotonic();
        waiter.watch.show(&run);
        Ok(())
    }
}

/// The result of an operation on runs.
pub type Result<T, E = RunsError> = std::result::Result<T, E>;

/// A failed operation on runs. Nothing has changed unless the variant says otherwise.
#[derive(Debug, thiserror::Error)]
pub enum RunsError {
    /// The run's document could not be read or written; a change may have taken effect.
    #[error("cannot read or write runs")]
    Document(#[from] JsonError),
    /// An operation on the run's store failed; a change may have taken effect.
    #[error("cannot read or write the store of a run")]
    Store(#[from] kv::Error),
    /// Contention: too many concurrent changes of the run.
    #[error("too many concurrent changes of the same run")]
    Contended,
    /// The run does not exist.
    #[error("the run was not found")]
    NotFound,
    /// The run is over.
    #[error("the run is over")]
    Over,
    /// The run has reached the maximum number of metamorphs.
    #[error("a run can be metamorphed at most {limit} times")]
    TooManyMetamorphs {
        /// That maximum.
        limit: usize,
    },
    /// The run has reached the maximum number of tokens.
    #[error("at most {limit} tokens can be made for a run")]
    TooManyTokens {
        /// That maximum.
        limit: usize,
    },
}
