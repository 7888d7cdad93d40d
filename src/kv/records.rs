//! Records: the bytes in a store. One object for each record, and one object call for each operation.
//!
//! A change of a record, a write or a deletion, has four steps.
//!
//! 1. Locate. The location comes from the caller's snapshot of the store, at most as old as the staleness bound. If a
//!    relocation blocks writes, the change waits until it has finished.
//! 2. Write. The object is put or deleted in that location. With a precondition this is a compare-and-swap of the record;
//!    without one the last writer wins. Meanwhile the expiry of an unnamed store is extended if necessary.
//! 3. Confirm. If step 2 took longer than the staleness bound, the store document is read again. The change counts only if
//!    its location was still current when the object store responded.
//! 4. Acknowledge: the commit point for the client, after the expiry is sufficient.
//!
//! Step 3 detects this race:
//!
//! ```text
//! A  reads where the store is; PUT 2 GB begins        B  deletes the store, purges its records
//!    the object store says 200                           (or relocates it)
//!    answered 201, the record would be lost
//! ```
//!
//! *Conflict.* If the store has a tombstone, the client gets "not found". If it has been relocated, the change counts if
//! the relocation has copied it. Otherwise its outcome is in doubt, and the client gets an error. The gateway does not
//! repeat it, since that could undo a later change.
//!
//! *Crash.* The record may have changed, without an acknowledgement. Nothing is left to finish. What was written into a
//! location that the store has left is purged with it.

use std::{sync::Arc, time::Duration};

use crate::{
    clock::Clock,
    storage::{
        self, Attributes, ByteRange, ByteStream, GetOptions, MemoryBudget, Object, ObjectMeta, ObjectStore,
        Precondition, PutOptions, PutOutcome,
    },
};

use super::{
    lifecycle::{expiry_extension::ExpiryExtender, state_machine::LifecyclePolicy},
    model::{
        encodings::RecordAttributes,
        errors::{Error, Result},
        ids::StoreId,
        names::{MAX_KEY_LENGTH, RecordKey},
        schema::{CollectionKeys, Schema},
    },
    persist::{
        cache::CacheEntry,
        object_keys,
        repository::StoreRepository,
        store_metadata::{Document, StoreSnapshot},
    },
    usage_counters::{UsageCounters, UsageEvent},
};

/// Timeout for a change that waits for a relocation to finish.
const WRITE_WAIT_TIMEOUT: Duration = Duration::from_secs(20);

/// Interval between checks of a waiting change.
const WRITE_WAIT_INTERVAL: Duration = Duration::from_millis(100);

/// The records of all stores.
#[derive(Debug)]
pub struct Records {
    objects: Arc<dyn ObjectStore>,
    clock: Arc<dyn Clock>,
    repository: Arc<StoreRepository>,
    usage_counters: Arc<UsageCounters>,
    extender: ExpiryExtender,
    policy: Arc<LifecyclePolicy>,
    memory: Arc<MemoryBudget>,
}

impl Records {
    /// Returns the records in `objects`.
    pub(in crate::kv) fn new(
        objects: Arc<dyn ObjectStore>,
        clock: Arc<dyn Clock>,
        repository: Arc<StoreRepository>,
        usage_counters: Arc<UsageCounters>,
        extender: ExpiryExtender,
        policy: Arc<LifecyclePolicy>,
    ) -> Self {
        Self { objects, clock, repository, usage_counters, extender, policy, memory: Arc::default() }
    }

    /// Returns the same records, with `memory` accounting for those held in memory as a whole.
    #[must_use]
    pub fn with_memory_budget(self, memory: Arc<MemoryBudget>) -> Self {
        Self { memory, ..self }
    }

