//! Reads and writes store documents.
//!
//! Every write is a compare-and-swap on the document it replaces, and carries a fresh nonce. So no two writers undo
//! each other's changes, and a writer whose response was lost can read back whether it won.
//!
//! # Listing index
//!
//! A durable entry of the listing index is one object with all data in its key; the last entry of a store counts. The
//! store document names its entries before they are written ([`append_index_entry`]), so they are deleted together with
//! it. The reconciler visits a store after a change and rewrites its last entry ([`publish_index_entry`]). So no crash
//! orphans an entry, or leaves a store without one. The entry of an unnamed store holds a time at which it has surely
//! expired; a later expiry is recorded before the earlier one is reached. So lists omit expired stores without reading
//! documents.
//!
//! # Safety toggles
//!
//! Each measure against losses has a switch ([`SafetyToggles`]). All are on in production. A simulation can turn them
//! off one at a time, to show what each prevents: without it, records are lost.

use std::{fmt::Debug, sync::Arc, time::Duration};

use bytes::Bytes;

use crate::{
    clock::{Clock, ClockGuard, Random, Timestamp},
    kv::model::{
        errors::{Error, Result},
        ids::{StoreId, UserId},
        names::SearchText,
        retention::Retention,
    },
    storage::{self, Attributes, ByteStream, ETag, GetOptions, ObjectStore, Precondition, PutOptions, PutOutcome},
};

use super::{
    cache::{CacheEntry, StoreCache},
    object_keys::{self, EntryKind, IndexEntry},
    store_metadata::{DOCUMENT_FORMAT, Document, Phase, StoreSnapshot},
};

/// Measures against losses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of its own")]
pub struct SafetyToggles {
    /// A change that took longer than the staleness bound is acknowledged only after a fresh read.
    pub confirms_late_changes: bool,
    /// A freeze waits for gateways that do not know it yet.
    pub waits_when_frozen: bool,
    /// A switch to a new location waits for gateways that do not know it yet.
    pub waits_when_cutting_over: bool,
    /// Each attempt of a relocation copies into a generation of its own.
    pub fresh_generations: bool,
    /// A snapshot's age counts from when its read was sent, not from its response.
    pub ages_from_sending: bool,
    /// Only a write ends a freeze.
    pub freezes_until_written: bool,
    /// An old location stays as long as a request may take.
    pub delays_removal: bool,
    /// A change of an unnamed store is acknowledged only when its expiry is late enough.
    pub extends_before_acknowledging: bool,
    /// A store is treated as expired only after a fresh read.
    pub rereads_before_expiry: bool,
    /// A store is swept when its document says that it has expired, not at an earlier estimate.
    pub sweeps_by_document: bool,
    /// An expired store is deleted only when it is found expired again, an hour of uptime later.
    pub confirms_expiry: bool,
}

impl SafetyToggles {
    /// All on, as required in production.
    pub const ALL: Self = Self {
        confirms_late_changes: true,
        waits_when_frozen: true,
        waits_when_cutting_over: true,
        fresh_generations: true,
        ages_from_sending: true,
        freezes_until_written: true,
        delays_removal: true,
        extends_before_acknowledging: true,
        rereads_before_expiry: true,
        sweeps_by_document: true,
        confirms_expiry: true,
    };
}

impl Default for SafetyToggles {
    fn default() -> Self {
        Self::ALL
    }
}

/// Maximum size of a document in bytes; the schema in it is bounded well below that.
const MAX_DOCUMENT_BYTES: u64 = 2 * 1024 * 1024;

/// Maximum number of attempts of a change under contention.
const MAX_UPDATE_ATTEMPTS: usize = 32;

/// Maximum number of listing index entries of a store.
const MAX_INDEX_ENTRIES: usize = 3;

/// Receiver of the documents that this gateway has written.
pub trait CommitObserver: Debug + Send + Sync {
    /// Observes a document whose write is committed.
    fn committed(&self, document: &Document);
}

/// The documents of all stores, and their cache.
#[derive(Debug)]
pub struct StoreRepository {
    objects: Arc<dyn ObjectStore>,
    clock: Arc<dyn Clock>,
    guard: Arc<ClockGuard>,
    random: Arc<dyn Random>,
    cache: StoreCache,
    observer: Arc<dyn CommitObserver>,
    rereads_before_expiry: bool,
    ages_from_sending: bool,
}

/// The outcome of a conditional write.
enum CasOutcome {
    /// The write took effect.
    Won(Arc<StoreSnapshot>),
    /// Another writer won; the write had no effect.
    Lost,
}

