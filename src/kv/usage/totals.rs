//! Usage of an owner and of the installation: sums of the counted sizes of stores.
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
    kv::{
        listing::{index::Index, owner_index::OwnerIndex},
        model::{
            errors::Result,
            ids::{StoreId, UserId},
        },
        persist::{object_keys, store_metadata::Contents},
    },
    storage::{ListOptions, ListedObject, MAX_DELETE_KEYS, MAX_LIST_KEYS, ObjectStore},
};

/// Age from which a sum is recomputed.
const REFRESH_AGE: Duration = Duration::from_mins(1);

/// Minimum age of an obsolete entry before it is deleted: gateways discover new stores with a delay.
const MIN_OBSOLETE_AGE: Duration = Duration::from_hours(1);

/// Time for which an unused sum is cached.
const UNUSED_TTL: Duration = Duration::from_mins(30);

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
pub struct OwnerTotals {
    objects: Arc<dyn ObjectStore>,
    index: Arc<Index>,
    clock: Arc<dyn Clock>,
    owners: Mutex<HashMap<UserId, Arc<OwnerTotal>>>,
    sums: TaskTracker,
}

/// Cached usage of one owner.
#[derive(Debug, Default)]
struct OwnerTotal {
    summing: tokio::sync::Mutex<()>,
    /// The last sum, and the time it was begun by the monotonic clock.
    last: Mutex<Option<(Duration, Usage)>>,
}

impl OwnerTotals {
    /// Returns the sums over `objects`.
    pub fn new(objects: Arc<dyn ObjectStore>, index: Arc<Index>, clock: Arc<dyn Clock>) -> Self {
        Self { objects, index, clock, owners: Mutex::default(), sums: TaskTracker::new() }
    }

