//! Progress of a migration, for display.

use std::sync::atomic::{AtomicU8, AtomicU64, Ordering::Relaxed};

use crate::kv::MigrationState;

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