impl StoreRepository {
    /// Returns the documents in `objects`.
    pub fn new(
        objects: Arc<dyn ObjectStore>,
        (clock, guard): (Arc<dyn Clock>, Arc<ClockGuard>),
        random: Arc<dyn Random>,
        cache: StoreCache,
        observer: Arc<dyn CommitObserver>,
        toggles: SafetyToggles,
    ) -> Self {
        let SafetyToggles { rereads_before_expiry, ages_from_sending, .. } = toggles;
        Self { objects, clock, guard, random, cache, observer, rereads_before_expiry, ages_from_sending }
    }

    /// Returns the time from which expiries are computed: never earlier than the latest trusted time.
    pub fn expiry_base(&self) -> Timestamp {
        self.guard.expiry_base()
    }

    /// Returns the wall time, against which expiry is checked.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Returns the cache.
    pub fn cache(&self) -> &StoreCache {
        &self.cache
    }

    /// Reads the current state of a store; `None` if there is none. One read.
    pub async fn read(&self, id: StoreId) -> Result<Option<Arc<StoreSnapshot>>> {
        let read_at = self.clock.monotonic();
        let object = match self.objects.get(&object_keys::document(&id), GetOptions::default()).await {
            Ok(object) => object,
            Err(storage::Error::NotFound) => {
                self.cache.insert(id, &CacheEntry::Absent { read_at });
                return Ok(None);
            }
            Err(error) => return Err(error.into()),
        };
        let damaged = |what: &dyn std::fmt::Display| Error::Corrupt(format!("the document of store {id}: {what}"));
        let bytes = object.body.into_bytes(MAX_DOCUMENT_BYTES).await.map_err(|error| damaged(&error))?;
        let mut document: Document = serde_json::from_slice(&bytes).map_err(|error| damaged(&error))?;
        // Documents enter only here: an expiry that a clock jump brought forward is never seen.
        document.expires_at =
            document.expires_at.map(|end| self.guard.carried_over(end, document.retention.duration()));
        if document.format > DOCUMENT_FORMAT {
            return Err(damaged(&"a newer version of Larder wrote it"));
        }
        let weight = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        let read_at = if self.ages_from_sending { read_at } else { self.clock.monotonic() };
        let snapshot = Arc::new(StoreSnapshot { document, etag: object.meta.etag, read_at, weight });
        self.cache.insert(id, &CacheEntry::Store(Arc::clone(&snapshot)));
        Ok(Some(snapshot))
    }