    /// Writes or replaces a record; not under a key that is reserved in the store.
    pub async fn put(
        &self,
        store: &StoreSnapshot,
        key: &RecordKey,
        body: ByteStream,
        attributes: RecordAttributes,
        precondition: Precondition,
    ) -> Result<PutOutcome> {
        if key.is_reserved_in(&store.document.id) {
            return Err(Error::ReservedKey);
        }
        let body = match &store.document.schema {
            Some(schema) => schema.validate(key, &attributes, body, &self.memory).await?,
            None => body,
        };
        let RecordAttributes { content_type, content_coding } = attributes;
        let content_encoding = content_coding.map(|coding| coding.as_str().to_owned());
        let options = PutOptions { attributes: Attributes { content_type, content_encoding }, precondition };
        let writable = self.writable(store).await?;
        let store = writable.as_deref().unwrap_or(store);
        let change = async {
            let outcome = self.objects.put(&object_key(store, key), body, options).await?;
            if let Some(snapshot) = self.location_after_write(store).await? {
                let copied = self.objects.head(&object_key(&snapshot, key)).await;
                require_copied(&snapshot, matches!(copied, Ok(meta) if meta.etag == outcome.etag))?;
            }
            Ok(outcome)
        };
        let outcome = self.extender.extend_during(store, change).await?;
        self.usage_counters.count(store.document.id, UsageEvent::RecordWritten);
        Ok(outcome)
    }

    /// Reads a record; its body is streamed.
    pub async fn get(&self, store: &StoreSnapshot, key: &RecordKey, range: Option<ByteRange>) -> Result<Object> {
        let object = self.objects.get(&object_key(store, key), GetOptions { range }).await?;
        self.usage_counters.count(store.document.id, UsageEvent::RecordRead);
        Ok(object)
    }

    /// Returns the metadata that [`Records::get`] returns, without the body.
    pub async fn head(&self, store: &StoreSnapshot, key: &RecordKey) -> Result<ObjectMeta> {
        let meta = self.objects.head(&object_key(store, key)).await?;
        self.usage_counters.count(store.document.id, UsageEvent::RecordRead);
        Ok(meta)
    }

    /// Deletes a record, if there is one.
    pub async fn delete(&self, store: &StoreSnapshot, key: &RecordKey, precondition: Precondition) -> Result<()> {
        let writable = self.writable(store).await?;
        let store = writable.as_deref().unwrap_or(store);
        let change = async {
            self.objects.delete(&object_key(store, key), precondition).await?;
            if let Some(snapshot) = self.location_after_write(store).await? {
                let copied = self.objects.head(&object_key(&snapshot, key)).await;
                require_copied(&snapshot, matches!(copied, Err(storage::Error::NotFound)))?;
            }
            Ok(())
        };
        self.extender.extend_during(store, change).await?;
        self.usage_counters.count(store.document.id, UsageEvent::RecordDeleted);
        Ok(())
    }

    /// Returns a page of a store's keys: one list.
    pub async fn list_keys(&self, store: &StoreSnapshot, query: &KeyQuery) -> Result<KeyPage> {
        let document = &store.document;
        let page = match KeyRange::from_query(query, document.schema.as_ref())? {
            KeyRange::Empty => KeyPage::default(),
            KeyRange::Keys { prefix, after, only } => {
                let records = object_keys::records(&document.id, &document.location);
                let object = |text: &str| object_keys::record_prefix(&document.id, &document.location, text);
                let options = storage::ListOptions {
                    prefix: object(&prefix),
                    start_after: after
                        .as_deref()
                        .map(|key| object_keys::record_start(&document.id, &document.location, key)),
                    limit: if only { 1 } else { query.limit },
                };
                let listed = self.objects.list(options).await?;
                let keys = listed.objects.into_iter().filter_map(|object| {
                    let key = object_keys::record_key(&object.key, &records)?.into_owned();
                    (!only || key == prefix).then_some(ListedKey { key, size: object.size })
                });
                KeyPage { keys: keys.collect(), is_truncated: listed.is_truncated && !only }
            }
        };
        self.usage_counters.count(document.id, UsageEvent::KeysListed);
        Ok(page)
    }

    /// Returns the store once it accepts changes: at once, unless its records are switching locations; then it waits.
    /// `None` if `store` is current.
    async fn writable(&self, store: &StoreSnapshot) -> Result<Option<Arc<StoreSnapshot>>> {
        if self.accepts_writes(&store.document) {
            return Ok(None);
        }
        self.wait_writable(store.document.id).await.map(Some)
    }

