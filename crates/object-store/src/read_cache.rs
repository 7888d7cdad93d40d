//! A decorator that caches small objects in memory, for an object store without other writers.
//!
//! Each answer is one that the object store would have given at some moment of the call. A write removes the object
//! from the cache before it begins, and the result of a concurrent read is not cached.
//!
//! ```text
//! reader  GET k: v1 is on its way           writer  removes k, PUT k v2: 200
//! reader  v1 is here: caches it             all later readers  GET k: v1, for ever
//! ```
//!
//! 1. The reader notes the `stripe` of the key. If a write of the stripe is under way, or may still arrive, the read
//!    bypasses the cache.
//! 2. If another reader is fetching the object, it joins that call. Else it sends its own.
//! 3. It caches the result only if no write of the stripe has begun since step 1.
//!
//! Entries are weighted by size, and objects of more than 64 KiB are never cached. The caller decides which keys are
//! covered. It is the outermost layer but the fence, and decides nothing about the age of data.

use std::{
    collections::HashMap,
    hash::BuildHasher,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use foldhash::quality::RandomState;
use moka::sync::Cache;
use parking_lot::{Mutex, MutexGuard};
use tokio::{sync::watch, task::coop::consume_budget};

use larder_runtime::clock::Clock;

use super::{
    body::{BodyError, ByteStream},
    lifecycle::Lifecycle,
    object::{Attributes, GetOptions, ListOptions, ListPage, Object, ObjectMeta, Precondition, PutOptions, PutOutcome},
    store::{Error, ObjectStore, Result, is_ambiguous},
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
enum ReadOutcome {
    /// The cache.
    Hit,
    /// A read that was in flight.
    Joined,
    /// The object store.
    Miss,
}

impl CacheStats {
    fn count(&self, outcome: ReadOutcome) {
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

// Single flight: concurrent reads of an object share one call of the object store, and its result as a cache entry.

/// The result of a flight.
#[derive(Debug, Clone)]
enum FlightResult {
    /// The object.
    Object(Arc<CachedObject>),
    /// No result to share: an error, or an object that is too large. Each reader reads on its own.
    NotShared,
}

/// A read in flight, as its followers see it.
#[derive(Debug, Clone)]
struct InFlight(watch::Receiver<Option<FlightResult>>);

/// A read in flight, as its reader sees it. Dropped before it landed, it leaves the followers to read on their own.
#[derive(Debug)]
struct Fetcher(watch::Sender<Option<FlightResult>>);

impl InFlight {
    /// Starts a flight.
    fn start() -> (Fetcher, Self) {
        let (sender, receiver) = watch::channel(None);
        (Fetcher(sender), Self(receiver))
    }

    /// Waits for the result.
    async fn result(mut self) -> FlightResult {
        let landed = self.0.wait_for(Option::is_some).await;
        landed.ok().and_then(|result| result.clone()).unwrap_or(FlightResult::NotShared)
    }

    /// Returns whether both are the same read.
    fn is_same(&self, other: &Self) -> bool {
        self.0.same_channel(&other.0)
    }
}

impl Fetcher {
    /// Publishes the result to all followers.
    fn complete(self, result: FlightResult) {
        self.0.send_replace(Some(result));
    }
}

/// Approximate memory of an object beside its bytes and its key.
const ENTRY_OVERHEAD_BYTES: usize = 384;

/// A cached object.
#[derive(Debug)]
struct CachedObject {
    /// Metadata of the object.
    meta: ObjectMeta,
    /// All its bytes.
    bytes: Bytes,
}

/// The cache entry of a key.
#[derive(Debug, Clone)]
enum Slot {
    /// The object.
    Small(Arc<CachedObject>),
    /// The object is too large to be cached, so no reader should wait for another's read of it.
    Large,
}

impl Slot {
    /// Returns the approximate memory in bytes under this key.
    fn weight(&self, key: &str) -> u32 {
        u32::try_from(ENTRY_OVERHEAD_BYTES + key.len() + self.object().map_or(0, CachedObject::weight))
            .unwrap_or(u32::MAX)
    }

    fn object(&self) -> Option<&CachedObject> {
        match self {
            Self::Small(object) => Some(object),
            Self::Large => None,
        }
    }
}

impl CachedObject {
    fn weight(&self) -> usize {
        let Attributes { content_type, content_encoding } = &self.meta.attributes;
        self.bytes.len() + content_type.len() + content_encoding.as_ref().map_or(0, String::len)
    }

    /// Returns the part that `options` ask for, without a copy.
    fn part(&self, options: GetOptions) -> Result<Object> {
        let size = self.meta.size;
        let range = match options.range {
            None => 0..size,
            Some(range) => range.resolve(size).ok_or(Error::RangeNotSatisfiable { size })?,
        };
        let offset = |at: u64| usize::try_from(at).unwrap_or(usize::MAX);
        let body = ByteStream::from(self.bytes.slice(offset(range.start)..offset(range.end)));
        Ok(Object { meta: self.meta.clone(), range, body })
    }
}

// Stripes: the shared state of keys with the same hash.
//
// A stripe covers about a thousandth of all keys. Sharing one costs a key only this: a write of one keeps the others
// from being cached meanwhile.

/// Number of stripes.
const STRIPES: usize = 1024;

/// Time for which a write with unknown outcome may still take effect: the same as that of `single_writer`.
const IN_DOUBT_WINDOW: Duration = Duration::from_mins(1);

/// The state of the keys of a stripe.
#[derive(Debug, Default)]
struct Stripe {
    /// Number of writes that began.
    epoch: u64,
    /// Number of writes under way.
    writers: usize,
    /// End, by the monotonic clock, of the time in which a write with unknown outcome may still arrive.
    in_doubt_until: Duration,
    /// Reads that others may join.
    flights: HashMap<Arc<str>, InFlight, RandomState>,
}

/// The number of writes of a stripe that a reader has seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Epoch(u64);

impl Stripe {
    /// Returns the epoch to note before a read; `None` while its result may be outdated on arrival.
    fn epoch(&self, now: Duration) -> Option<Epoch> {
        (self.writers == 0 && self.in_doubt_until <= now).then_some(Epoch(self.epoch))
    }

    /// Returns whether no write has begun since `epoch`.
    fn is_current(&self, epoch: Epoch) -> bool {
        self.epoch == epoch.0
    }

    /// Starts a write: no more readers may join the reads under way.
    fn begin_write(&mut self, key: &str) {
        self.epoch += 1;
        self.writers += 1;
        self.flights.remove(key);
    }

    /// Ends a write; one with unknown outcome may still arrive for a while.
    fn end_write(&mut self, in_doubt_until: Option<Duration>) {
        self.writers -= 1;
        if let Some(until) = in_doubt_until {
            self.in_doubt_until = self.in_doubt_until.max(until);
        }
    }

    /// Returns the read of `key` in flight.
    fn flight(&self, key: &str) -> Option<&InFlight> {
        self.flights.get(key)
    }

    /// Starts a read of `key` that others may join.
    fn add_flight(&mut self, key: Arc<str>, flight: InFlight) {
        self.flights.insert(key, flight);
    }

    /// Ends a read, unless another one has replaced it.
    fn remove_flight(&mut self, key: &str, flight: &InFlight) {
        if self.flights.get(key).is_some_and(|current| current.is_same(flight)) {
            self.flights.remove(key);
        }
    }
}

/// All stripes.
#[derive(Debug)]
struct Stripes {
    stripes: Box<[Mutex<Stripe>]>,
    hasher: RandomState,
}

impl Default for Stripes {
    fn default() -> Self {
        Self { stripes: (0..STRIPES).map(|_| Mutex::default()).collect(), hasher: RandomState::default() }
    }
}

impl Stripes {
    /// Locks the stripe of `key`: for steps that neither wait nor call the object store.
    fn lock(&self, key: &str) -> MutexGuard<'_, Stripe> {
        let index = usize::try_from(self.hasher.hash_one(key) % STRIPES as u64).unwrap_or_default();
        self.stripes[index].lock()
    }
}
