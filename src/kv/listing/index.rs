//! The listing index: the stores of each owner, in order of creation.
//!
//! Every gateway holds the durable entries ([`index_entries`]) in memory ([`OwnerIndex`]) and reads new ones. The
//! entry of a deleted store stays for an hour: a gateway that has not refreshed for half of that rereads everything.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures_util::{StreamExt, TryStreamExt, stream};
use tokio::{sync::Semaphore, task::spawn_blocking};

use crate::{
    clock::{Clock, ClockGuard, Timestamp},
    kv::{
        model::{
            errors::{Error, Result},
            ids::UserId,
        },
        persist::{
            index_entries,
            object_keys::{self, EntryKind, IndexEntry},
            repository::CommitObserver,
            store_metadata::{Document, Phase},
        },
    },
    storage::{ListOptions, MAX_LIST_KEYS, ObjectStore},
};

use super::owner_index::{ListedStore, OwnerIndex, ReadTime, Revision, StoreList};

/// Overlap of a refresh with the one before: clocks of gateways differ, and an entry is listed only once its write
/// has completed.
const REFRESH_OVERLAP: Duration = Duration::from_mins(5);

/// Age from which everything is reread: half of the time for which entries of deleted stores stay.
const MAX_INCREMENTAL_AGE: Duration = Duration::from_mins(30);

/// Difference between the progress of the wall clock and the monotonic clock since the last refresh that counts as a
/// jump.
const CLOCK_JUMP_THRESHOLD: Duration = Duration::from_mins(1);

/// Number of time ranges that are read concurrently.
const PARALLEL_RANGES: u32 = 8;

/// Maximum number of concurrent searches, each on a thread of its own.
const MAX_CONCURRENT_SEARCHES: usize = 2;

/// Entries of an owner that must be read.
enum Unread {
    /// None: the index is fresh.
    Nothing,
    /// All after a key.
    From(String),
    /// All.
    All,
}

/// The index of every owner.
#[derive(Debug)]
pub struct Index {
    objects: Arc<dyn ObjectStore>,
    clock: Arc<dyn Clock>,
    guard: Arc<ClockGuard>,
    staleness: Option<Duration>,
    /// Reads before this time are invalid.
    invalidated_before: Mutex<Duration>,
    owners: Mutex<HashMap<UserId, Arc<OwnerIndex>>>,
    searches: Semaphore,
}

impl Index {
    /// Returns the index in `objects`; refreshed when older than `staleness`, if set.
    pub fn new(
        objects: Arc<dyn ObjectStore>,
        (clock, guard): (Arc<dyn Clock>, Arc<ClockGuard>),
        staleness: Option<Duration>,
    ) -> Self {
        let (invalidated_before, owners, searches) =
            (Mutex::default(), Mutex::default(), Semaphore::new(MAX_CONCURRENT_SEARCHES));
        Self { objects, clock, guard, staleness, invalidated_before, owners, searches }
    }

    /// Updates the listing of a store from its document, if this gateway has listed its owner's stores.
    pub fn update(&self, document: &Document) {
        let Some(index) = self.owners().get(&document.owner_id).cloned() else { return };
        if let Some(known) = self.listed_store(document) {
            index.lock().update(document.id, known);
        }
    }

    /// Returns the listing state of a store by its document; `None` while it is being created.
    fn listed_store(&self, document: &Document) -> Option<ListedStore> {
        let last = document.index_entries.last().and_then(|name| object_keys::parse_index_entry_name(name));
        let revision =
            Revision { at: last.as_ref().map_or(document.created_at, |last| last.at), version: document.version };
        let (kind, search_text, expires_at) = match document.phase {
            Phase::Creating => return None,
            Phase::Deleted { .. } => (EntryKind::Deleted, None, None),
            _ => index_entries::listing(document)?,
        };
        // Another gateway may have extended the expiry since, but not beyond that of the entry.
        let is_exact = self.staleness.is_none() || document.has_expired(self.clock.now());
        let listed_expiry = last.filter(|_| !is_exact).and_then(|last| last.expires_at);
        let end = expires_at
            .map(|expires_at| listed_expiry.map_or(expires_at, |listed_expiry| listed_expiry.max(expires_at)));
        Some(ListedStore {
            revision,
            created_at: document.created_at,
            kind,
            expires_at: end.unwrap_or(ListedStore::NEVER),
            search_text,
        })
    }

    /// Invalidates everything that was read before `since`.
    pub fn invalidate(&self, since: Duration) {
        let mut before = self.invalidated_before.lock().unwrap_or_else(PoisonError::into_inner);
        *before = since.max(*before);
    }

    /// Returns the stores of an owner, refreshed as far as needed.
    pub async fn read(&self, owner: UserId) -> Result<Arc<OwnerIndex>> {
        let index = self.owner_index(owner);
        let one_at_a_time = index.reading.lock().await;
        let read_time = ReadTime { monotonic: self.clock.monotonic(), wall: self.clock.now() };
        match self.unread(&owner, &index, read_time) {
            Unread::Nothing => {}
            Unread::From(start) => {
                let apply = |entries: Vec<IndexEntry>| {
                    let mut listed = index.lock();
                    for entry in &entries {
                        listed.apply(entry);
                    }
                };
                self.read_entries(owner, Some(start), None, apply).await?;
                index.lock().read = Some(read_time);
            }
            Unread::All => {
                let fresh = self.read_all(owner, read_time.wall).await?;
                let target = Arc::clone(&index);
                let since = read_time.wall.minus(REFRESH_OVERLAP);
                let rebuild = move || {
                    let fresh = fresh.into_sorted();
                    target.lock().replace(fresh, since, read_time);
                };
                spawn_blocking(rebuild).await.map_err(Error::unavailable)?;
            }
        }
        drop(one_at_a_time);
        // While the clock is in doubt, only stores already omitted stay omitted.
        index.expire_until(self.guard.scheduling_time()).await?;
        Ok(index)
    }

