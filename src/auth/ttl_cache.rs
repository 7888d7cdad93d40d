//! Cache of the documents of accounts and tokens.

use std::{
    future::Future,
    hash::Hash,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::SeqCst},
    },
    time::Duration,
};

use foldhash::quality::RandomState;
use moka::{ops::compute::Op, sync::Cache};

use crate::clock::Clock;

use super::user::Result;

/// Maximum number of cached documents.
const MAX_ENTRIES: u64 = 50_000;

/// Maximum age of a cached absence, unless the staleness bound is shorter.
const MAX_ABSENCE_AGE: Duration = Duration::from_secs(1);

/// Cached result of a read.
#[derive(Debug)]
struct Entry<V> {
    /// The document, or `None` if it did not exist.
    value: Option<Arc<V>>,
    /// When the read was sent, by the monotonic clock.
    read_at: Duration,
    /// [`TtlCache::generation`] when the read was sent.
    generation: u64,
}

impl<V> Clone for Entry<V> {
    fn clone(&self) -> Self {
        Self { value: self.value.clone(), read_at: self.read_at, generation: self.generation }
    }
}

/// Cache of documents with a bounded age.
///
/// Invalidation wins over concurrent reads: the result of a read that began before [`TtlCache::invalidate`] is inserted
/// only if nothing at all was invalidated since the read began. That needs no entry that could be evicted, and no time
/// to pass between the two.
#[derive(Debug)]
pub struct TtlCache<K: Hash + Eq + Send + Sync + 'static, V: Send + Sync + 'static> {
    entries: Cache<K, Entry<V>, RandomState>,
    staleness: Option<Duration>,
    absence: Duration,
    /// Number of invalidations.
    invalidations: AtomicU64,
    /// Number of invalidations of the whole cache. Entries of an earlier generation do not count.
    generation: AtomicU64,
    clock: Arc<dyn Clock>,
}

impl<K: Hash + Eq + Send + Sync + 'static, V: Send + Sync + 'static> TtlCache<K, V> {
    /// Returns an empty cache. Documents are trusted for `staleness`; without one, for ever, where this gateway alone
    /// writes.
    pub fn new(staleness: Option<Duration>, clock: Arc<dyn Clock>) -> Self {
        let entries = Cache::builder().max_capacity(MAX_ENTRIES).build_with_hasher(RandomState::default());
        let (invalidations, generation) = (AtomicU64::new(0), AtomicU64::new(0));
        Self { entries, staleness, absence: MAX_ABSENCE_AGE, invalidations, generation, clock }
    }

    /// Returns an empty cache with the same lifetime for documents and absences.
    pub fn with_equal_lifetimes(lifetime: Duration, clock: Arc<dyn Clock>) -> Self {
        Self { absence: lifetime, ..Self::new(Some(lifetime), clock) }
    }

    /// Returns the document under `key`, from the cache or by `read`.
    pub async fn get(&self, key: K, read: impl Future<Output = Result<Option<V>>>) -> Result<Option<Arc<V>>> {
        match self.fresh(&key) {
            Some(entry) => Ok(entry.value),
            None => self.read(key, read).await,
        }
    }

    /// Returns the document under `key` if the cache has a fresh one. Reads nothing.
    pub fn peek(&self, key: &K) -> Option<Arc<V>> {
        self.fresh(key)?.value
    }

    fn fresh(&self, key: &K) -> Option<Entry<V>> {
        let (now, generation) = (self.clock.monotonic(), self.generation.load(SeqCst));
        let entry = self.entries.get(key).filter(|entry| entry.generation == generation)?;
        let age = now.saturating_sub(entry.read_at);
        let lifetime = if entry.value.is_some() { self.staleness } else { Some(self.absence) };
        lifetime.is_none_or(|lifetime| age < lifetime).then_some(entry)
    }

