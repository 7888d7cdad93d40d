//! All runs, in the object store.
//!
//! A run is announced before its document is written: by an item of the queue of runs to be checked, and then in the lists, which leave
//! out what has no document. Every change is a conditional write that carries a fresh nonce, so that no two writers undo each other's work,
//! and so that whoever lost the answer can read back whether he won.

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

/// How often a change is tried again that others get in the way of.
const MAX_ATTEMPTS: usize = 16;

/// How often a sign of life is written down at most.
const LONGEST_STEP: Duration = Duration::from_secs(30);

/// What can be set of runs.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RunOptions {
    /// How long a run may be silent before it is taken for dead.
    pub silence: Duration,
    /// For how long finished runs stay at least; the default retention of unnamed stores if it is not set.
    pub retention: Option<Retention>,
    /// Uptime between the two checks that find a finished run expired.
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
    /// The runs in `objects`. What is irreversible and follows from the time asks `guard`.
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

    /// A fresh id.
    pub fn new_id(&self) -> RunId {
        RunId::generate(self.random.as_ref())
    }

    /// Makes a run, whose store is `store`.
    pub async fn create(&self, new: NewRun, store: &StoreView) -> Result<Run> {
        let now = self.now();
        let mut run = new.into_run(self.random.as_ref(), now.wall);
        (run.uptimes.started, run.uptimes.seen) = (millis(now.uptime), millis(now.uptime));
        // First: what a crash leaves is found by this alone.
        self.announce(&run, store).await?;
        self.write_entries(&run).await?;
        if !self.may_still_be_made(&run) {
            return Err(RunsError::Contended);
        }
        // The id is fresh: nothing but a lost answer to this very write can be in the way.
        match create_json(self.objects.as_ref(), &layout::document(&run.id), &run).await {
            Ok(true) => Ok(run),
            Ok(false) | Err(JsonError::Storage(_)) => self.get(&run.id).await,
            Err(error) => Err(error.into()),
        }
    }

    /// A run as it is now. One read.
    pub async fn get(&self, id: &RunId) -> Result<Run> {
        self.read(id).await.map(|(run, _)| run)
    }

    /// Changes a run: `change` is given it as it is now, as often as somebody else changes it in between, and leaves in it what
    /// is to be. When it returns false, nothing is written.
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

    /// Notes a sign of life of a run.
    pub async fn beat(&self, id: &RunId) -> Result<Run> {
        let step = self.beat_step();
        self.update(id, |run| Ok(run.seen(self.clock.now(), step))).await
    }

    /// How often signs of life are written down: well within the silence that is allowed.
    pub fn beat_step(&self) -> Duration {
        (self.options.silence / 4).min(LONGEST_STEP)
    }

    /// Returns the time by both clocks.
    pub(super) fn now(&self) -> Moment {
        Moment { wall: self.clock.now(), uptime: self.guard.uptime() }
    }

    /// Has lists and waiters follow a run as it is now. What fails is done by the next check of the run.
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

    /// Writes a run in place of the one with that validator; whether it is there now.
    async fn replace(&self, run: &Run, etag: ETag) -> Result<bool> {
        let key = layout::document(&run.id);
        let written = replace_json(self.objects.as_ref(), &key, run, etag).await;
        let failure = match written {
            Ok(true) => return Ok(true),
            Ok(false) => None,
            Err(JsonError::Storage(error @ (storage::Error::Timeout | storage::Error::Unavailable(_)))) => Some(error),
            Err(error) => return Err(error.into()),
        };
        // It may have happened all the same.
        let (now, _) = self.read(&run.id).await?;
        match failure {
            _ if now.nonce == run.nonce => Ok(true),
            // Somebody else's write came first, or ours has yet to come and then fails.
            None => Ok(false),
            Some(_) if now.version >= run.version => Ok(false),
            Some(error) => Err(JsonError::Storage(error).into()),
        }
    }
}
