//! Reading and writing the documents of stores.
//!
//! Every write is conditional on the document it replaces and carries a fresh nonce, so that no two writers undo each
//! other's work, and so that a writer who lost the answer can read back whether he won.

use std::sync::Arc;

use crate::{
    clock::{Clock, ClockGuard, Random, Timestamp},
    storage::{self, ETag, GetOptions, ObjectStore, Precondition, PutOutcome},
};

use super::{
    cache::{Known, ViewCache},
    control::put_control,
    document::{DOCUMENT_FORMAT, Document},
    error::{Error, Result},
    id::{StoreId, UserId},
    index::Index,
    layout,
    safeguards::Safeguards,
    view::StoreView,
};

/// The most bytes a document may have; the schema in it is bounded well below that.
const MAX_DOCUMENT_BYTES: u64 = 2 * 1024 * 1024;

/// How often a change is tried again when others change the same document at the same time.
const MAX_ATTEMPTS: usize = 32;

/// The most entries of the listing index that a store has.
const MAX_ENTRIES: usize = 3;

/// The documents of all stores, and what is remembered of them.
#[derive(Debug)]
pub struct Documents {
    objects: Arc<dyn ObjectStore>,
    clock: Arc<dyn Clock>,
    guard: Arc<ClockGuard>,
    random: Arc<dyn Random>,
    cache: ViewCache,
    index: Arc<Index>,
    looks_before_expiry: bool,
    ages_from_sending: bool,
}

/// The outcome of a conditional write.
enum Written {
    /// It happened.
    Ours(Arc<StoreView>),
    /// Somebody else's write came first; nothing of ours is there.
    Lost,
}

impl Documents {
    /// The documents in `objects`.
    pub fn new(
        objects: Arc<dyn ObjectStore>,
        (clock, guard): (Arc<dyn Clock>, Arc<ClockGuard>),
        random: Arc<dyn Random>,
        cache: ViewCache,
        index: Arc<Index>,
        safeguards: Safeguards,
    ) -> Self {
        let Safeguards { looks_before_expiry, ages_from_sending, .. } = safeguards;
        Self { objects, clock, guard, random, cache, index, looks_before_expiry, ages_from_sending }
    }

    /// Returns the time from which the ends of stores' lives are computed: never behind the latest trusted time.
    pub fn expiry_base(&self) -> Timestamp {
        self.guard.expiry_base()
    }

    /// Returns the wall time, by which stores expire.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// What is remembered.
    pub fn cache(&self) -> &ViewCache {
        &self.cache
    }

    /// A store as it is now; `None` without one. One read.
    pub async fn read(&self, id: StoreId) -> Result<Option<Arc<StoreView>>> {
        let read_at = self.clock.monotonic();
        let object = match self.objects.get(&layout::document(&id), GetOptions::default()).await {
            Ok(object) => object,
            Err(storage::Error::NotFound) => {
                self.cache.remember(id, &Known::Absent { read_at });
                return Ok(None);
            }
            Err(error) => return Err(error.into()),
        };
        let damaged = |what: &dyn std::fmt::Display| Error::Corrupt(format!("the document of store {id}: {what}"));
        let bytes = object.body.into_bytes(MAX_DOCUMENT_BYTES).await.map_err(|error| damaged(&error))?;
        let mut document: Document = serde_json::from_slice(&bytes).map_err(|error| damaged(&error))?;
        // The one place where documents come in: no end is ever seen that a jump of the clock has brought forward.
        document.expires_at =
            document.expires_at.map(|end| self.guard.carried_over(end, document.retention.duration()));
        if document.format > DOCUMENT_FORMAT {
            return Err(damaged(&"a newer version of Larder wrote it"));
        }
        let weight = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        let read_at = if self.ages_from_sending { read_at } else { self.clock.monotonic() };
        let view = Arc::new(StoreView { document, etag: object.meta.etag, read_at, weight });
        self.cache.remember(id, &Known::Store(Arc::clone(&view)));
        Ok(Some(view))
    }