    /// Acquires a permit for a search, which runs on a thread of its own.
    pub async fn search_permit(&self) -> Result<tokio::sync::SemaphorePermit<'_>> {
        self.searches.acquire().await.map_err(Error::unavailable)
    }

    /// Drops what is no longer needed: deleted stores after a while, expired ones too if `may_drop_expired`, and owners
    /// without stores.
    pub fn prune(&self, may_drop_expired: bool) {
        let (now, monotonic) = (self.clock.now(), self.clock.monotonic());
        let owners: Vec<_> = self.owners().values().cloned().collect();
        for index in owners {
            index.lock().prune(now, may_drop_expired);
        }
        let mut owners = self.owners();
        // A second reference means a read or list in progress.
        owners.retain(|_, index| {
            let is_used = Arc::strong_count(index) > 1;
            is_used || !index.lock().is_idle(monotonic.saturating_sub(MAX_INCREMENTAL_AGE))
        });
        if owners.capacity() > 4 * owners.len() + 64 {
            owners.shrink_to_fit();
        }
    }

    /// Returns the entries that must be read at the time of `read_time`.
    fn unread(&self, owner: &UserId, index: &OwnerIndex, read_time: ReadTime) -> Unread {
        let invalidated_before = *self.invalidated_before.lock().unwrap_or_else(PoisonError::into_inner);
        let (Some(read), bound) = (index.lock().read, self.staleness) else { return Unread::All };
        let Some(bound) = bound else { return Unread::Nothing };
        let age = read_time.monotonic.saturating_sub(read.monotonic);
        if read.monotonic >= invalidated_before && age < bound {
            return Unread::Nothing;
        }
        let expected = read.wall.plus(age);
        let jump = read_time.wall.since(expected).max(expected.since(read_time.wall));
        if age >= MAX_INCREMENTAL_AGE || jump > CLOCK_JUMP_THRESHOLD {
            return Unread::All;
        }
        Unread::From(object_keys::index_from(owner, read_time.wall.minus(age + REFRESH_OVERLAP)))
    }

    /// Reads all entries of an owner; if there are many, reads several time ranges concurrently.
    async fn read_all(&self, owner: UserId, now: Timestamp) -> Result<StoreList> {
        let listed = Mutex::new(StoreList::default());
        let apply = |entries: Vec<IndexEntry>| {
            let mut listed = listed.lock().unwrap_or_else(PoisonError::into_inner);
            for entry in &entries {
                listed.collect(entry);
            }
        };
        let first = self.read_page(owner, None, None, &apply).await?;
        if let Some((after, at)) = first {
            let part = now.since(at) / PARALLEL_RANGES;
            let start = |number: u32| object_keys::index_from(&owner, at.plus(part * number));
            let parts = (0..PARALLEL_RANGES).map(|number| {
                let from = if number == 0 { after.clone() } else { start(number) };
                (from, (number + 1 < PARALLEL_RANGES).then(|| start(number + 1)))
            });
            let reads = stream::iter(parts.collect::<Vec<_>>());
            let reads = reads.map(|(from, end)| self.read_entries(owner, Some(from), end, &apply));
            reads.buffer_unordered(PARALLEL_RANGES as usize).try_collect::<Vec<()>>().await?;
        }
        Ok(listed.into_inner().unwrap_or_else(PoisonError::into_inner))
    }

    /// Reads the entries between two keys.
    async fn read_entries(
        &self,
        owner: UserId,
        mut after: Option<String>,
        end: Option<String>,
        apply: impl Fn(Vec<IndexEntry>),
    ) -> Result<()> {
        while let Some((last, _)) = self.read_page(owner, after, end.as_deref(), &apply).await? {
            after = Some(last);
        }
        Ok(())
    }

    /// Reads a page of entries. Returns its last key and the time of the last entry, if there may be more.
    async fn read_page(
        &self,
        owner: UserId,
        after: Option<String>,
        end: Option<&str>,
        apply: &impl Fn(Vec<IndexEntry>),
    ) -> Result<Option<(String, Timestamp)>> {
        let prefix = object_keys::index(&owner);
        let options = ListOptions { prefix: prefix.clone(), start_after: after, limit: MAX_LIST_KEYS };
        let page = self.objects.list(options).await?;
        let is_before = |key: &str| end.is_none_or(|end| key < end);
        let keys = page.objects.iter().map(|object| object.key.as_str()).take_while(|key| is_before(key));
        apply(keys.filter_map(|key| object_keys::parse_index_entry(key, &prefix)).collect());
        let last = page.objects.into_iter().next_back().filter(|last| page.is_truncated && is_before(&last.key));
        Ok(last.map(|last| {
            let at = object_keys::parse_index_entry(&last.key, &prefix).map(|entry| entry.at);
            (last.key, at.unwrap_or(Timestamp::from_millis(0)))
        }))
    }

    fn owner_index(&self, owner: UserId) -> Arc<OwnerIndex> {
        Arc::clone(self.owners().entry(owner).or_default())
    }

    fn owners(&self) -> MutexGuard<'_, HashMap<UserId, Arc<OwnerIndex>>> {
        self.owners.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl CommitObserver for Index {
    fn committed(&self, document: &Document) {
        self.update(document);
    }
}
