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
    error::{Error, Result, leaves_open},
    lifecycle::Lifecycle,
    object::{GetOptions, ListOptions, ListPage, Object, ObjectMeta, Precondition, PutOptions, PutOutcome},
    store::ObjectStore,
};

use super::{
    single_flight::{Flight, Kept, Landing, Pilot, Whole},
    stripes::{DOUBT, Epoch, Stripes},
};

/// Maximum size of a cached object in bytes: its readers wait until all of it was read.
const MAX_OBJECT: u64 = 64 * 1024;

/// Options of a cache.
#[derive(Debug, Clone, Copy)]
pub struct CachedOptions {
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
pub struct CachedStore {
    inner: Arc<dyn ObjectStore>,
    clock: Arc<dyn Clock>,
    covers: fn(&str) -> bool,
    objects: Cache<Arc<str>, Kept, RandomState>,
    stripes: Stripes,
    uses: CacheUses,
}

/// Source of the data for a read.
enum Source {
    Memory(Arc<Whole>),
    Flight(Flight),
    Store(Lead),
    /// The object is too large for the cache, or a write is under way or in doubt.
    StoreOnly,
}

/// State of a read that others may join.
struct Lead {
    key: Arc<str>,
    epoch: Epoch,
    pilot: Pilot,
    flight: Flight,
}

impl CachedStore {
    /// Caches objects of `inner`.
    pub fn new(inner: Arc<dyn ObjectStore>, clock: Arc<dyn Clock>, options: CachedOptions) -> Self {
        let objects = Cache::builder()
            .max_capacity(options.capacity_bytes)
            .weigher(|key: &Arc<str>, kept: &Kept| kept.weight(key))
            .build_with_hasher(RandomState::default());
        let (stripes, uses) = (Stripes::default(), CacheUses::default());
        Self { inner, clock, covers: options.covers, objects, stripes, uses }
    }

    /// Returns the counters of hits and misses.
    pub fn uses(&self) -> &CacheUses {
        &self.uses
    }

    /// Returns the approximate memory in use, in bytes.
    pub fn held_bytes(&self) -> u64 {
        self.objects.run_pending_tasks();
        self.objects.weighted_size()
    }

    fn source(&self, key: &str) -> Source {
        match self.objects.get(key) {
            Some(Kept::Small(object)) => return Source::Memory(object),
            Some(Kept::Large) => return Source::StoreOnly,
            None => {}
        }
        let mut stripe = self.stripes.of(key);
        let Some(epoch) = stripe.epoch(self.clock.monotonic()) else {
            return Source::StoreOnly;
        };
        if let Some(flight) = stripe.flight(key) {
            return Source::Flight(flight.clone());
        }
        let (pilot, flight) = Flight::begin();
        let key: Arc<str> = Arc::from(key);
        stripe.begin_flight(Arc::clone(&key), flight.clone());
        Source::Store(Lead { key, epoch, pilot, flight })
    }

    /// Reads for all who join, and caches the result if it is still current.
    async fn lead(&self, lead: Lead) -> Result<Object> {
        let Lead { key, epoch, pilot, flight } = lead;
        let _landed = Landed { stripes: &self.stripes, key: &key, flight };
        let object = self.inner.get(&key, GetOptions::default()).await?;
        if object.meta.size > MAX_OBJECT {
            self.keep(&key, epoch, Kept::Large);
            return Ok(object);
        }
        let bytes = object.body.into_bytes(MAX_OBJECT).await.map_err(unread)?;
        let whole = Arc::new(Whole { meta: object.meta, bytes });
        self.keep(&key, epoch, Kept::Small(Arc::clone(&whole)));
        pilot.land(Landing::Object(Arc::clone(&whole)));
        whole.part(GetOptions::default())
    }

    /// Caches the result of a read, unless it may have been overwritten since `epoch`.
    fn keep(&self, key: &Arc<str>, epoch: Epoch, kept: Kept) {
        let stripe = self.stripes.of(key);
        if stripe.is_still(epoch) {
            self.objects.insert(Arc::clone(key), kept);
        }
    }

