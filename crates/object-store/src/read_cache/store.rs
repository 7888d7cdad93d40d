//! The caching decorator, and its hit rate.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering::Relaxed},
};

use async_trait::async_trait;
use foldhash::quality::RandomState;
use moka::sync::Cache;
use tokio::task::coop::consume_budget;

use larder_runtime::clock::Clock;

use crate::{
    body::{BodyError, ByteStream},
    error::{Error, Result, is_ambiguous},
    lifecycle::Lifecycle,
    object::{GetOptions, ListOptions, ListPage, Object, ObjectMeta, Precondition, PutOptions, PutOutcome},
    store::ObjectStore,
};

use super::{
    single_flight::{CachedObject, Fetcher, FlightResult, InFlight, Slot},
    stripes::{Epoch, IN_DOUBT_WINDOW, Stripes},
};

/// Maximum size of a cached object in bytes: its readers wait until all of it was read.
const MAX_OBJECT_BYTES: u64 = 64 * 1024;

/// Options of a cache.
#[derive(Debug, Clone, Copy)]
pub struct ReadCacheOptions {
    /// Maximum memory in bytes, including its own overhead.
    pub capacity_bytes: u64,
    /// Returns whether the object under a key may be cached: only objects that nothing but calls through this decorator
    /// removes.
    pub covers: fn(&str) -> bool,
}

/// An object store with small objects cached in memory.
///
/// Only for an object store without other writers.
#[derive(Debug)]
pub struct ReadCache {
    inner: Arc<dyn ObjectStore>,
    clock: Arc<dyn Clock>,
    covers: fn(&str) -> bool,
    objects: Cache<Arc<str>, Slot, RandomState>,
    stripes: Stripes,
    stats: CacheStats,
}

/// Source of the data for a read.
enum ReadSource {
    Memory(Arc<CachedObject>),
    InFlight(InFlight),
    Store(Fetch),
    /// The object is too large for the cache, or a write is under way or in doubt.
    StoreOnly,
}

/// State of a read that others may join.
struct Fetch {
    key: Arc<str>,
    epoch: Epoch,
    fetcher: Fetcher,
    flight: InFlight,
}

impl ReadCache {
    /// Caches objects of `inner`.
    pub fn new(inner: Arc<dyn ObjectStore>, clock: Arc<dyn Clock>, options: ReadCacheOptions) -> Self {
        let objects = Cache::builder()
            .max_capacity(options.capacity_bytes)
            .weigher(|key: &Arc<str>, slot: &Slot| slot.weight(key))
            .build_with_hasher(RandomState::default());
        let (stripes, stats) = (Stripes::default(), CacheStats::default());
        Self { inner, clock, covers: options.covers, objects, stripes, stats }
    }

    /// Returns the counters of hits and misses.
    pub fn stats(&self) -> &CacheStats {
        &self.stats
    }

    /// Returns the approximate memory in use, in bytes.
    pub fn held_bytes(&self) -> u64 {
        self.objects.run_pending_tasks();
        self.objects.weighted_size()
    }

    fn source_of(&self, key: &str) -> ReadSource {
        match self.objects.get(key) {
            Some(Slot::Small(object)) => return ReadSource::Memory(object),
            Some(Slot::Large) => return ReadSource::StoreOnly,
            None => {}
        }
        let mut stripe = self.stripes.lock(key);
        let Some(epoch) = stripe.epoch(self.clock.monotonic()) else {
            return ReadSource::StoreOnly;
        };
        if let Some(flight) = stripe.flight(key) {
            return ReadSource::InFlight(flight.clone());
        }
        let (fetcher, flight) = InFlight::start();
        let key: Arc<str> = Arc::from(key);
        stripe.add_flight(Arc::clone(&key), flight.clone());
        ReadSource::Store(Fetch { key, epoch, fetcher, flight })
    }

    /// Reads for all who join, and caches the result if it is still current.
    async fn fetch(&self, fetch: Fetch) -> Result<Object> {
        let Fetch { key, epoch, fetcher, flight } = fetch;
        let _guard = FlightGuard { stripes: &self.stripes, key: &key, flight };
        let object = self.inner.get(&key, GetOptions::default()).await?;
        if object.meta.size > MAX_OBJECT_BYTES {
            self.insert_if_current(&key, epoch, Slot::Large);
            return Ok(object);
        }
        let bytes = object.body.into_bytes(MAX_OBJECT_BYTES).await.map_err(map_body_error)?;
        let object = Arc::new(CachedObject { meta: object.meta, bytes });
        self.insert_if_current(&key, epoch, Slot::Small(Arc::clone(&object)));
        fetcher.complete(FlightResult::Object(Arc::clone(&object)));
        object.part(GetOptions::default())
    }

    /// Caches the result of a read, unless it may have been overwritten since `epoch`.
    fn insert_if_current(&self, key: &Arc<str>, epoch: Epoch, slot: Slot) {
        let stripe = self.stripes.lock(key);
        if stripe.is_current(epoch) {
            self.objects.insert(Arc::clone(key), slot);
        }
    }

