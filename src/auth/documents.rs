//! What is remembered of the documents of accounts and tokens.

use std::{future::Future, hash::Hash, sync::Arc, time::Duration};

use foldhash::quality::RandomState;
use moka::sync::Cache;

use crate::clock::Clock;

use super::error::Result;

/// The most documents that are remembered.
const MAX_REMEMBERED: u64 = 50_000;

/// How long it may be believed that something is not there.
const ABSENCE: Duration = Duration::from_secs(1);

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
    entries: Cache<K, Entry<V>, RandomState>,
    staleness: Option<Duration>,
    clock: Arc<dyn Clock>,
}

impl<K: Hash + Eq + Send + Sync + 'static, V: Send + Sync + 'static> Remembered<K, V> {
    /// Nothing yet. What is there is believed for `staleness`; for ever without one, where this gateway alone writes.
    pub fn new(staleness: Option<Duration>, clock: Arc<dyn Clock>) -> Self {
        let entries = Cache::builder().max_capacity(MAX_REMEMBERED).build_with_hasher(RandomState::default());
        Self { entries, staleness, clock }
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

    /// Returns whether a document under `key` was there when it was last read, however long ago that was.
    pub fn holds(&self, key: &K) -> bool {
        self.entries.get(key).is_some_and(|entry| matches!(entry.known, Known::There(_)))
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