    /// Rereads the store until it accepts changes.
    async fn wait_writable(&self, id: StoreId) -> Result<Arc<StoreSnapshot>> {
        let began = self.clock.monotonic();
        loop {
            let snapshot =
                self.repository.read(id).await?.filter(|snapshot| snapshot.document.is_visible(self.clock.now()));
            let snapshot = snapshot.ok_or(Error::StoreNotFound)?;
            if self.accepts_writes(&snapshot.document) {
                return Ok(snapshot);
            }
            if self.clock.monotonic().saturating_sub(began) >= WRITE_WAIT_TIMEOUT {
                return Err(Error::unavailable(format!("the records of store {id} are being relocated")));
            }
            self.clock.sleep(WRITE_WAIT_INTERVAL).await;
        }
    }

    fn accepts_writes(&self, document: &Document) -> bool {
        document.accepts_writes()
            || !self.policy.toggles.freezes_until_written
                && document
                    .relocation()
                    .is_some_and(|relocation| self.clock.now().since(relocation.heartbeat_at) > WRITE_WAIT_TIMEOUT)
    }

    /// Checks whether a change just made under `store` counts where it was made; else returns the current store.
    /// Makes no call unless the change took longer than the staleness bound.
    async fn location_after_write(&self, store: &StoreSnapshot) -> Result<Option<Arc<StoreSnapshot>>> {
        if !self.policy.toggles.confirms_late_changes {
            return Ok(None);
        }
        let (cache, id, now) = (self.repository.cache(), store.document.id, self.clock.monotonic());
        let latest = match cache.is_fresh(store, now) {
            Some(true) => return Ok(None),
            Some(false) => self.repository.read(id).await?,
            None => match cache.store(&id, now) {
                Some(CacheEntry::Store(snapshot)) if snapshot.document.is_visible(self.clock.now()) => Some(snapshot),
                Some(_) | None => self.repository.read(id).await?,
            },
        };
        let latest =
            latest.filter(|snapshot| snapshot.document.is_visible(self.clock.now())).ok_or(Error::StoreNotFound)?;
        let latest = if self.accepts_writes(&latest.document) { latest } else { self.wait_writable(id).await? };
        Ok((latest.document.location != store.document.location).then_some(latest))
    }
}

/// Decides a change that was made in a location which its store has left: it counts if it was copied. Otherwise it is
/// in doubt: it came too late to be copied, or was copied and then overwritten. Repeating it could undo later
/// changes.
fn require_copied(store: &StoreSnapshot, is_copied: bool) -> Result<()> {
    let id = store.document.id;
    is_copied
        .then_some(())
        .ok_or_else(|| Error::unavailable(format!("store {id} was relocated while one of its records was changed")))
}

fn object_key(store: &StoreSnapshot, key: &RecordKey) -> String {
    object_keys::record(&store.document.id, &store.document.location, key)
}

/// A query for keys. All conditions apply together.
#[derive(Debug, Clone, Default)]
pub struct KeyQuery {
    /// Only keys that begin with this.
    pub prefix: Option<String>,
    /// Only keys after this one, which need not exist.
    pub exclusive_start_key: Option<String>,
    /// Only keys of this collection of the store's schema.
    pub collection: Option<String>,
    /// Maximum number of keys, from 1 to [`MAX_LIST_KEYS`](crate::storage::MAX_LIST_KEYS).
    pub limit: usize,
}

/// A page of keys, in byte order.
#[derive(Debug, Clone, Default)]
pub struct KeyPage {
    /// The keys.
    pub keys: Vec<ListedKey>,
    /// True if more keys follow.
    pub is_truncated: bool,
}

/// A key in a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedKey {
    /// The key.
    pub key: String,
    /// Stored bytes.
    pub size: u64,
}

/// A range of keys.
#[derive(Debug, PartialEq, Eq)]
pub enum KeyRange {
    /// No keys.
    Empty,
    /// Keys with a prefix.
    Keys {
        /// The prefix.
        prefix: String,
        /// Only those after this key, which begins with the prefix.
        after: Option<String>,
        /// Only the key that equals the prefix.
        only: bool,
    },
}

