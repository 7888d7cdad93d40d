//! Sizes of stores: counted in the background, never in a request.
//!
//! After a change, a store is counted by listing its records; the result holds for some moment during that list. It
//! is written to the store document, and to the key of an object next to those of the owner's other stores
//! ([`super::totals`]), from which the owner's total is computed.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures_util::{StreamExt, stream};
use moka::sync::Cache;

use crate::{
    clock::Clock,
    kv::{
        model::{
            errors::{Error, Result},
            ids::StoreId,
        },
        persist::{
            object_keys,
            repository::{StoreRepository, put_metadata},
            store_metadata::{Contents, Document, StoreSnapshot},
        },
    },
    storage::{ListOptions, MAX_LIST_KEYS, ObjectStore, Precondition},
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
            self.dirty().insert(document.id);
        }
    }

    /// Counts the stores that have changed and rested. Returns their number. The next run retries failures; the first
    /// one is returned.
    pub async fn run(&self) -> Result<usize> {
        let now = self.clock.monotonic();
        let has_rested = |id: &&StoreId| self.resting.get(*id).is_none_or(|until| until <= now);
        let ready: Vec<StoreId> = self.dirty().iter().filter(has_rested).copied().collect();
        let stores = ready.len();
        let counted: Vec<Result<()>> =
            stream::iter(ready).map(|id| self.count(id)).buffer_unordered(MAX_CONCURRENT_COUNTS).collect().await;
        let mut dirty = self.dirty();
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
                self.dirty().remove(&id);
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

    fn dirty(&self) -> MutexGuard<'_, HashSet<StoreId>> {
        self.dirty.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns whether a store may have changed since its last count: a change during the count may not be included.
fn needs_recount(document: &Document) -> bool {
    document.exists() && document.contents.is_none_or(|contents| contents.counted_at <= document.modified_at)
}