    async fn read(&self, key: &str, options: GetOptions) -> Result<Object> {
        let source = self.source_of(key);
        let outcome = match &source {
            ReadSource::Memory(_) => ReadOutcome::Hit,
            ReadSource::InFlight(_) => ReadOutcome::Joined,
            ReadSource::Store(_) | ReadSource::StoreOnly => ReadOutcome::Miss,
        };
        self.stats.count(outcome);
        match source {
            ReadSource::Memory(object) => {
                // The cache answers without waiting: a caller in a loop must still yield now and then.
                consume_budget().await;
                object.part(options)
            }
            ReadSource::Store(fetch) if options.range.is_none() => self.fetch(fetch).await,
            // A range is no result for other readers: they cannot join it.
            ReadSource::Store(Fetch { key, flight, .. }) => {
                self.stripes.lock(&key).remove_flight(&key, &flight);
                self.inner.get(&key, options).await
            }
            ReadSource::StoreOnly => self.inner.get(key, options).await,
            ReadSource::InFlight(flight) => match flight.result().await {
                FlightResult::Object(object) => object.part(options),
                FlightResult::NotShared => self.inner.get(key, options).await,
            },
        }
    }

    /// Starts a write of `keys`: removes them from the cache until it is over.
    fn begin_write<'a>(&'a self, keys: impl Iterator<Item = &'a str>) -> WriteGuard<'a> {
        let keys: Vec<&str> = keys.filter(|key| (self.covers)(key)).collect();
        for key in &keys {
            let mut stripe = self.stripes.lock(key);
            stripe.begin_write(key);
            self.objects.invalidate(*key);
        }
        WriteGuard { store: self, keys, is_certain: false }
    }

    async fn write<T>(&self, keys: &[&str], call: impl Future<Output = Result<T>> + Send) -> Result<T> {
        let mut guard = self.begin_write(keys.iter().copied());
        let outcome = call.await;
        guard.is_certain = !is_ambiguous(&outcome);
        outcome
    }
}

/// Ends a read that others may have joined, whatever its outcome.
struct FlightGuard<'a> {
    stripes: &'a Stripes,
    key: &'a str,
    flight: InFlight,
}

impl Drop for FlightGuard<'_> {
    fn drop(&mut self) {
        self.stripes.lock(self.key).remove_flight(self.key, &self.flight);
    }
}

/// A write under way. Dropped with it, for instance because the client left, it leaves the outcome unknown.
struct WriteGuard<'a> {
    store: &'a ReadCache,
    keys: Vec<&'a str>,
    is_certain: bool,
}

impl Drop for WriteGuard<'_> {
    fn drop(&mut self) {
        let in_doubt_until = (!self.is_certain).then(|| self.store.clock.monotonic() + IN_DOUBT_WINDOW);
        for key in &self.keys {
            self.store.stripes.lock(key).end_write(in_doubt_until);
        }
    }
}

/// Maps the error of an object that broke off while it was read.
fn map_body_error(error: BodyError) -> Error {
    match error {
        BodyError::Storage(source) => Error::Unavailable(source),
        BodyError::Stalled | BodyError::TooSlow | BodyError::NoMemory => Error::Timeout,
        error @ (BodyError::Aborted | BodyError::TooLarge { .. } | BodyError::Malformed(_)) => {
            Error::Unavailable(error.into())
        }
    }
}

#[async_trait]
impl ObjectStore for ReadCache {
    async fn put(&self, key: &str, body: ByteStream, options: PutOptions) -> Result<PutOutcome> {
        self.write(&[key], self.inner.put(key, body, options)).await
    }

    async fn get(&self, key: &str, options: GetOptions) -> Result<Object> {
        if (self.covers)(key) { self.read(key, options).await } else { self.inner.get(key, options).await }
    }

    async fn head(&self, key: &str) -> Result<ObjectMeta> {
        match self.objects.get(key) {
            Some(Slot::Small(object)) => Ok(object.meta.clone()),
            Some(Slot::Large) | None => self.inner.head(key).await,
        }
    }

    async fn delete(&self, key: &str, precondition: Precondition) -> Result<()> {
        self.write(&[key], self.inner.delete(key, precondition)).await
    }

    async fn delete_many(&self, keys: Vec<String>) -> Result<()> {
        let removed = keys.clone();
        let removed: Vec<&str> = removed.iter().map(String::as_str).collect();
        self.write(&removed, self.inner.delete_many(keys)).await
    }

    async fn list(&self, options: ListOptions) -> Result<ListPage> {
        self.inner.list(options).await
    }

    async fn copy(&self, from: &str, to: &str, precondition: Precondition) -> Result<PutOutcome> {
        self.write(&[to], self.inner.copy(from, to, precondition)).await
    }

    async fn check(&self) -> Result<()> {
        self.inner.check().await
    }

    fn lifecycle(&self) -> Option<&dyn Lifecycle> {
        self.inner.lifecycle()
    }
}

/// Counters of hits, joins and misses. Clones share the counters.
#[derive(Debug, Clone, Default)]
pub struct CacheStats(Arc<[AtomicU64; 3]>);

/// The source of a read's result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReadOutcome {
    /// The cache.
    Hit,
    /// A read that was in flight.
    Joined,
    /// The object store.
    Miss,
}

impl CacheStats {
    pub(super) fn count(&self, outcome: ReadOutcome) {
        self.0[outcome as usize].fetch_add(1, Relaxed);
    }

    /// Returns the number of reads served from memory.
    pub fn hits(&self) -> u64 {
        self.count_of(ReadOutcome::Hit)
    }

    /// Returns the number of reads that joined one in flight.
    pub fn joined(&self) -> u64 {
        self.count_of(ReadOutcome::Joined)
    }

    /// Returns the number of reads that the object store served.
    pub fn misses(&self) -> u64 {
        self.count_of(ReadOutcome::Miss)
    }

    fn count_of(&self, outcome: ReadOutcome) -> u64 {
        self.0[outcome as usize].load(Relaxed)
    }
}
