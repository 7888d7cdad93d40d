//! Periodic checkpoints of a migration.

use std::time::Duration;

use crate::{
    clock::{Clock, Timestamp},
    kv::{JournalError, MigrationJournal, MigrationStep},
    storage::ObjectStore,
};

use super::progress::MigrationProgress;

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
    pub(super) async fn turn_to(&mut self, next: MigrationStep) -> Result<(), JournalError> {
        let state = &mut self.journal.state;
        (state.step, state.after, state.objects, state.bytes) = (next, None, 0, 0);
        self.save().await
    }

    /// Records that the copies are invalid; the next attempt deletes them and starts over.
    pub(super) async fn give_up(&mut self) -> Result<(), JournalError> {
        self.journal.state.source.clear();
        self.save().await
    }

    async fn save(&mut self) -> Result<(), JournalError> {
        self.journal.save(self.objects).await?;
        (self.unsaved, self.saved_at) = (0, self.clock.monotonic());
        Ok(())
    }
}
