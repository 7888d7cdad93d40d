//! Reads and writes store documents.
//!
//! Every write is a compare-and-swap on the document it replaces, and carries a fresh nonce. So no two writers undo
//! each other's changes, and a writer whose response was lost can read back whether it won.

use std::{fmt::Debug, sync::Arc};

use bytes::Bytes;

use crate::{
    clock::{Clock, ClockGuard, Random, Timestamp},
    kv::model::{
        errors::{Error, Result},
        fault_switches::SafetyToggles,
        ids::{StoreId, UserId},
    },
    storage::{self, Attributes, ByteStream, ETag, GetOptions, ObjectStore, Precondition, PutOptions, PutOutcome},
};

use super::{
    cache::{CacheEntry, StoreCache},
    index_entries, object_keys,
    store_metadata::{DOCUMENT_FORMAT, Document, StoreSnapshot},
};

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
        let entry = index_entries::append(&mut document, now);
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
            let entry = index_entries::append(&mut document, self.clock.now());
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
        match index_entries::publish(self.objects.as_ref(), owner, name).await {
            // Retry: the document that names the entry is written, and lists would miss the store.
            Err(Error::Unavailable { .. }) => index_entries::publish(self.objects.as_ref(), owner, name).await,
            published => published,
        }
    }

    /// Deletes superseded entries before the document drops them, if there are many. The last entry that surely
    /// exists stays beside the new one.
    async fn retract_superseded(&self, document: &mut Document) -> Result<()> {
        if document.index_entries.len() > MAX_INDEX_ENTRIES {
            let superseded: Vec<_> = document.index_entries.drain(..document.index_entries.len() - 2).collect();
            index_entries::retract(self.objects.as_ref(), &document.owner_id, &superseded).await?;
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