    async fn read(&self, key: &str, options: GetOptions) -> Result<Object> {
        let source = self.source(key);
        let answered = match &source {
            Source::Memory(_) => Use::Hit,
            Source::Flight(_) => Use::Joined,
            Source::Store(_) | Source::StoreOnly => Use::Miss,
        };
        self.uses.count(answered);
        match source {
            Source::Memory(object) => {
                // The cache answers without waiting: a caller in a loop must still yield now and then.
                consume_budget().await;
                object.part(options)
            }
            Source::Store(lead) if options.range.is_none() => self.lead(lead).await,
            // A range is no result for other readers: they cannot join it.
            Source::Store(Lead { key, flight, .. }) => {
                self.stripes.of(&key).end_flight(&key, &flight);
                self.inner.get(&key, options).await
            }
            Source::StoreOnly => self.inner.get(key, options).await,
            Source::Flight(flight) => match flight.landing().await {
                Landing::Object(object) => object.part(options),
                Landing::Alone => self.inner.get(key, options).await,
            },
        }
    }

    /// Starts a write of `keys`: removes them from the cache until it is over.
    fn begin_write<'a>(&'a self, keys: impl Iterator<Item = &'a str>) -> Writing<'a> {
        let keys: Vec<&str> = keys.filter(|key| (self.covers)(key)).collect();
        for key in &keys {
            let mut stripe = self.stripes.of(key);
            stripe.begin_write(key);
            self.objects.invalidate(*key);
        }
        Writing { store: self, keys, is_certain: false }
    }

    async fn write<T>(&self, keys: &[&str], call: impl Future<Output = Result<T>> + Send) -> Result<T> {
        let mut writing = self.begin_write(keys.iter().copied());
        let outcome = call.await;
        writing.is_certain = !leaves_open(&outcome);
        outcome
    }
}

/// Ends a read that others may have joined, whatever its outcome.
struct Landed<'a> {
    stripes: &'a Stripes,
    key: &'a str,
    flight: Flight,
}

impl Drop for Landed<'_> {
    fn drop(&mut self) {
        self.stripes.of(self.key).end_flight(self.key, &self.flight);
    }
}

/// A write under way. Dropped with it, for instance because the client left, it leaves the outcome unknown.
struct Writing<'a> {
    store: &'a CachedStore,
    keys: Vec<&'a str>,
    is_certain: bool,
}

impl Drop for Writing<'_> {
    fn drop(&mut self) {
        let doubtful_until = (!self.is_certain).then(|| self.store.clock.monotonic() + DOUBT);
        for key in &self.keys {
            self.store.stripes.of(key).end_write(doubtful_until);
        }
    }
}

/// Maps the error of an object that broke off while it was read.
fn unread(error: BodyError) -> Error {
    match error {
        BodyError::Storage(source) => Error::Unavailable(source),
        BodyError::Stalled | BodyError::TooSlow | BodyError::NoMemory => Error::Timeout,
        error @ (BodyError::Aborted | BodyError::TooLarge { .. } | BodyError::Malformed(_)) => {
            Error::Unavailable(error.into())
        }
    }
}

#[async_trait]
impl ObjectStore for CachedStore {
    async fn put(&self, key: &str, body: ByteStream, options: PutOptions) -> Result<PutOutcome> {
        self.write(&[key], self.inner.put(key, body, options)).await
    }

    async fn get(&self, key: &str, options: GetOptions) -> Result<Object> {
        if (self.covers)(key) { self.read(key, options).await } else { self.inner.get(key, options).await }
    }

    async fn head(&self, key: &str) -> Result<ObjectMeta> {
        match self.objects.get(key) {
            Some(Kept::Small(object)) => Ok(object.meta.clone()),
            Some(Kept::Large) | None => self.inner.head(key).await,
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
pub struct CacheUses(Arc<[AtomicU64; 3]>);

/// The source of a read's result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Use {
    /// The cache.
    Hit,
    /// A read that was in flight.
    Joined,
    /// The object store.
    Miss,
}

impl CacheUses {
    pub(super) fn count(&self, answered: Use) {
        self.0[answered as usize].fetch_add(1, Relaxed);
    }

    /// Returns the number of reads answered from memory.
    pub fn hits(&self) -> u64 {
        self.of(Use::Hit)
    }

    /// Returns the number of reads that joined one in flight.
    pub fn joined(&self) -> u64 {
        self.of(Use::Joined)
    }

    /// Returns the number of reads that the object store answered.
    pub fn misses(&self) -> u64 {
        self.of(Use::Miss)
    }

    fn of(&self, answered: Use) -> u64 {
        self.0[answered as usize].load(Relaxed)
    }
}