    /// Returns the last usage of an owner. Only the first caller waits for a sum; a stale one is recomputed in the
    /// background.
    pub async fn get(self: &Arc<Self>, owner: UserId) -> Result<Usage> {
        let known = Arc::clone(lock(&self.owners).entry(owner).or_default());
        let last = *lock(&known.last);
        let Some((began, usage)) = last else {
            let _one_at_a_time = known.summing.lock().await;
            if let Some((_, usage)) = *lock(&known.last) {
                return Ok(usage);
            }
            return self.sum(owner, &known).await;
        };
        if self.clock.monotonic().saturating_sub(began) >= REFRESH_AGE && known.summing.try_lock().is_ok() {
            let totals = Arc::clone(self);
            self.sums.spawn(async move {
                let Ok(_one_at_a_time) = known.summing.try_lock() else { return };
                if let Err(error) = totals.sum(owner, &known).await {
                    let error = &error as &dyn std::error::Error;
                    tracing::warn!(%owner, error, "cannot compute the usage of an owner; retrying on the next request");
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
            let is_recent = lock(&known.last).is_some_and(|(began, _)| now.saturating_sub(began) < UNUSED_TTL);
            is_recent || Arc::strong_count(known) > 1
        });
        if owners.capacity() > 4 * owners.len() + 64 {
            owners.shrink_to_fit();
        }
    }

    async fn sum(&self, owner: UserId, known: &OwnerTotal) -> Result<Usage> {
        let (began, now) = (self.clock.monotonic(), self.clock.now());
        let index = self.index.read(owner).await?;
        let stores = index.count() as u64;
        let mut sum = RunningTotal { usage: Usage { stores, ..Usage::default() }, latest: None, obsolete: Vec::new() };
        let (prefix, mut start_after) = (object_keys::usage_entries(&owner), None);
        loop {
            let options = ListOptions { prefix: prefix.clone(), start_after, limit: MAX_LIST_KEYS };
            let page = self.objects.list(options).await?;
            start_after = page.objects.last().map(|object| object.key.clone()).filter(|_| page.is_truncated);
            for object in page.objects {
                if let Some((id, contents)) = object_keys::parse_usage_entry(&object.key, &prefix) {
                    sum.add(&index, Some(Entry { key: object.key, id, contents }));
                }
            }
            if start_after.is_none() {
                break;
            }
        }
        sum.add(&index, None);
        *lock(&known.last) = Some((began, sum.usage));
        let is_settled = |entry: &Entry| now.since(entry.contents.unchanged_since) >= MIN_OBSOLETE_AGE;
        let obsolete: Vec<_> =
            sum.obsolete.into_iter().filter(is_settled).map(|entry| entry.key).take(MAX_DELETE_KEYS).collect();
        if !obsolete.is_empty() {
            self.objects.delete_many(obsolete).await?;
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
struct RunningTotal {
    usage: Usage,
    /// The last entry; it counts unless the next one is of the same store: entries are listed in order of creation.
    latest: Option<Entry>,
    /// Obsolete entries.
    obsolete: Vec<Entry>,
}

impl RunningTotal {
    /// Advances to the next entry, or to the end.
    fn add(&mut self, index: &OwnerIndex, next: Option<Entry>) {
        let next_id = next.as_ref().map(|entry| entry.id);
        let Some(latest) = std::mem::replace(&mut self.latest, next) else { return };
        if next_id == Some(latest.id) || !index.has(&latest.id) {
            self.obsolete.push(latest);
            return;
        }
        self.usage.records = self.usage.records.saturating_add(latest.contents.records);
        self.usage.bytes = self.usage.bytes.saturating_add(latest.contents.bytes);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The totals of an installation. Two lists sum a thousand stores, and one page of a list is in memory at a time.
///
/// A deleted store counts until it is purged, an hour later.
#[derive(Debug)]
pub struct Totals {
    objects: Arc<dyn ObjectStore>,
    latest: Mutex<Option<Usage>>,
}

impl Totals {
    /// Returns totals over `objects`, not computed yet.
    pub fn new(objects: Arc<dyn ObjectStore>) -> Self {
        Self { objects, latest: Mutex::default() }
    }

    /// Returns the last totals, if any.
    pub fn latest(&self) -> Option<Usage> {
        *self.latest.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Recomputes the totals.
    pub async fn run(&self) -> Result<()> {
        let (mut total, mut last) = (Usage::default(), None);
        let is_document = |object: &ListedObject| object_keys::parse_document(&object.key).is_some();
        self.list(object_keys::documents(), |page| {
            total.stores += page.iter().filter(|object| is_document(object)).count() as u64;
        })
        .await?;
        let mut add = |counted: Option<(StoreId, Contents)>| {
            // Of two entries for one store, which are adjacent in the list, the later one counts.
            let next_id = counted.as_ref().map(|(id, _)| *id);
            if let Some((_, contents)) = std::mem::replace(&mut last, counted).filter(|(id, _)| Some(*id) != next_id) {
                total.records = total.records.saturating_add(contents.records);
                total.bytes = total.bytes.saturating_add(contents.bytes);
            }
        };
        self.list(object_keys::all_usage_entries(), |page| {
            for object in page {
                if let Some(counted) = parse_any_usage_entry(&object.key) {
                    add(Some(counted));
                }
            }
        })
        .await?;
        add(None);
        *self.latest.lock().unwrap_or_else(PoisonError::into_inner) = Some(total);
        Ok(())
    }

    async fn list(&self, prefix: String, mut visit_page: impl FnMut(&[ListedObject])) -> Result<()> {
        let mut start_after = None;
        loop {
            let options = ListOptions { prefix: prefix.clone(), start_after, limit: MAX_LIST_KEYS };
            let page = self.objects.list(options).await?;
            visit_page(&page.objects);
            start_after = page.objects.into_iter().next_back().map(|object| object.key).filter(|_| page.is_truncated);
            if start_after.is_none() {
                return Ok(());
            }
        }
    }
}

/// Parses a size entry of any owner; `None` if it is none.
fn parse_any_usage_entry(key: &str) -> Option<(StoreId, Contents)> {
    let owner = key.strip_prefix(&object_keys::all_usage_entries())?.split('/').next()?;
    object_keys::parse_usage_entry(key, &object_keys::usage_entries(&owner.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        clock::{Clock, ManualClock, SeededRandom, Timestamp},
        kv::model::ids::UserId,
        storage::{ByteStream, PutOptions, in_memory::InMemoryStore},
    };

    #[tokio::test]
    async fn the_later_of_two_counts_of_a_store_is_in_the_sum_and_each_store_once() {
        let random = SeededRandom::new(1);
        let clock: Arc<dyn Clock> = Arc::new(ManualClock::new(Timestamp::from_millis(1_767_225_600_000)));
        let objects = Arc::new(InMemoryStore::new(clock.clone()));
        let (owners, now) = ([UserId::generate(&random), UserId::generate(&random)], clock.now());
        let counts: [(usize, &[(u64, u64)]); 3] = [(0, &[(5, 500), (3, 300)]), (0, &[(7, 70)]), (1, &[(1, u64::MAX)])];
        let mut keys = vec!["larder/store-usage/strange".to_owned(), "larder/stores/strange".to_owned()];
        for (owner, entries) in counts {
            let id = StoreId::generate(&random);
            keys.push(object_keys::document(&id));
            for (minutes, (records, bytes)) in (0..).zip(entries) {
                let since = now.plus(std::time::Duration::from_mins(minutes));
                let contents = Contents { records: *records, bytes: *bytes, counted_at: since, unchanged_since: since };
                keys.push(object_keys::usage_entry(&owners[owner], &id, &contents));
            }
        }
        for key in keys {
            objects.put(&key, ByteStream::from(bytes::Bytes::new()), PutOptions::default()).await.expect("a write");
        }
        let totals = Totals::new(objects);
        assert_eq!(totals.latest(), None);
        totals.run().await.expect("a sum");
        assert_eq!(totals.latest(), Some(Usage { stores: 3, records: 11, bytes: u64::MAX }));
    }
}
