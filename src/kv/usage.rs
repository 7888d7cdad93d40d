//! Usage of an owner: the sum of the counted sizes of the owner's stores.
//!
//! Each counted store has an object next to the owner's others, whose key holds its size: a list of 1,000 keys sums
//! 1,000 stores. Of two for one store, the later one counts.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio_util::task::TaskTracker;

use crate::{
    clock::Clock,
    storage::{ListOptions, MAX_DELETE_KEYS, MAX_LIST_KEYS, ObjectStore},
};

use super::{
    document::Contents,
    error::Result,
    id::{StoreId, UserId},
    index::Index,
    layout,
    listed::OwnerIndex,
};

/// Age from which a sum is recomputed.
const STALENESS: Duration = Duration::from_mins(1);

/// Minimum age of an obsolete entry before it is deleted: gateways learn of new stores with a delay.
const PATIENCE: Duration = Duration::from_hours(1);

/// Time for which an unused sum is cached.
const MEMORY: Duration = Duration::from_mins(30);

/// Usage of an owner.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Usage {
    /// Number of stores, named or not.
    pub stores: u64,
    /// Number of records, by the last counts.
    pub records: u64,
    /// Stored bytes of the records, by the last counts.
    pub bytes: u64,
}

/// Usage of all owners.
#[derive(Debug)]
pub struct Usages {
    objects: Arc<dyn ObjectStore>,
    index: Arc<Index>,
    clock: Arc<dyn Clock>,
    owners: Mutex<HashMap<UserId, Arc<OwnerUsage>>>,
    sums: TaskTracker,
}

/// Cached usage of one owner.
#[derive(Debug, Default)]
struct OwnerUsage {
    summing: tokio::sync::Mutex<()>,
    /// The last sum, and the time it was begun by the monotonic clock.
    last: Mutex<Option<(Duration, Usage)>>,
}

impl Usages {
    /// Returns the sums over `objects`.
    pub fn new(objects: Arc<dyn ObjectStore>, index: Arc<Index>, clock: Arc<dyn Clock>) -> Self {
        Self { objects, index, clock, owners: Mutex::default(), sums: TaskTracker::new() }
    }

    /// Returns the last usage of an owner. Only the first caller waits for a sum; a stale one is recomputed in the
    /// background.
    pub async fn of(self: &Arc<Self>, owner: UserId) -> Result<Usage> {
        let known = Arc::clone(lock(&self.owners).entry(owner).or_default());
        let last = *lock(&known.last);
        let Some((began, usage)) = last else {
            let _one_at_a_time = known.summing.lock().await;
            if let Some((_, usage)) = *lock(&known.last) {
                return Ok(usage);
            }
            return self.sum(owner, &known).await;
        };
        if self.clock.monotonic().saturating_sub(began) >= STALENESS && known.summing.try_lock().is_ok() {
            let usages = Arc::clone(self);
            self.sums.spawn(async move {
                let Ok(_one_at_a_time) = known.summing.try_lock() else { return };
                if let Err(error) = usages.sum(owner, &known).await {
                    let error = &error as &dyn std::error::Error;
                    tracing::warn!(%owner, error, "how much an owner has could not be summed, and will be again");
                }
            });
        }
        Ok(usage)
    }

    /// Drops the sums of owners that have been unused for a while.
    pub fn prune(&self) {
        let now = self.clock.monotonic();
        let mut owners = lock(&self.owners);
        owners.retain(|_, known| {
            let is_young = lock(&known.last).is_some_and(|(began, _)| now.saturating_sub(began) < MEMORY);
            is_young || Arc::strong_count(known) > 1
        });
        if owners.capacity() > 4 * owners.len() + 64 {
            owners.shrink_to_fit();
        }
    }

    async fn sum(&self, owner: UserId, known: &OwnerUsage) -> Result<Usage> {
        let (began, now) = (self.clock.monotonic(), self.clock.now());
        let index = self.index.read(owner).await?;
        let stores = index.count() as u64;
        let mut sum = Sum { usage: Usage { stores, ..Usage::default() }, latest: None, void: Vec::new() };
        let (prefix, mut start_after) = (layout::counted(&owner), None);
        loop {
            let options = ListOptions { prefix: prefix.clone(), start_after, limit: MAX_LIST_KEYS };
            let page = self.objects.list(options).await?;
            start_after = page.objects.last().map(|object| object.key.clone()).filter(|_| page.is_truncated);
            for object in page.objects {
                if let Some((id, contents)) = layout::parse_counted_entry(&object.key, &prefix) {
                    sum.add(&index, Some(Entry { key: object.key, id, contents }));
                }
            }
            if start_after.is_none() {
                break;
            }
        }
        sum.add(&index, None);
        *lock(&known.last) = Some((began, sum.usage));
        let is_old = |entry: &Entry| now.since(entry.contents.since) >= PATIENCE;
        let void: Vec<_> = sum.void.into_iter().filter(is_old).map(|entry| entry.key).take(MAX_DELETE_KEYS).collect();
        if !void.is_empty() {
            self.objects.delete_many(void).await?;
        }
        Ok(sum.usage)
    }
}

/// Counted size of a store, as listed.
#[derive(Debug)]
struct Entry {
    key: String,
    id: StoreId,
    contents: Contents,
}

/// A sum in progress.
#[derive(Debug)]
struct Sum {
    usage: Usage,
    /// The last entry; it counts unless the next one is of the same store: entries are listed in order of creation.
    latest: Option<Entry>,
    /// Obsolete entries.
    void: Vec<Entry>,
}

impl Sum {
    /// Advances to the next entry, or to the end.
    fn add(&mut self, index: &OwnerIndex, next: Option<Entry>) {
        let next_id = next.as_ref().map(|entry| entry.id);
        let Some(latest) = std::mem::replace(&mut self.latest, next) else { return };
        if next_id == Some(latest.id) || !index.has(&latest.id) {
            self.void.push(latest);
            return;
        }
        self.usage.records = self.usage.records.saturating_add(latest.contents.records);
        self.usage.bytes = self.usage.bytes.saturating_add(latest.contents.bytes);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
