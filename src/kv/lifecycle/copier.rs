//! Copies the records of a store from one location to another, for one attempt of a relocation.
//!
//! 1. Pre-copy, while writes continue: each pass ([`Copier::copy_page`]) lists the source, and copies the records whose
//!    current version has not been copied.
//! 2. Final sync, while writes are frozen: one more pass, and then a reconciliation of the target
//!    ([`Copier::reconcile_page`]). It deletes copies without an original, and copies again what is not known to match.
//!
//! Nothing here commits: the commit point is the cutover in the store document. A copy is idempotent, and the last writer
//! of a key wins.
//!
//! *Conflict.* If a record is deleted between the list and its copy, its earlier copy is deleted, too.
//!
//! *In doubt.* A copy whose response was lost may take effect late, over a newer copy. Until [`Copier::in_doubt_until`]
//! the relocator does not freeze writes. If the final sync leaves a copy in doubt, the attempt fails.
//!
//! *Crash.* The target is a partial generation that no gateway reads. The gateway that takes over begins a new attempt
//! with an empty generation, and the reconciler deletes the partial one as a stale location.
//!
//! The copier keeps a fingerprint of the ETag and date of each record. It copies a record again if either differs, or if
//! the record was hardly older than its copy: some vendors store dates in whole seconds, and two writes of the same bytes
//! have the same ETag.
//!
//! ```text
//! client  PUT k = x, text/plain    copy k           PUT k = x, text/html    the pass lists k: same ETag, same second
//! ```

use std::{collections::HashMap, sync::Arc, time::Duration};

use futures_util::{StreamExt, TryStreamExt, stream};
use xxhash_rust::xxh3::{xxh3_64, xxh3_128};

use crate::{
    clock::Clock,
    kv::{
        model::{
            errors::{Error, Result},
            ids::StoreId,
        },
        persist::{object_keys, store_metadata::Location},
    },
    storage::{self, ETag, ListOptions, ListedObject, MAX_DELETE_KEYS, MAX_LIST_KEYS, ObjectStore, Precondition},
};

/// Maximum number of concurrent copies.
const MAX_CONCURRENT_COPIES: usize = 16;

/// Age relative to its copy, by the object store's clock, from which a record was surely copied in its current state.
const MIN_AGE_TO_COPY: Duration = Duration::from_secs(2);

/// Time within which a copy of unknown outcome takes effect, if it ever does.
const IN_DOUBT_WINDOW: Duration = Duration::from_mins(1);

/// Copier of one attempt of a relocation.
#[derive(Debug)]
pub struct Copier {
    objects: Arc<dyn ObjectStore>,
    clock: Arc<dyn Clock>,
    from: String,
    to: String,
    /// Fingerprint of each record when it was copied: hashes, so a million records take a few dozen megabytes.
    copied_versions: HashMap<u128, u64>,
    /// Number of copies so far.
    pub copied: u64,
    /// Time until which a copy of unknown outcome may take effect, by the monotonic clock.
    pub in_doubt_until: Option<Duration>,
}

impl Copier {
    /// Returns a copier of a store's records between two locations, at its start.
    pub fn new(
        objects: Arc<dyn ObjectStore>,
        clock: Arc<dyn Clock>,
        id: &StoreId,
        from: &Location,
        to: &Location,
    ) -> Self {
        Self {
            objects,
            clock,
            from: object_keys::records(id, from),
            to: object_keys::records(id, to),
            copied_versions: HashMap::new(),
            copied: 0,
            in_doubt_until: None,
        }
    }

    /// Copies those records of a page that have changed since the last pass. Returns the last key of the page if
    /// there may be more.
    pub async fn copy_page(&mut self, start_after: Option<String>) -> Result<Option<String>> {
        let page = self.list(&self.from, start_after).await?;
        let changed: Vec<_> = page.objects.iter().filter(|object| !self.is_copied(object)).cloned().collect();
        self.copy(changed).await?;
        Ok(page.objects.into_iter().next_back().map(|object| object.key).filter(|_| page.is_truncated))
    }

