//! Sizes of stores, and their sums for an owner and for the installation. Nothing here enforces a quota.
//!
//! Sizes are counted in the background, never in a request. After a change, a store is counted by listing its records;
//! the result holds for some moment during that list. It is written to the store document, and to the key of an object
//! next to those of the owner's other stores.
//!
//! So a list of 1,000 such keys sums 1,000 stores. Of two for one store, the later one counts. After a count a store rests
//! for an interval, and for at least fifty times the duration of its count. `api` compares the sums with the owner's
//! quota, so a quota may be exceeded until the next count.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use futures_util::{StreamExt, stream};
use moka::sync::Cache;
use parking_lot::{Mutex, MutexGuard};
use tokio_util::task::TaskTracker;

use crate::{
    clock::Clock,
    storage::{ListOptions, ListedObject, MAX_DELETE_KEYS, MAX_LIST_KEYS, ObjectStore, Precondition},
};

use super::{
    listing::{index::Index, owner_index::OwnerIndex},
    model::{
        errors::{Error, Result},
        ids::{StoreId, UserId},
    },
    persist::{
        object_keys,
        repository::{StoreRepository, put_metadata},
        store_metadata::{Contents, Document, StoreSnapshot},
    },
};

/// Maximum number of stores counted concurrently.
const MAX_CONCURRENT_COUNTS: usize = 4;

/// Rest after counting a store, as a multiple of the time it took, so counting is a small part of the backend's load.
const REST_FACTOR: u32 = 50;

/// Maximum number of stores whose rest is cached; an evicted one is counted again early.
const MAX_RESTING: u64 = 100_000;

/// Counter of the contents of stores.
#[derive(Debug)]
pub struct Recounter {
    objects: Arc<dyn ObjectStore>,
    repository: Arc<StoreRepository>,
    clock: Arc<dyn Clock>,
    interval: Duration,
    /// Stores that have changed since they were counted.
    dirty: Mutex<HashSet<StoreId>>,
    /// Time until which a store rests, by the monotonic clock.
    resting: Cache<StoreId, Duration>,
}

impl Recounter {
    /// Returns a counter with no known changes. It counts a store at most once per `interval`.
    pub fn new(
        objects: Arc<dyn ObjectStore>,
        repository: Arc<StoreRepository>,
        clock: Arc<dyn Clock>,
        interval: Duration,
    ) -> Self {
        let (dirty, resting) = (Mutex::default(), Cache::new(MAX_RESTING));
        Self { objects, repository, clock, interval, dirty, resting }
    }

    /// Queues a store for counting if it has changed since its last count.
    pub fn mark_dirty(&self, document: &Document) {
        if needs_recount(document) {
            self.dirty.lock().insert(document.id);
        }
    }

    /// Counts the stores that have changed and rested. Returns their number. The next run retries failures; the first
    /// one is returned.
    pub async fn run(&self) -> Result<usize> {
        let now = self.clock.monotonic();
        let has_rested = |id: &&StoreId| self.resting.get(*id).is_none_or(|until| until <= now);
        let ready: Vec<StoreId> = self.dirty.lock().iter().filter(has_rested).copied().collect();
        let stores = ready.len();
        let counted: Vec<Result<()>> =
            stream::iter(ready).map(|id| self.count(id)).buffer_unordered(MAX_CONCURRENT_COUNTS).collect().await;
        let mut dirty = self.dirty.lock();
        let capacity = 2 * dirty.len();
        dirty.shrink_to(capacity);
        drop(dirty);
        counted.into_iter().collect::<Result<()>>().map(|()| stores)
    }

    async fn count(&self, id: StoreId) -> Result<()> {
        let began = self.clock.monotonic();
        let counted = match self.repository.read(id).await? {
            // Another gateway may have counted it meanwhile.
            Some(snapshot) if needs_recount(&snapshot.document) => self.count_store(&snapshot).await,
            Some(_) | None => Ok(true),
        };
        let ended = self.clock.monotonic();
        let rest = self.interval.max(ended.saturating_sub(began).saturating_mul(REST_FACTOR));
        self.resting.insert(id, ended.saturating_add(rest));
        match counted {
            Ok(false) => Ok(()),
            Ok(true) | Err(Error::StoreNotFound) => {
                self.dirty.lock().remove(&id);
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    /// Counts a store. Returns whether the count is valid, i.e. the store has not been relocated meanwhile.
    async fn count_store(&self, snapshot: &StoreSnapshot) -> Result<bool> {
        let Document { id, owner_id, location, contents: before, .. } = &snapshot.document;
        let counted_at = self.clock.now();
        let (records, bytes) = self.sum(snapshot).await?;
        let is_same = |known: &Contents| known.records == records && known.bytes == bytes;
        let since = before.filter(is_same).map_or(counted_at, |known| known.unchanged_since);
        let contents = Contents { records, bytes, counted_at, unchanged_since: since };
        let entry = object_keys::usage_entry(owner_id, id, &contents);
        if since == counted_at {
            put_metadata(self.objects.as_ref(), &entry, Vec::new(), Precondition::None).await?;
        }
        let mut is_written = false;
        let record = |document: &mut Document| {
            is_written = document.exists() && document.location == *location;
            if is_written {
                document.contents = Some(contents);
            }
            Ok(is_written)
        };
        self.repository.update(*id, record).await?;
        let superseded = match before {
            Some(known) if is_written && known.unchanged_since != since => Some(*known),
            Some(_) | None if is_written || since != counted_at => None,
            Some(_) | None => Some(contents),
        };
        if let Some(known) = superseded {
            self.objects.delete(&object_keys::usage_entry(owner_id, id, &known), Precondition::None).await?;
        }
        Ok(is_written)
    }

    /// Returns the number of records of a store and their stored bytes.
    async fn sum(&self, snapshot: &StoreSnapshot) -> Result<(u64, u64)> {
        let prefix = object_keys::records(&snapshot.document.id, &snapshot.document.location);
        let (mut records, mut bytes, mut start_after) = (0, 0, None);
        loop {
            let options = ListOptions { prefix: prefix.clone(), start_after, limit: MAX_LIST_KEYS };
            let page = self.objects.list(options).await?;
            for object in page.objects.iter().filter(|object| object_keys::record_key(&object.key, &prefix).is_some()) {
                records += 1;
                bytes += object.size;
            }
            start_after = page.objects.into_iter().next_back().map(|object| object.key);
            if !page.is_truncated || start_after.is_none() {
                return Ok((records, bytes));
            }
        }
    }
}

/// Returns whether a store may have changed since its last count: a change during the count may not be included.
fn needs_recount(document: &Document) -> bool {
    document.exists() && document.contents.is_none_or(|contents| contents.counted_at <= document.modified_at)
}

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
    mutex.lock()
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
        *self.latest.lock()
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
        *self.latest.lock() = Some(total);
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
    use crate::{
        clock::{Clock, ManualClock, SeededRandom, Timestamp},
        kv::model::ids::UserId,
        storage::{ByteStream, PutOptions, in_memory::InMemoryStore},
    };

    use super::*;

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
