//! Progress of a migration: periodic checkpoints in its journal, and counters for display.

use std::{
    sync::atomic::{AtomicU8, AtomicU64, Ordering::Relaxed},
    time::Duration,
};

use crate::{
    clock::{Clock, Timestamp},
    kv::{JournalError, MigrationJournal, MigrationState, MigrationStep},
    storage::ObjectStore,
};

/// Number of objects between checkpoints.
const INTERVAL_OBJECTS: u64 = 256;

/// Interval between checkpoints.
const INTERVAL: Duration = Duration::from_secs(2);

/// The journal during sequential work on objects.
#[derive(Debug)]
pub(super) struct Checkpoints<'a> {
    journal: &'a mut MigrationJournal,
    objects: &'a dyn ObjectStore,
    clock: &'a dyn Clock,
    progress: &'a MigrationProgress,
    unsaved: u64,
    saved_at: Duration,
}

impl<'a> Checkpoints<'a> {
    /// Continues with `journal`, which is in `objects`.
    pub(super) fn new(
        journal: &'a mut MigrationJournal,
        objects: &'a dyn ObjectStore,
        clock: &'a dyn Clock,
        progress: &'a MigrationProgress,
    ) -> Self {
        let saved_at = clock.monotonic();
        Self { journal, objects, clock, progress, unsaved: 0, saved_at }
    }

    /// Returns the last key of the finished part.
    pub(super) fn after(&self) -> Option<&str> {
        self.journal.state.after.as_deref()
    }

    /// Returns the latest change of the source when the migration began.
    pub(super) fn latest(&self) -> Timestamp {
        self.journal.state.latest
    }

    /// Records that everything up to `key`, an object of that many bytes, is done.
    pub(super) async fn done(&mut self, key: String, bytes: u64) -> Result<(), JournalError> {
        let state = &mut self.journal.state;
        state.after = Some(key);
        state.objects += 1;
        state.bytes += bytes;
        self.progress.add(bytes);
        self.unsaved += 1;
        let now = self.clock.monotonic();
        if self.unsaved < INTERVAL_OBJECTS && now.saturating_sub(self.saved_at) < INTERVAL {
            return Ok(());
        }
        self.save().await
    }

    /// Records that the step is done and `next` begins.
    pub(super) async fn begin_step(&mut self, next: MigrationStep) -> Result<(), JournalError> {
        let state = &mut self.journal.state;
        (state.step, state.after, state.objects, state.bytes) = (next, None, 0, 0);
        self.save().await
    }

    /// Records that the copies are invalid; the next attempt deletes them and starts over.
    pub(super) async fn discard_copies(&mut self) -> Result<(), JournalError> {
        self.journal.state.source.clear();
        self.save().await
    }

    async fn save(&mut self) -> Result<(), JournalError> {
        self.journal.save(self.objects).await?;
        (self.unsaved, self.saved_at) = (0, self.clock.monotonic());
        Ok(())
    }
}

/// Phase of a migration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MigrationPhase {
    /// Opens both sides.
    Opening,
    /// Waits to see whether a gateway still serves from the source.
    Waiting,
    /// Counts the objects of the source.
    Counting,
    /// Deletes the copies of an earlier attempt.
    Clearing,
    /// Copies objects.
    Copying,
    /// Compares the copies with the source.
    Verifying,
}

const PHASES: [MigrationPhase; 6] = [
    MigrationPhase::Opening,
    MigrationPhase::Waiting,
    MigrationPhase::Counting,
    MigrationPhase::Clearing,
    MigrationPhase::Copying,
    MigrationPhase::Verifying,
];

/// Progress of a migration, shared with its observers.
#[derive(Debug, Default)]
pub struct MigrationProgress {
    phase: AtomicU8,
    objects: AtomicU64,
    bytes: AtomicU64,
    total_objects: AtomicU64,
    total_bytes: AtomicU64,
}

/// Progress at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProgressSnapshot {
    /// The phase.
    pub phase: MigrationPhase,
    /// Number of objects done.
    pub objects: u64,
    /// Bytes in them.
    pub bytes: u64,
    /// Number of all objects; zero until they are counted.
    pub total_objects: u64,
    /// Bytes in them.
    pub total_bytes: u64,
}

impl MigrationProgress {
    /// Returns the current progress.
    pub fn snapshot(&self) -> ProgressSnapshot {
        ProgressSnapshot {
            phase: PHASES.get(usize::from(self.phase.load(Relaxed))).copied().unwrap_or(MigrationPhase::Opening),
            objects: self.objects.load(Relaxed),
            bytes: self.bytes.load(Relaxed),
            total_objects: self.total_objects.load(Relaxed),
            total_bytes: self.total_bytes.load(Relaxed),
        }
    }

    /// Begins a phase, with zero progress.
    pub(super) fn begin(&self, phase: MigrationPhase) {
        let index = PHASES.iter().position(|known| *known == phase).unwrap_or_default();
        self.objects.store(0, Relaxed);
        self.bytes.store(0, Relaxed);
        self.phase.store(u8::try_from(index).unwrap_or_default(), Relaxed);
    }

    /// Resumes a phase at the progress of a journal.
    pub(super) fn resume(&self, phase: MigrationPhase, state: &MigrationState) {
        self.begin(phase);
        self.objects.store(state.objects, Relaxed);
        self.bytes.store(state.bytes, Relaxed);
        self.total_objects.store(state.total_objects, Relaxed);
        self.total_bytes.store(state.total_bytes, Relaxed);
    }

    /// Counts a finished object.
    pub(super) fn add(&self, bytes: u64) {
        self.objects.fetch_add(1, Relaxed);
        self.bytes.fetch_add(bytes, Relaxed);
    }
}