    /// Returns the document that `read` reads under `key`, bypassing the cache, and caches it.
    pub async fn read(&self, key: K, read: impl Future<Output = Result<Option<V>>>) -> Result<Option<Arc<V>>> {
        let (now, generation) = (self.clock.monotonic(), self.generation.load(SeqCst));
        let invalidations = self.invalidations.load(SeqCst);
        let value = read.await?.map(Arc::new);
        let read = Entry { value: value.clone(), read_at: now, generation };
        // Under the key's lock, which `invalidate` takes after it has incremented the counter.
        self.entries.entry(key).and_compute_with(|before| {
            let is_later = before.is_none_or(|before| before.value().read_at <= now);
            if is_later && self.invalidations.load(SeqCst) == invalidations { Op::Put(read) } else { Op::Nop }
        });
        Ok(value)
    }

    /// Returns whether a document under `key` existed when it was last read, at any time in the past.
    pub fn contains(&self, key: &K) -> bool {
        self.entries.get(key).is_some_and(|entry| entry.value.is_some())
    }

    /// Caches a document that has just been read.
    pub fn insert(&self, key: K, value: Arc<V>) {
        let (read_at, generation) = (self.clock.monotonic(), self.generation.load(SeqCst));
        self.entries.insert(key, Entry { value: Some(value), read_at, generation });
    }

    /// Invalidates all reads of `key` that began before now, in whatever order they end.
    pub fn invalidate(&self, key: K) {
        self.invalidations.fetch_add(1, SeqCst);
        self.entries.entry(key).and_compute_with(|_| Op::Remove);
    }

    /// Invalidates all documents read before now for which `matches` holds.
    pub fn invalidate_where(&self, matches: impl Fn(&V) -> bool)
    where
        K: Clone,
    {
        self.invalidations.fetch_add(1, SeqCst);
        let meant = self.entries.iter().filter(|(_, entry)| entry.value.as_deref().is_some_and(&matches));
        let keys: Vec<K> = meant.map(|(key, _)| (*key).clone()).collect();
        for key in keys {
            self.entries.entry(key).and_compute_with(|_| Op::Remove);
        }
    }

    /// Invalidates the whole cache.
    pub fn invalidate_all(&self) {
        self.invalidations.fetch_add(1, SeqCst);
        self.generation.fetch_add(1, SeqCst);
        self.entries.invalidate_all();
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::oneshot;

    use super::*;
    use crate::clock::{ManualClock, Timestamp};

    type Strings = TtlCache<String, String>;

    /// Returns a cache whose clock stands still, so that everything happens in one instant.
    fn cache() -> Strings {
        TtlCache::new(None, Arc::new(ManualClock::new(Timestamp::from_millis(0))))
    }

    async fn after_a_slow_read(while_reading: impl Fn(&Strings)) -> Option<String> {
        let cache = cache();
        let (answer, answered) = oneshot::channel::<()>();
        let read = async move {
            let _ = answered.await;
            Ok(Some("before".to_owned()))
        };
        let meanwhile = async {
            while_reading(&cache);
            answer.send(()).expect("it still reads");
        };
        // The read begins first.
        let (was_read, ()) = tokio::join!(biased; cache.get("a".to_owned(), read), meanwhile);
        was_read.expect("it reads");
        let now = cache.get("a".to_owned(), async { Ok(Some("after".to_owned())) }).await;
        now.expect("it reads").map(|value| (*value).clone())
    }

    #[tokio::test]
    async fn a_read_that_began_before_something_was_forgotten_never_brings_it_back() {
        assert_eq!(after_a_slow_read(|_| {}).await.as_deref(), Some("before"));
        assert_eq!(after_a_slow_read(|cache| cache.invalidate("a".to_owned())).await.as_deref(), Some("after"));
        assert_eq!(after_a_slow_read(Strings::invalidate_all).await.as_deref(), Some("after"));
    }

    #[tokio::test]
    async fn what_was_remembered_before_everything_was_forgotten_is_read_again() {
        let cache = cache();
        let get = async |value: &str| {
            let value = value.to_owned();
            let found = cache.get("a".to_owned(), async { Ok(Some(value)) }).await.expect("it reads");
            found.map(|value| (*value).clone())
        };
        assert_eq!(get("1").await.as_deref(), Some("1"));
        assert_eq!(get("2").await.as_deref(), Some("1"));
        cache.invalidate_all();
        assert_eq!(get("3").await.as_deref(), Some("3"));
    }
}
