//! Failing due items of stores, for metrics and alerts.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use crate::clock::Timestamp;

use super::id::StoreId;

/// Maximum number of failing stores that are tracked.
const MAX_REMEMBERED: usize = 10_000;

/// Time for which a failure counts after it last occurred: twice the maximum retry delay, since another gateway may
/// have succeeded.
const MEMORY: Duration = Duration::from_hours(48);

/// Stores whose due items have failed on this gateway.
#[derive(Debug, Default)]
pub struct Failures {
    /// For each store: when the item was first due, and when it failed last.
    failing: Mutex<HashMap<StoreId, (Timestamp, Timestamp)>>,
}

impl Failures {
    /// Returns the number of failing stores.
    pub fn count(&self) -> usize {
        self.lock().len()
    }

    /// Returns the time for which the oldest failing item has been due at `now`; zero if there is none.
    pub fn oldest_age(&self, now: Timestamp) -> Duration {
        self.lock().values().map(|(due, _)| now.since(*due)).max().unwrap_or_default()
    }

    /// Records a failure of an item due at `due`. Returns whether it is the store's first.
    pub(super) fn note(&self, id: StoreId, due: Timestamp, now: Timestamp) -> bool {
        let mut failing = self.lock();
        let known = failing.get(&id).copied();
        if known.is_some() || failing.len() < MAX_REMEMBERED {
            let due = known.map_or(due, |(first, _)| first.min(due));
            failing.insert(id, (due, now));
        }
        known.is_none()
    }

    /// Records that the store's item succeeded.
    pub(super) fn forget(&self, id: Option<StoreId>) {
        if let Some(id) = id {
            self.lock().remove(&id);
        }
    }

    /// Drops failures so old that another gateway must have taken them over.
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