impl KeyRange {
    /// Returns the range that `query` selects in a store with `schema`.
    pub fn from_query(query: &KeyQuery, schema: Option<&Schema>) -> Result<Self> {
        let wanted = query.prefix.as_deref().unwrap_or_default();
        let collection = query.collection.as_deref().map(|id| {
            let keys = schema.and_then(|schema| schema.collection(id));
            keys.ok_or_else(|| Error::UnknownCollection(id.to_owned()))
        });
        let (prefix, only) = match collection.transpose()? {
            None => (wanted.to_owned(), false),
            Some(CollectionKeys::Key(key)) if key.starts_with(wanted) => (key, true),
            Some(CollectionKeys::Prefix(prefix)) if prefix.starts_with(wanted) => (prefix, false),
            Some(CollectionKeys::Prefix(prefix)) if wanted.starts_with(&prefix) => (wanted.to_owned(), false),
            Some(CollectionKeys::Key(_) | CollectionKeys::Prefix(_)) => return Ok(Self::Empty),
        };
        let can_begin_a_key = |byte: u8| byte.is_ascii_graphic() && byte != b'/';
        if prefix.len() > MAX_KEY_LENGTH || !prefix.bytes().all(can_begin_a_key) {
            return Ok(Self::Empty);
        }
        let after = query.exclusive_start_key.as_deref().map(last_key_before);
        Ok(match after {
            Some(after) if only && after >= prefix => Self::Empty,
            Some(after) if after.starts_with(&prefix) && !only => Self::Keys { prefix, after: Some(after), only },
            Some(after) if after > prefix && !only => Self::Empty,
            Some(_) | None => Self::Keys { prefix, after: None, only },
        })
    }
}

/// Returns a text of printable ASCII that the same keys follow as follow `start`, which may be any text.
///
/// At the first character of `start` that no key contains, only one thing matters: whether keys continue with a
/// smaller or a greater byte.
fn last_key_before(start: &str) -> String {
    /// After every character of keys.
    const BEHIND_ALL: char = '~';
    let mut after = String::new();
    for character in start.chars().take(MAX_KEY_LENGTH) {
        match character {
            '\0'..=' ' => return after,
            '!'..='.' | '0'..='~' => after.push(character),
            // Keys after it continue with a digit or a letter, keys before it with a dot at most.
            '/' => {
                after.push('.');
                after.push(BEHIND_ALL);
                return after;
            }
            _ => {
                after.push(BEHIND_ALL);
                return after;
            }
        }
    }
    after
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(prefix: &str, start: &str) -> KeyRange {
        let query = KeyQuery {
            prefix: Some(prefix.to_owned()),
            exclusive_start_key: Some(start.to_owned()),
            ..KeyQuery::default()
        };
        KeyRange::from_query(&query, None).expect("no collection is asked for")
    }

    #[test]
    fn a_start_outside_the_prefix_is_before_all_of_it_or_behind() {
        let all = KeyRange::Keys { prefix: "b-".to_owned(), after: None, only: false };
        assert_eq!(range("b-", "a"), all);
        assert_eq!(range("b-", "b"), all);
        assert_eq!(range("b-", "c"), KeyRange::Empty);
        let some = KeyRange::Keys { prefix: "b-".to_owned(), after: Some("b-7".to_owned()), only: false };
        assert_eq!(range("b-", "b-7"), some);
    }

    #[test]
    fn a_prefix_that_no_key_has_means_no_key() {
        for prefix in ["a b", "é", "a/b", &"x".repeat(257)] {
            assert_eq!(range(prefix, ""), KeyRange::Empty, "{prefix}");
        }
    }

    #[test]
    fn any_start_parts_the_keys_as_its_bytes_do() {
        let keys = ["!", "a", "a!", "a'", "a.", "a.z", "a0", "a9", "aA", "aZ", "a_", "aa", "az", "b"];
        for start in ["a", "a b", "a/b", "a\n", "aé", "a~", "a:", "a@", "a0 ", "\u{7f}", "é", "a.é"] {
            let after = last_key_before(start);
            for key in keys {
                assert_eq!(key > after.as_str(), key.as_bytes() > start.as_bytes(), "{key:?} behind {start:?}");
            }
        }
    }
}
