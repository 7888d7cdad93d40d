//! How much is in stores: counted in the background, never in a request.
//!
//! A store is counted after it has changed, by a list of its records: the figures are those of some moment during that list.
//! They ride in the store's document, for whoever looks at the store, and in the key of an object beside others of the same
//! owner's ([`super::usage`]), for whoever wants to know how much he has.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures_util::{StreamExt, stream};
use moka::sync::Cache;

use crate::{
    clock::Clock,
    storage::{ListOptions, MAX_LIST_KEYS, ObjectStore, Precondition},
};

use super::{
    control::put_control,
    document::{Contents, Document},
    documents::Documents,
    error::{Error, Result},
    id::StoreId,
    layout,
    view::StoreView,
};

/// Stores that are counted at the same time.
const CONCURRENCY: usize = 4;

/// How many times as long as counting it took a store is left alone afterwards: counting is never more than a small part
/// of what the backend does.
const REST: u32 = 50;

/// The most stores whose rest is remembered; one that is forgotten is counted again early.
const MAX_RESTING: u64 = 100_000;

/// Counts what is in stores.
#[derive(Debug)]
pub struct Counting {
    objects: Arc<dyn ObjectStore>,
    documents: Arc<Documents>,
    clock: Arc<dyn Clock>,
    interval: Duration,
    /// Stores that have changed since they were counted.
    changed: Mutex<HashSet<StoreId>>,
    /// Until when a store is left alone, by the monotonic clock.
    resting: Cache<StoreId, Duration>,
}

impl Counting {
    /// Nothing is known to have changed. A store is counted once in an `interval` at most.
    pub fn new(
        objects: Arc<dyn ObjectStore>,
        documents: Arc<Documents>,
        clock: Arc<dyn Clock>,
        interval: Duration,
    ) -> Self {
        let (changed, resting) = (Mutex::default(), Cache::new(MAX_RESTING));
        Self { objects, documents, clock, interval, changed, resting }
    }

    /// Counts a store before long, if it has changed since it was counted.
    pub fn saw(&self, document: &Document) {
        if is_to_be_counted(document) {
            self.changed().insert(document.id);
        }
    }

    /// Counts the stores that have changed and have rested; how many. What fails is counted by the next run, and the first
    /// reason is the error.
    pub async fn run(&self) -> Result<usize> {
        let now = self.clock.monotonic();
        let has_rested = |id: &&StoreId| self.resting.get(*id).is_none_or(|until| until <= now);
        let ready: Vec<StoreId> = self.changed().iter().filter(has_rested).copied().collect();
        let stores = ready.len();
        let counted: Vec<Result<()>> =
            stream::iter(ready).map(|id| self.count(id)).buffer_unordered(CONCURRENCY).collect().await;
        let mut changed = self.changed();
        let room = 2 * changed.len();
        changed.shrink_to(room);
        drop(changed);
        counted.into_iter().collect::<Result<()>>().map(|()| stores)
    }

    async fn count(&self, id: StoreId) -> Result<()> {
        let began = self.clock.monotonic();
        let counted = match self.documents.read(id).await? {
            // Another gateway may have counted it meanwhile.
            Some(view) if is_to_be_counted(&view.document) => self.count_store(&view).await,
            Some(_) | None => Ok(true),
        };
        let ended = self.clock.monotonic();
        let rest = self.interval.max(ended.saturating_sub(began).saturating_mul(REST));
        self.resting.insert(id, ended.saturating_add(rest));
        match counted {
            Ok(false) => Ok(()),
            Ok(true) | Err(Error::StoreNotFound) => {
                self.changed().remove(&id);
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    /// Counts a store; whether that holds, and it has not moved meanwhile.
    async fn count_store(&self, view: &StoreView) -> Result<bool> {
        let Document { id, owner_id, place, contents: before, .. } = &view.document;
        let counted_at = self.clock.now();
        let (records, bytes) = self.sum(view).await?;
        let is_same = |known: &Contents| known.records == records && known.bytes == bytes;
        let since = before.filter(is_same).map_or(counted_at, |known| known.since);
        let contents = Contents { records, bytes, counted_at, since };
        let entry = layout::counted_entry(owner_id, id, &contents);
        if since == counted_at {
            put_control(self.objects.as_ref(), &entry, Vec::new(), Precondition::None).await?;
        }
        let mut is_written = false;
        let note = |document: &mut Document| {
            is_written = document.is_there() && document.place == *place;
            if is_written {
                document.contents = Some(contents);
            }
            Ok(is_written)
        };
        self.documents.update(*id, note).await?;
        let superseded = match before {
            Some(known) if is_written && known.since != since => Some(*known),
            Some(_) | None if is_written || since != counted_at => None,
            Some(_) | None => Some(contents),
        };
        if let Some(known) = superseded {
            self.objects.delete(&layout::counted_entry(owner_id, id, &known), Precondition::None).await?;
        }
        Ok(is_written)
    }

    /// How many records a store has, and how many bytes they are as they are stored.
    async fn sum(&self, view: &StoreView) -> Result<(u64, u64)> {
        let prefix = layout::records(&view.document.id, &view.document.place);
        let (mut records, mut bytes, mut start_after) = (0, 0, None);
        loop {
            let options = ListOptions { prefix: prefix.clone(), start_after, limit: MAX_LIST_KEYS };
            let page = self.objects.list(options).await?;
            for object in page.objects.iter().filter(|object| layout::record_key(&object.key, &prefix).is_some()) {
                records += 1;
                bytes += object.size;
            }
            start_after = page.objects.into_iter().next_back().map(|object| object.key);
            if !page.is_truncated || start_after.is_none() {
                return Ok((records, bytes));
            }
        }
    }

    fn changed(&self) -> MutexGuard<'_, HashSet<StoreId>> {
        self.changed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether a store may have changed since it was counted: a change during the count may not be in it.
fn is_to_be_counted(document: &Document) -> bool {
    document.is_there() && document.contents.is_none_or(|contents| contents.counted_at <= document.modified_at)
}
