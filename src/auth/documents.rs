//! JSON documents of accounts and tokens in the object store, and what is remembered of them.

use std::{future::Future, hash::Hash, sync::Arc, time::Duration};

use bytes::Bytes;
use moka::sync::Cache;
use serde::{Serialize, de::DeserializeOwned};

use crate::{
    clock::Clock,
    storage::{
        self, Attributes, ByteStream, ETag, GetOptions, ListOptions, MAX_LIST_KEYS, ObjectStore, Precondition,
        PutOptions,
    },
};

use super::error::{AccountsError, Result};

/// The most bytes of a document.
const MAX_BYTES: u64 = 256 * 1024;

/// The most documents that are remembered.
const MAX_REMEMBERED: u64 = 50_000;

/// How long it may be believed that something is not there.
const ABSENCE: Duration = Duration::from_secs(1);

/// Reads a document; `None` if it is not there.
pub async fn read<T: DeserializeOwned>(objects: &dyn ObjectStore, key: &str) -> Result<Option<(T, ETag)>> {
    let damaged = |cause: storage::BoxError| AccountsError::Damaged { key: key.to_owned(), cause };
    let object = match objects.get(key, GetOptions::default()).await {
        Ok(object) => object,
        Err(storage::Error::NotFound) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let etag = object.meta.etag;
    let bytes = object.body.into_bytes(MAX_BYTES).await.map_err(|error| damaged(error.into()))?;
    let document = serde_json::from_slice(&bytes).map_err(|error| damaged(error.into()))?;
    Ok(Some((document, etag)))
}

/// Writes a document; whether the condition held.
pub async fn write<T: Serialize + Sync>(
    objects: &dyn ObjectStore,
    key: &str,
    document: &T,
    precondition: Precondition,
) -> Result<bool> {
    let bytes = serde_json::to_vec(document)
        .map_err(|error| AccountsError::Damaged { key: key.to_owned(), cause: error.into() })?;
    let attributes = Attributes { content_type: "application/json".to_owned(), content_encoding: None };
    let options = PutOptions { attributes, precondition };
    match objects.put(key, ByteStream::from(Bytes::from(bytes)), options).await {
        Ok(_) => Ok(true),
        Err(storage::Error::Precondition) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Removes a document, if it is there.
pub async fn remove(objects: &dyn ObjectStore, key: &str) -> Result<()> {
    match objects.delete(key, Precondition::None).await {
        Ok(()) | Err(storage::Error::NotFound) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// What follows `prefix` in the keys of all documents that begin with it, in the order of their bytes.
pub async fn names(objects: &dyn ObjectStore, prefix: &str) -> Result<Vec<String>> {
    let (mut names, mut start_after) = (Vec::new(), None);
    loop {
        let options = ListOptions { prefix: prefix.to_owned(), start_after, limit: MAX_LIST_KEYS };
        let page = objects.list(options).await?;
        start_after = page.objects.last().map(|object| object.key.clone()).filter(|_| page.is_truncated);
        names.extend(page.objects.iter().filter_map(|object| object.key.strip_prefix(prefix)).map(str::to_owned));
        if start_after.is_none() {
            return Ok(names);
        }
    }
}

/// What is known of a document.
#[derive(Debug)]
enum Known<V> {
    There(Arc<V>),
    Absent,
    /// Nothing: it has been changed.
    Forgotten,
}

/// What is known of a document, and since when.
#[derive(Debug)]
struct Entry<V> {
    known: Known<V>,
    /// When the read was sent, by the monotonic clock.
    read_at: Duration,
}

impl<V> Clone for Entry<V> {
    fn clone(&self) -> Self {
        let known = match &self.known {
            Known::There(value) => Known::There(Arc::clone(value)),
            Known::Absent => Known::Absent,
            Known::Forgotten => Known::Forgotten,
        };
        Self { known, read_at: self.read_at }
    }
}

/// What was read, for as long as it may be believed.
#[derive(Debug)]
pub struct Remembered<K: Hash + Eq + Send + Sync + 'static, V: Send + Sync + 'static> {
    entries: Cache<K, Entry<V>>,
    staleness: Option<Duration>,
    clock: Arc<dyn Clock>,
}

impl<K: Hash + Eq + Send + Sync + 'static, V: Send + Sync + 'static> Remembered<K, V> {
    /// Nothing yet. What is there is believed for `staleness`; for ever without one, where this gateway alone writes.
    pub fn new(staleness: Option<Duration>, clock: Arc<dyn Clock>) -> Self {
        Self { entries: Cache::new(MAX_REMEMBERED), staleness, clock }
    }

    /// What stands under `key`: remembered, or read by `read`.
    pub async fn get(&self, key: K, read: impl Future<Output = Result<Option<V>>>) -> Result<Option<Arc<V>>> {
        let now = self.clock.monotonic();
        if let Some(Entry { known, read_at }) = self.entries.get(&key) {
            let age = now.saturating_sub(read_at);
            match known {
                Known::There(value) if self.staleness.is_none_or(|limit| age < limit) => return Ok(Some(value)),
                Known::Absent if age < ABSENCE => return Ok(None),
                Known::There(_) | Known::Absent | Known::Forgotten => {}
            }
        }
        let value = read.await?.map(Arc::new);
        // A read that began before something was forgotten must not bring it back.
        self.entries.entry(key).and_upsert_with(|before| match before.map(moka::Entry::into_value) {
            Some(before) if before.read_at > now => before,
            _ => Entry { known: value.clone().map_or(Known::Absent, Known::There), read_at: now },
        });
        Ok(value)
    }

    /// Remembers what has just been read.
    pub fn learn(&self, key: K, value: Arc<V>) {
        self.entries.insert(key, Entry { known: Known::There(value), read_at: self.clock.monotonic() });
    }

    /// Believes nothing any more of what was read about `key` before now.
    pub fn forget(&self, key: K) {
        self.entries.insert(key, Entry { known: Known::Forgotten, read_at: self.clock.monotonic() });
    }

    /// Believes nothing any more.
    pub fn forget_all(&self) {
        self.entries.invalidate_all();
    }
}