    /// Reads an absent document, at the cost of [`StoreRepository::read`], and caches nothing.
    pub async fn read_vacant(&self, unassigned: StoreId) -> Result<()> {
        match self.objects.get(&object_keys::document(&unassigned), GetOptions::default()).await {
            Ok(_) | Err(storage::Error::NotFound) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Returns the store from the cache, if the entry is fresh.
    pub fn cached(&self, id: &StoreId) -> Option<Arc<StoreSnapshot>> {
        match self.cache.store(id, self.clock.monotonic()) {
            Some(CacheEntry::Store(snapshot)) => Some(snapshot),
            Some(CacheEntry::Absent { .. } | CacheEntry::Invalidated { .. }) | None => None,
        }
    }

    /// Returns a store as it is, or was within the staleness bound. No read if the cache has it.
    pub async fn read_cached(&self, id: StoreId) -> Result<Option<Arc<StoreSnapshot>>> {
        match self.cache.store(&id, self.clock.monotonic()) {
            Some(CacheEntry::Store(snapshot)) => Ok(Some(snapshot)),
            Some(CacheEntry::Absent { .. }) => Ok(None),
            Some(CacheEntry::Invalidated { .. }) | None => self.read(id).await,
        }
    }

    /// Returns a store that requests may see. No read if the cache has it, except before a store is treated as
    /// expired: another gateway may have extended its expiry.
    pub async fn find_visible(&self, id: StoreId) -> Result<Option<Arc<StoreSnapshot>>> {
        let asked = self.clock.monotonic();
        let mut found = self.read_cached(id).await?;
        if let Some(snapshot) = &found
            && snapshot.document.has_expired(self.clock.now())
            && snapshot.read_at < asked
            && self.rereads_before_expiry
        {
            found = self.read(id).await?;
        }
        Ok(found.filter(|snapshot| snapshot.document.is_visible(self.clock.now())))
    }

    /// Writes the document of a new store, for which a due item was scheduled before, and lists the store.
    pub async fn create(&self, mut document: Document) -> Result<Arc<StoreSnapshot>> {
        let (id, owner, now) = (document.id, document.owner_id, document.created_at);
        let entry = append_index_entry(&mut document, now);
        let (written, published) =
            futures_util::join!(self.write(document, Precondition::IfAbsent), self.publish(&owner, entry.as_deref()));
        match written? {
            CasOutcome::Won(snapshot) => {
                // A store that other gateways would not list is not listed here either: its caller gets an error.
                published?;
                self.observer.committed(&snapshot.document);
                Ok(snapshot)
            }
            CasOutcome::Lost => Err(Error::Corrupt(format!("cannot create store {id}: its document exists"))),
        }
    }

    /// Changes a store by compare-and-swap. `change` edits the current document, and runs again after each conflict.
    /// If it returns false, nothing is written. One read and one write.
    pub async fn update(
        &self,
        id: StoreId,
        change: impl FnMut(&mut Document) -> Result<bool>,
    ) -> Result<Arc<StoreSnapshot>> {
        let snapshot = self.read(id).await?.ok_or(Error::StoreNotFound)?;
        self.update_from(snapshot, change).await
    }

    /// Like [`StoreRepository::update`], for a caller that has just read or written the document: one write.
    pub async fn update_from(
        &self,
        mut snapshot: Arc<StoreSnapshot>,
        mut change: impl FnMut(&mut Document) -> Result<bool>,
    ) -> Result<Arc<StoreSnapshot>> {
        let id = snapshot.document.id;
        for _ in 0..MAX_UPDATE_ATTEMPTS {
            let mut document = snapshot.document.clone();
            if !change(&mut document)? {
                return Ok(snapshot);
            }
            document.touch(self.random.as_ref());
            let entry = append_index_entry(&mut document, self.clock.now());
            self.retract_superseded(&mut document).await?;
            let owner = document.owner_id;
            if let CasOutcome::Won(snapshot) =
                self.write(document, Precondition::IfMatch(snapshot.etag.clone())).await?
            {
                let published = self.publish(&owner, entry.as_deref()).await;
                self.observer.committed(&snapshot.document);
                return published.map(|()| snapshot);
            }
            snapshot = self.read(id).await?.ok_or(Error::StoreNotFound)?;
        }
        Err(Error::unavailable(format!("cannot update store {id}: too many concurrent changes")))
    }

    /// Rewrites the last listing index entry of a store, as after each visit of the reconciler: its writer may have
    /// died before it wrote the entry.
    pub async fn republish_entry(&self, document: &Document) -> Result<()> {
        self.publish(&document.owner_id, document.index_entries.last().map(String::as_str)).await
    }

    async fn publish(&self, owner: &UserId, entry: Option<&str>) -> Result<()> {
        let Some(name) = entry else { return Ok(()) };
        match publish_index_entry(self.objects.as_ref(), owner, name).await {
            // Retry: the document that names the entry is written, and lists would miss the store.
            Err(Error::Unavailable { .. }) => publish_index_entry(self.objects.as_ref(), owner, name).await,
            published => published,
        }
    }

    /// Deletes superseded entries before the document drops them, if there are many. The last entry that surely
    /// exists stays beside the new one.
    async fn retract_superseded(&self, document: &mut Document) -> Result<()> {
        if document.index_entries.len() > MAX_INDEX_ENTRIES {
            let superseded: Vec<_> = document.index_entries.drain(..document.index_entries.len() - 2).collect();
            retract_index_entries(self.objects.as_ref(), &document.owner_id, &superseded).await?;
        }
        Ok(())
    }

    async fn write(&self, document: Document, precondition: Precondition) -> Result<CasOutcome> {
        let read_at = self.clock.monotonic();
        let bytes = serde_json::to_vec(&document)
            .map_err(|error| Error::Corrupt(format!("cannot write the document of store {}: {error}", document.id)))?;
        let weight = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        match put_metadata(self.objects.as_ref(), &object_keys::document(&document.id), bytes, precondition).await {
            Ok(PutOutcome { etag, .. }) => Ok(CasOutcome::Won(self.insert_cached(document, etag, read_at, weight))),
            Err(error) if is_ambiguous(&error) => self.resolve(&document, error).await,
            Err(error) => Err(error.into()),
        }
    }

    /// Resolves an ambiguous write: its response was lost, or may belong to an earlier try of the same bytes. Reads
    /// back which writer won.
    async fn resolve(&self, document: &Document, error: storage::Error) -> Result<CasOutcome> {
        let lost = matches!(error, storage::Error::Precondition);
        match self.read(document.id).await? {
            Some(snapshot) if snapshot.document.nonce == document.nonce => Ok(CasOutcome::Won(snapshot)),
            Some(snapshot) if lost || snapshot.document.version >= document.version => Ok(CasOutcome::Lost),
            _ if lost => Ok(CasOutcome::Lost),
            _ => Err(error.into()),
        }
    }

    fn insert_cached(
        &self,
        document: Document,
        etag: ETag,
        read_at: std::time::Duration,
        weight: u32,
    ) -> Arc<StoreSnapshot> {
        let id = document.id;
        let snapshot = Arc::new(StoreSnapshot { document, etag, read_at, weight });
        self.cache.insert(id, &CacheEntry::Store(Arc::clone(&snapshot)));
        snapshot
    }
}

/// Returns whether a failed conditional write may have taken effect.
pub fn is_ambiguous(error: &storage::Error) -> bool {
    matches!(error, storage::Error::Precondition | storage::Error::Timeout | storage::Error::Unavailable(_))
}

/// Writes a control object: a document, a claim, an index entry.
pub async fn put_metadata(
    objects: &dyn ObjectStore,
    key: &str,
    bytes: Vec<u8>,
    precondition: Precondition,
) -> storage::Result<PutOutcome> {
    let attributes = Attributes { content_type: "application/json".to_owned(), content_encoding: None };
    objects.put(key, ByteStream::from(Bytes::from(bytes)), PutOptions { attributes, precondition }).await
}

/// Maximum lag of an entry's expiry behind the store's; it limits how often a store in use writes an entry.
const MAX_EXPIRY_LAG: Duration = Duration::from_mins(5);

/// Adds to a document that is about to be written the entry that will list its store, unless the last entry is
/// equal. Returns the entry's name, to be published once the document is written.
fn append_index_entry(document: &mut Document, now: Timestamp) -> Option<String> {
    let (kind, search_text, expires_at) = index_listing(document)?;
    let last = document.index_entries.last().and_then(|name| object_keys::parse_index_entry_name(name));
    let expiry_lag = expiry_lag(document.retention);
    let is_current = last.as_ref().is_some_and(|last| {
        let is_expiry_current = match (last.expires_at, expires_at) {
            (Some(listed), Some(expires_at)) => listed >= expires_at && listed.since(expires_at) <= expiry_lag,
            (listed, expires_at) => listed == expires_at,
        };
        last.kind == kind && last.search_text == search_text && is_expiry_current
    });
    if is_current {
        return None;
    }
    let at = last.map_or(now, |last| now.max(last.at.plus(Duration::from_millis(1))));
    let expires_at = expires_at.map(|expires_at| expires_at.plus(expiry_lag));
    let entry = IndexEntry { at, created_at: document.created_at, id: document.id, kind, expires_at, search_text };
    let name = object_keys::index_entry_name(&entry);
    document.index_entries.push(name.clone());
    Some(name)
}

/// Writes an entry that its store document names. Idempotent.
async fn publish_index_entry(objects: &dyn ObjectStore, owner: &UserId, name: &str) -> Result<()> {
    let key = object_keys::index(owner) + name;
    put_metadata(objects, &key, Vec::new(), Precondition::None).await?;
    Ok(())
}

/// Deletes entries that a document named.
async fn retract_index_entries(objects: &dyn ObjectStore, owner: &UserId, names: &[String]) -> Result<()> {
    let keys = names.iter().map(|name| object_keys::index(owner) + name).collect();
    Ok(objects.delete_many(keys).await?)
}

/// Returns the kind, search text and expiry to list for a store; `None` to leave its listing unchanged.
pub fn index_listing(document: &Document) -> Option<(EntryKind, Option<SearchText>, Option<Timestamp>)> {
    let search_text = |name| SearchText::new(name, document.title.as_deref());
    match (&document.phase, &document.name) {
        // Its expiry, once known, already removes it from lists.
        (Phase::Deleted { at, .. }, _) if document.has_expired(*at) => None,
        (Phase::Deleted { .. }, _) => Some((EntryKind::Deleted, None, None)),
        (Phase::Creating, _) => Some((EntryKind::Named, search_text(document.pending_name.as_ref()), None)),
        (_, Some(name)) => Some((EntryKind::Named, search_text(Some(name)), None)),
        (_, None) => Some((EntryKind::Unnamed, search_text(None), document.expires_at)),
    }
}

/// Returns the maximum lag of an entry's expiry behind the store's.
fn expiry_lag(retention: Retention) -> Duration {
    (retention.duration() / 10).min(MAX_EXPIRY_LAG)
}
