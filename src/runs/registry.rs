//! All runs, in the object store.
//!
//! A run is announced before its document is written: in the lists, which leave out what has no document, and by an
//! appointment. Every change is a conditional write that carries a fresh nonce, so that no two writers undo each other's work,
//! and so that whoever lost the answer can read back whether he won.

use std::{sync::Arc, time::Duration};

use tokio::sync::Notify;

use crate::{
    clock::{Clock, Random, Timestamp},
    kv::{JsonError, RunId, StoreView, read_json, write_json},
    storage::{self, ETag, ObjectStore, Precondition},
};

use super::{
    actor::ActorKind,
    error::{Result, RunsError},
    layout,
    run::{NewRun, Run},
};

/// How often a change is tried again that others get in the way of.
const MAX_ATTEMPTS: usize = 16;

/// The pause between two looks whether a run is over that is waited for: another gateway may end it.
const POLL: Duration = Duration::from_secs(1);

/// How often a sign of life is written down at most.
const LONGEST_STEP: Duration = Duration::from_secs(30);

/// What can be set of runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RunOptions {
    /// How long a run may be silent before it is taken for dead.
    pub silence: Duration,
}

impl Default for RunOptions {
    fn default() -> Self {
        Self { silence: Duration::from_hours(1) }
    }
}

/// All runs.
#[derive(Debug)]
pub struct Runs {
    pub(super) objects: Arc<dyn ObjectStore>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) options: RunOptions,
    random: Arc<dyn Random>,
    /// Wakes whoever waits for the end of some run, when one has ended here.
    ended: Notify,
}

impl Runs {
    /// The runs in `objects`.
    pub fn new(
        objects: Arc<dyn ObjectStore>,
        clock: Arc<dyn Clock>,
        random: Arc<dyn Random>,
        options: RunOptions,
    ) -> Self {
        Self { objects, clock, options, random, ended: Notify::new() }
    }

    /// A fresh id.
    pub fn new_id(&self) -> RunId {
        RunId::generate(self.random.as_ref())
    }

    /// Makes a run, whose store is `store`.
    pub async fn create(&self, new: NewRun, store: &StoreView) -> Result<Run> {
        let run = new.into_run(self.random.as_ref(), self.clock.now());
        let objects = self.objects.as_ref();
        let end = layout::entry(run.started_at, &run.id);
        let mut entries =
            vec![layout::all_of(&run.owner_id), layout::of_actor(&run.owner_id, ActorKind::Actor, &run.actor)];
        entries.extend(run.task.map(|task| layout::of_actor(&run.owner_id, ActorKind::Task, &task)));
        let entries: Vec<_> = entries.into_iter().map(|folder| folder + &end).collect();
        let entries = entries.iter().map(|key| write_json(objects, key, &(), Precondition::None));
        let (announced, appointed) =
            futures_util::join!(futures_util::future::try_join_all(entries), self.appoint(&run, Some(store)));
        announced?;
        appointed?;
        // The id is fresh: nothing but a lost answer to this very write can be in the way.
        match write_json(objects, &layout::document(&run.id), &run, Precondition::IfAbsent).await {
            Ok(true) => Ok(run),
            Ok(false) | Err(JsonError::Storage(_)) => self.get(&run.id).await,
            Err(error) => Err(error.into()),
        }
    }

    /// A run as it is now. One read.
    pub async fn get(&self, id: &RunId) -> Result<Run> {
        self.read(id).await.map(|(run, _)| run)
    }

    /// A run once it is over, or as it is after `patience`.
    pub async fn finished(&self, id: &RunId, patience: Duration) -> Result<Run> {
        let began = self.clock.monotonic();
        loop {
            let ended = self.ended.notified();
            let run = self.get(id).await?;
            let left = patience.saturating_sub(self.clock.monotonic().saturating_sub(began));
            if run.status.is_terminal() || left.is_zero() {
                return Ok(run);
            }
            tokio::select! {
                () = ended => {}
                () = self.clock.sleep(left.min(POLL)) => {}
            }
        }
    }

    /// Changes a run: `change` is given it as it is now, as often as somebody else changes it in between, and leaves in it what
    /// is to be. When it returns false, nothing is written.
    pub async fn update(&self, id: &RunId, mut change: impl FnMut(&mut Run) -> Result<bool>) -> Result<Run> {
        for _ in 0..MAX_ATTEMPTS {
            let (before, etag) = self.read(id).await?;
            let mut run = before.clone();
            if !change(&mut run)? {
                return Ok(before);
            }
            run.touch(self.random.as_ref());
            if self.replace(&run, etag).await? {
                if run.status.is_terminal() {
                    self.ended.notify_waiters();
                }
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

    /// Sees to it that somebody looks at a run when something may be due about it, if that will ever be.
    pub(super) async fn appoint(&self, run: &Run, store: Option<&StoreView>) -> Result<Option<Timestamp>> {
        let Some(at) = self.next_look(run, store) else { return Ok(None) };
        write_json(self.objects.as_ref(), &layout::due(at, &run.id), &(), Precondition::None).await?;
        Ok(Some(at))
    }

    async fn read(&self, id: &RunId) -> Result<(Run, ETag)> {
        read_json(self.objects.as_ref(), &layout::document(id)).await?.ok_or(RunsError::NotFound)
    }

    /// Writes a run in place of the one with that validator; whether it is there now.
    async fn replace(&self, run: &Run, etag: ETag) -> Result<bool> {
        let key = layout::document(&run.id);
        let written = write_json(self.objects.as_ref(), &key, run, Precondition::IfMatch(etag)).await;
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
