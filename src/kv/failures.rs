//! What is due about stores and fails, for metrics and alerts.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use crate::clock::Timestamp;

use super::id::StoreId;

/// The most failing stores that are remembered.
const MAX_REMEMBERED: usize = 10_000;

/// Time after the last failure of a store in which it still counts: twice the longest delay of a retry, since another gateway may have succeeded.
const MEMORY: Duration = Duration::from_hours(48);

/// Stores about which something is due that has failed on this gateway.
#[derive(Debug, Default)]
pub struct Failures {
    /// When it was due first, and when it failed last.
    failing: Mutex<HashMap<StoreId, (Timestamp, Timestamp)>>,
}

impl Failures {
    /// Returns how many stores fail.
    pub fn count(&self) -> usize {
        self.lock().len()
    }

    /// Returns how long at `now` the oldest failing item has been due; zero without one.
    pub fn oldest_age(&self, now: Timestamp) -> Duration {
        self.lock().values().map(|(due, _)| now.since(*due)).max().unwrap_or_default()
    }

    /// Notes a failure of what was due at `due`. Returns whether it is the first of this store.
    pub(super) fn note(&self, id: StoreId, due: Timestamp, now: Timestamp) -> bool {
        let mut failing = self.lock();
        let known = failing.get(&id).copied();
        if known.is_some() || failing.len() < MAX_REMEMBERED {
            let due = known.map_or(due, |(first, _)| first.min(due));
            failing.insert(id, (due, now));
        }
        known.is_none()
    }

    /// Notes that what was due about a store is done.
    pub(super) fn forget(&self, id: Option<StoreId>) {
        if let Some(id) = id {
            self.lock().remove(&id);
        }
    }

    /// Forgets failures so old that another gateway must have taken them over.
    pub(super) fn note_run(&self, now: Timestamp) {
        let mut failing = self.lock();
        failing.retain(|_, (_, failed)| now.since(*failed) < MEMORY);
        if failing.is_empty() {
            failing.shrink_to_fit();
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<StoreId, (Timestamp, Timestamp)>> {
        self.failing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