    /// Reconciles a page of copies: removes those whose originals are gone, and copies again those not known to match
    /// the original. Returns the last key of the page if there may be more. A copy pass alone does not see
    /// everything:
    ///
    /// ```text
    /// copier  copies k            lists: no k                          lists: k exists, so its copy stays as it is
    /// client            DELETE k               late PUT k (it will not be acknowledged)
    /// ```
    pub async fn reconcile_page(&mut self, start_after: Option<String>) -> Result<Option<String>> {
        let copies = self.list(&self.to, start_after.clone()).await?;
        let Some(last) = copies.objects.last().map(|object| object.key.clone()) else { return Ok(None) };
        let originals = self.originals(start_after.as_deref(), &last).await?;
        let original = |copy: &ListedObject| {
            let suffix = Self::suffix(&copy.key, &self.to);
            originals.binary_search_by(|known| Self::suffix(&known.key, &self.from).cmp(suffix)).ok()
        };
        let (mut orphans, mut unmatched) = (Vec::new(), Vec::new());
        for copy in copies.objects {
            match original(&copy).and_then(|index| originals.get(index)) {
                None => orphans.push(copy.key),
                Some(original) if !self.is_copied(original) => unmatched.push(original.clone()),
                Some(_) => {}
            }
        }
        for batch in orphans.chunks(MAX_DELETE_KEYS) {
            self.objects.delete_many(batch.to_vec()).await?;
        }
        self.copy(unmatched).await?;
        Ok(Some(last).filter(|_| copies.is_truncated))
    }

    /// Lists all originals after the copy `after` up to the copy `last`, in order.
    async fn originals(&self, after: Option<&str>, last: &str) -> Result<Vec<ListedObject>> {
        let last = Self::suffix(last, &self.to);
        let mut found = Vec::new();
        let mut start_after = after.map(|after| [self.from.as_str(), Self::suffix(after, &self.to)].concat());
        loop {
            let page = self.list(&self.from, start_after).await?;
            start_after = page.objects.last().map(|object| object.key.clone()).filter(|_| page.is_truncated);
            for object in page.objects {
                if Self::suffix(&object.key, &self.from) > last {
                    return Ok(found);
                }
                found.push(object);
            }
            if start_after.is_none() {
                return Ok(found);
            }
        }
    }

    /// Returns the part of a record's object key that is the same in both locations.
    fn suffix<'a>(key: &'a str, location: &str) -> &'a str {
        key.strip_prefix(location).unwrap_or_default()
    }

    async fn copy(&mut self, records: Vec<ListedObject>) -> Result<()> {
        let (objects, from, to) = (&self.objects, &self.from, &self.to);
        let copies = stream::iter(records).map(|record| async move {
            let target = [to.as_str(), record.key.strip_prefix(from.as_str()).unwrap_or_default()].concat();
            match objects.copy(&record.key, &target, Precondition::None).await {
                Ok(copy) => Ok(Some((record, copy.last_modified))),
                // Deleted meanwhile, so an earlier copy is obsolete.
                Err(storage::Error::NotFound) => objects.delete(&target, Precondition::None).await.map(|()| None),
                Err(error) => Err(error),
            }
        });
        let mut copies = std::pin::pin!(copies.buffer_unordered(MAX_CONCURRENT_COPIES));
        loop {
            match copies.try_next().await {
                Ok(None) => return Ok(()),
                Ok(Some(None)) => {}
                Ok(Some(Some((record, copied_at)))) => {
                    self.copied += 1;
                    if copied_at.since(record.last_modified) >= MIN_AGE_TO_COPY {
                        self.copied_versions.insert(identity(&record), version(&record));
                    }
                }
                Err(error) => {
                    if matches!(error, storage::Error::Timeout | storage::Error::Unavailable(_)) {
                        self.in_doubt_until = Some(self.clock.monotonic() + IN_DOUBT_WINDOW);
                    }
                    return Err(Error::from(error));
                }
            }
        }
    }

    async fn list(&self, prefix: &str, start_after: Option<String>) -> Result<storage::ListPage> {
        let options = ListOptions { prefix: prefix.to_owned(), start_after, limit: MAX_LIST_KEYS };
        Ok(self.objects.list(options).await?)
    }

    fn is_copied(&self, record: &ListedObject) -> bool {
        self.copied_versions.get(&identity(record)) == Some(&version(record))
    }
}

fn identity(record: &ListedObject) -> u128 {
    xxh3_128(record.key.as_bytes())
}

fn version(record: &ListedObject) -> u64 {
    let validator = record.etag.as_ref().map(ETag::as_str).unwrap_or_default();
    xxh3_64(format!("{validator} {} {}", record.size, record.last_modified.as_millis()).as_bytes())
}
