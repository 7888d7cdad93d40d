//! The listing index: the stores of each owner, in order of creation; and the lists of stores read from it.
//!
//! Every gateway holds the durable entries ([`repository`]) in memory ([`OwnerIndex`]) and reads new ones. The entry
//! of a deleted store stays for an hour: a gateway that has not refreshed for half of that rereads everything.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use futures_util::{StreamExt, TryStreamExt, stream};
use parking_lot::Mutex;
use tokio::{sync::Semaphore, task::spawn_blocking};

use crate::{
    clock::{Clock, ClockGuard, Timestamp},
    kv::{
        model::{
            errors::{Error, Result},
            ids::{StoreId, UserId},
            names::SearchText,
        },
        persist::{
            object_keys::{self, EntryKind, IndexEntry},
            repository::{self, CommitObserver, StoreRepository},
            store_metadata::{Document, Phase, StoreSnapshot},
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
        let Some(index) = self.owners.lock().get(&document.owner_id).cloned() else { return };
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
            _ => repository::index_listing(document)?,
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
        let mut before = self.invalidated_before.lock();
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
        let owners: Vec<_> = self.owners.lock().values().cloned().collect();
        for index in owners {
            index.lock().prune(now, may_drop_expired);
        }
        let mut owners = self.owners.lock();
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
        let invalidated_before = *self.invalidated_before.lock();
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
            let mut listed = listed.lock();
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
        Ok(listed.into_inner())
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
        Arc::clone(self.owners.lock().entry(owner).or_default())
    }
}

impl CommitObserver for Index {
    fn committed(&self, document: &Document) {
        self.update(document);
    }
}

/// Maximum number of documents that are read concurrently for a page.
const MAX_CONCURRENT_READS: usize = 32;

/// Maximum number of stores read as replacements for stores of a page that turn out to be gone.
const MAX_REPLACEMENTS: usize = 64;

/// A query for stores of one owner.
#[derive(Debug, Clone, Default)]
pub struct StoreQuery {
    /// Includes unnamed stores.
    pub unnamed: bool,
    /// Newest first.
    pub descending: bool,
    /// Number of stores to skip.
    pub offset: usize,
    /// Maximum number of stores, from 1 to 1,000.
    pub limit: usize,
    /// Text that the name or title must contain, in any letter case, or that the id must begin with.
    pub search: Option<String>,
}

impl StoreQuery {
    /// Returns whether a store matches, regardless of the page.
    pub fn matches(&self, store: &StoreSnapshot) -> bool {
        (self.unnamed || store.document.name.is_some())
            && self.search.as_deref().is_none_or(|search| matches(store, search))
    }
}

/// A page of stores, in order of creation.
#[derive(Debug, Clone, Default)]
pub struct StorePage {
    /// Number of all stores that match.
    pub total: usize,
    /// The stores of this page.
    pub stores: Vec<Arc<StoreSnapshot>>,
}

/// Returns a page of an owner's stores: no call if the cache has them, else a read for each store that it lacks.
/// Reads only the stores of the page, and a few replacements for those that the index did not know to be gone.
pub async fn list(index: &Index, repository: &StoreRepository, owner: UserId, query: &StoreQuery) -> Result<StorePage> {
    let stores = index.read(owner).await?;
    let request = ListRequest { index, stores, repository, query };
    match query.search.as_deref().filter(|search| !search.is_empty()) {
        None => request.page().await,
        Some(search) => request.search(search).await,
    }
}

/// A list in progress.
struct ListRequest<'a> {
    index: &'a Index,
    stores: Arc<OwnerIndex>,
    repository: &'a StoreRepository,
    query: &'a StoreQuery,
}