    /// Reads a document that is not there, as [`Documents::read`] does, and remembers nothing.
    pub async fn read_in_vain(&self, vacant: StoreId) -> Result<()> {
        match self.objects.get(&layout::document(&vacant), GetOptions::default()).await {
            Ok(_) | Err(storage::Error::NotFound) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Returns the store as it was read last, if that is remembered and still to be believed.
    pub fn remembered(&self, id: &StoreId) -> Option<Arc<StoreView>> {
        match self.cache.store(id, self.clock.monotonic()) {
            Some(Known::Store(view)) => Some(view),
            Some(Known::Absent { .. } | Known::Outdated { .. }) | None => None,
        }
    }

    /// A store as it is, or was within the staleness bound; no read when that is known.
    pub async fn recent(&self, id: StoreId) -> Result<Option<Arc<StoreView>>> {
        match self.cache.store(&id, self.clock.monotonic()) {
            Some(Known::Store(view)) => Ok(Some(view)),
            Some(Known::Absent { .. }) => Ok(None),
            Some(Known::Outdated { .. }) | None => self.read(id).await,
        }
    }

    /// A store that requests may see; no read when that is known. It is taken for expired only after a fresh read: another
    /// gateway may have put off its end.
    pub async fn visible(&self, id: StoreId) -> Result<Option<Arc<StoreView>>> {
        let asked = self.clock.monotonic();
        let mut found = self.recent(id).await?;
        if let Some(view) = &found
            && view.document.has_expired(self.clock.now())
            && view.read_at < asked
            && self.looks_before_expiry
        {
            found = self.read(id).await?;
        }
        Ok(found.filter(|view| view.document.is_visible(self.clock.now())))
    }

    /// Makes the document of a new store, for which an appointment was made before, and lists the store.
    pub async fn create(&self, mut document: Document) -> Result<Arc<StoreView>> {
        let (id, owner, now) = (document.id, document.owner_id, document.created_at);
        let entry = Index::amend(&mut document, now);
        let (written, published) =
            futures_util::join!(self.write(document, Precondition::IfAbsent), self.publish(&owner, entry.as_deref()));
        match written? {
            Written::Ours(view) => {
                // A store that no other gateway would list is not listed here either: no caller is told of it.
                published?;
                self.index.learn(&view.document);
                Ok(view)
            }
            Written::Lost => Err(Error::Corrupt(format!("store {id} exists before it is made"))),
        }
    }

    /// Changes a store: `change` is given the document as it is now, as often as somebody else changes it in between,
    /// and leaves in it what is to be. When it returns false, nothing is written. One read and one write.
    pub async fn update(
        &self,
        id: StoreId,
        change: impl FnMut(&mut Document) -> Result<bool>,
    ) -> Result<Arc<StoreView>> {
        let view = self.read(id).await?.ok_or(Error::StoreNotFound)?;
        self.update_from(view, change).await
    }

    /// Like [`Documents::update`], for a caller that has just read or written the document: one write.
    pub async fn update_from(
        &self,
        mut view: Arc<StoreView>,
        mut change: impl FnMut(&mut Document) -> Result<bool>,
    ) -> Result<Arc<StoreView>> {
        let id = view.document.id;
        for _ in 0..MAX_ATTEMPTS {
            let mut document = view.document.clone();
            if !change(&mut document)? {
                return Ok(view);
            }
            document.touch(self.random.as_ref());
            let entry = Index::amend(&mut document, self.clock.now());
            self.retract_superseded(&mut document).await?;
            let owner = document.owner_id;
            if let Written::Ours(view) = self.write(document, Precondition::IfMatch(view.etag.clone())).await? {
                let published = self.publish(&owner, entry.as_deref()).await;
                self.index.learn(&view.document);
                return published.map(|()| view);
            }
            view = self.read(id).await?.ok_or(Error::StoreNotFound)?;
        }
        Err(Error::unavailable(format!("store {id} is being changed by too many at once")))
    }

    /// Writes the last entry of a store into the listing index once more, as is done after each look: its writer may have died before.
    pub async fn publish_again(&self, document: &Document) -> Result<()> {
        self.publish(&document.owner_id, document.entries.last().map(String::as_str)).await
    }

    async fn publish(&self, owner: &UserId, entry: Option<&str>) -> Result<()> {
        let Some(name) = entry else { return Ok(()) };
        match self.index.publish(owner, name).await {
            // Once more: the document that names it is written, and the store would be missing in lists.
            Err(Error::Unavailable { .. }) => self.index.publish(owner, name).await,
            published => published,
        }
    }

    /// Removes entries that later ones have superseded, before the document forgets them, where there are many. The last one
    /// that is surely there stays beside the new one.
    async fn retract_superseded(&self, document: &mut Document) -> Result<()> {
        if document.entries.len() > MAX_ENTRIES {
            let superseded: Vec<_> = document.entries.drain(..document.entries.len() - 2).collect();
            self.index.retract(&document.owner_id, &superseded).await?;
        }
        Ok(())
    }

    async fn write(&self, document: Document, precondition: Precondition) -> Result<Written> {
        let read_at = self.clock.monotonic();
        let bytes = serde_json::to_vec(&document).map_err(|error| {
            Error::Corrupt(format!("the document of store {} cannot be written: {error}", document.id))
        })?;
        let weight = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        match put_control(self.objects.as_ref(), &layout::document(&document.id), bytes, precondition).await {
            Ok(PutOutcome { etag, .. }) => Ok(Written::Ours(self.remember(document, etag, read_at, weight))),
            Err(error) if leaves_doubt(&error) => self.find_out(&document, error).await,
            Err(error) => Err(error.into()),
        }
    }

    /// After a write whose answer was lost or may answer for an earlier try of the same bytes: reads back who won.
    async fn find_out(&self, document: &Document, error: storage::Error) -> Result<Written> {
        let lost = matches!(error, storage::Error::Precondition);
        match self.read(document.id).await? {
            Some(view) if view.document.nonce == document.nonce => Ok(Written::Ours(view)),
            Some(view) if lost || view.document.version >= document.version => Ok(Written::Lost),
            _ if lost => Ok(Written::Lost),
            _ => Err(error.into()),
        }
    }

    fn remember(&self, document: Document, etag: ETag, read_at: std::time::Duration, weight: u32) -> Arc<StoreView> {
        let id = document.id;
        let view = Arc::new(StoreView { document, etag, read_at, weight });
        self.cache.remember(id, &Known::Store(Arc::clone(&view)));
        view
    }
}

/// Whether a failed conditional write may yet have happened.
pub fn leaves_doubt(error: &storage::Error) -> bool {
    matches!(error, storage::Error::Precondition | storage::Error::Timeout | storage::Error::Unavailable(_))
}
