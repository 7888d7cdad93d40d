//! The repository of runs in the object store.
//!
//! A run is announced before its document is written: first by an item of the queue of checks, then in the lists,
//! which skip entries without a document. Every change is a compare-and-swap that carries a fresh nonce. So no two
//! writers undo each other's changes, and a writer whose response was lost can read back whether it won.

use std::{sync::Arc, time::Duration};

use crate::{
    clock::{Clock, ClockGuard, Random},
    kv::{DefaultRetention, JsonError, Retention, RunId, StoreView, create_json, read_json, replace_json},
    storage::{self, ETag, ObjectStore},
};

use super::{
    completion::CompletionWatches,
    error::{Result, RunsError},
    layout,
    list_counts::CountedLists,
    run::{NewRun, Run},
    timeouts::{Moment, millis},
};

/// Maximum number of attempts of a change under contention.
const MAX_ATTEMPTS: usize = 16;

/// Maximum interval between recorded heartbeats.
const LONGEST_STEP: Duration = Duration::from_secs(30);

/// Settings of runs.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RunOptions {
    /// Heartbeat timeout, after which a run counts as dead.
    pub silence: Duration,
    /// Minimum retention of finished runs; the default retention of unnamed stores if not set.
    pub retention: Option<Retention>,
    /// Uptime between the two checks that must find a finished run expired.
    pub second_check: Duration,
}

impl Default for RunOptions {
    fn default() -> Self {
        Self { silence: Duration::from_hours(1), retention: None, second_check: Duration::from_hours(1) }
    }
}

/// All runs.
#[derive(Debug)]
pub struct Runs {
    pub(super) objects: Arc<dyn ObjectStore>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) guard: Arc<ClockGuard>,
    pub(super) options: RunOptions,
    pub(super) retention: DefaultRetention,
    pub(super) watches: CompletionWatches,
    pub(super) counted: CountedLists,
    random: Arc<dyn Random>,
}

impl Runs {
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
    pub async fn create(&self, new: NewRun, store: &StoreView) -> Result<Run> {
        let now = self.now();
        let mut run = new.into_run(self.random.as_ref(), now.wall);
        (run.uptimes.started, run.uptimes.seen) = (millis(now.uptime), millis(now.uptime));
        // First: only this makes the remains of a crash findable.
        self.announce(&run, store).await?;
        self.write_entries(&run).await?;
        if !self.may_still_be_made(&run) {
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
                self.follow(&before, is_announced).await;
                return Ok(before);
            }
            run.stamp(&before, self.now());
            run.touch(self.random.as_ref());
            if run.status != before.status {
                self.write_entries(&run).await?;
                is_announced = true;
            }
            if self.replace(&run, etag).await? {
                self.follow(&run, is_announced).await;
                return Ok(run);
            }
        }
        Err(RunsError::Contended)
    }

    /// Records a heartbeat of a run.
    pub async fn beat(&self, id: &RunId) -> Result<Run> {
        let step = self.beat_step();
        self.update(id, |run| Ok(run.seen(self.clock.now(), step))).await
    }

    /// Returns the interval between recorded heartbeats: well within the heartbeat timeout.
    pub fn beat_step(&self) -> Duration {
        (self.options.silence / 4).min(LONGEST_STEP)
    }

    /// Returns the time by both clocks.
    pub(super) fn now(&self) -> Moment {
        Moment { wall: self.clock.now(), uptime: self.guard.uptime() }
    }

    /// Updates lists and waiters to the current state of a run. The next check of the run repeats what fails.
    async fn follow(&self, run: &Run, is_listed_anew: bool) {
        self.watches.publish(run);
        if is_listed_anew && let Err(error) = self.remove_stale_entries(run).await {
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