impl ListRequest<'_> {
    async fn page(&self) -> Result<StorePage> {
        let StoreQuery { unnamed, descending, offset, limit, .. } = *self.query;
        let mut read = HashMap::new();
        loop {
            let (ids, total) = self.stores.page(!unnamed, descending, offset, limit);
            if let Some(stores) = self.read_page(&ids, &mut read).await? {
                return Ok(StorePage { total, stores });
            }
        }
    }

    /// Finds stores by the index. Reads the documents of stores whose search text is too long for the index.
    async fn search(&self, search: &str) -> Result<StorePage> {
        let (search, query) = (search.to_lowercase(), self.query);
        let permit = self.index.search_permit().await?;
        let unknown = self.stores.select(!query.unnamed, false, |_, search_text| search_text.is_none()).await?;
        let mut read = HashMap::new();
        self.read(&unknown, &mut read).await?;
        let found: HashSet<StoreId> = read.into_iter().filter_map(|(id, store)| store.map(|_| id)).collect();
        let is_wanted = move |id: &StoreId, search_text: Option<&SearchText>| {
            let is_called_so =
                search_text.map_or_else(|| found.contains(id), |search_text| search_text.contains(&search));
            is_called_so || has_id(id, &search)
        };
        let mut ids = self.stores.select(!query.unnamed, query.descending, is_wanted).await?;
        drop(permit);
        let mut read = HashMap::new();
        loop {
            let end = query.offset.saturating_add(query.limit).min(ids.len());
            let page = &ids[query.offset.min(end)..end];
            if let Some(stores) = self.read_page(page, &mut read).await? {
                return Ok(StorePage { total: ids.len(), stores });
            }
            ids.retain(|id| read.get(id).is_none_or(Option::is_some));
        }
    }

    /// Returns the stores of a page; `None` if documents show that some do not belong there, so the page must be
    /// taken again.
    async fn read_page(
        &self,
        ids: &[StoreId],
        read: &mut HashMap<StoreId, Option<Arc<StoreSnapshot>>>,
    ) -> Result<Option<Vec<Arc<StoreSnapshot>>>> {
        let unread: Vec<_> = ids.iter().filter(|id| !read.contains_key(*id)).copied().collect();
        self.read(&unread, read).await?;
        let stores: Vec<_> = ids.iter().filter_map(|id| read.get(id).cloned().flatten()).collect();
        let is_enough =
            stores.len() == ids.len() || unread.is_empty() || read.len() >= self.query.limit + MAX_REPLACEMENTS;
        Ok(is_enough.then_some(stores))
    }

    /// Reads the stores of `ids`. A store that does not belong in the list is `None`, and the index is updated.
    async fn read(&self, ids: &[StoreId], read: &mut HashMap<StoreId, Option<Arc<StoreSnapshot>>>) -> Result<()> {
        let one = async |id: StoreId| -> Result<_> {
            let store = self.read_visible(id).await?;
            Ok((id, store.filter(|store| self.query.matches(store))))
        };
        let mut reads = stream::iter(ids.to_vec()).map(one).buffer_unordered(MAX_CONCURRENT_READS);
        while let Some((id, store)) = reads.try_next().await? {
            read.insert(id, store);
        }
        Ok(())
    }

    /// Returns a store if requests may see it, and updates the index.
    async fn read_visible(&self, id: StoreId) -> Result<Option<Arc<StoreSnapshot>>> {
        let store = self.repository.find_visible(id).await?;
        match &store {
            Some(snapshot) => self.index.update(&snapshot.document),
            None => match self.repository.cached(&id) {
                // Expired, by a clock that may turn out to be wrong.
                Some(snapshot) if snapshot.document.exists() => self.index.update(&snapshot.document),
                Some(_) | None => self.stores.drop_entry(&id),
            },
        }
        Ok(store)
    }
}

fn matches(store: &StoreSnapshot, search: &str) -> bool {
    let search = search.to_lowercase();
    let contains = |text: &str| text.to_lowercase().contains(&search);
    let document = &store.document;
    document.name.as_ref().is_some_and(|name| contains(name.as_str()))
        || document.title.as_deref().is_some_and(contains)
        || has_id(&document.id, &search)
}

/// Returns whether an id begins with this text, in lower case.
fn has_id(id: &StoreId, search: &str) -> bool {
    id.as_str().get(..search.len()).is_some_and(|start| start.eq_ignore_ascii_case(search))
}
