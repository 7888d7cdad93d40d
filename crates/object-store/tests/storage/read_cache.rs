//! Objects kept in memory: one call for many readers, and never an old object.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::SeqCst},
    },
    time::Duration,
};

use async_trait::async_trait;
use larder_object_store::{
    ByteRange, ByteStream, Error, GetOptions, ListOptions, ListPage, Object, ObjectMeta, ObjectStore, Operation,
    Precondition, PutOptions, PutOutcome, Result,
    in_memory::InMemoryStore,
    metrics_layer::MetricsLayer,
    read_cache::{ReadCache, ReadCacheOptions},
};
use larder_runtime::clock::{ManualClock, SystemClock, Timestamp};
use larder_test_kit::fault_injection::{Call, Fault, FaultInjector, Refusal};
use tokio::{sync::Semaphore, task::JoinSet};

use crate::values::{MUCH, provided, put, read, value};

/// Turns of a test's runtime after which nothing more is to be expected.
const PATIENCE: usize = 100_000;

const CAPACITY: u64 = 8 << 20;

/// Responses to gets wait here once they are known, as long as `held` is closed.
#[derive(Debug)]
struct Held {
    inner: Arc<MetricsLayer<FaultInjector<InMemoryStore>>>,
    /// Number of gets whose response is known.
    waiting: AtomicU64,
    gate: Semaphore,
}

#[async_trait]
impl ObjectStore for Held {
    async fn put(&self, key: &str, body: ByteStream, options: PutOptions) -> Result<PutOutcome> {
        self.inner.put(key, body, options).await
    }

    async fn get(&self, key: &str, options: GetOptions) -> Result<Object> {
        let answer = self.inner.get(key, options).await;
        self.waiting.fetch_add(1, SeqCst);
        let _passed = self.gate.acquire().await.unwrap();
        answer
    }

    async fn head(&self, key: &str) -> Result<ObjectMeta> {
        self.inner.head(key).await
    }

    async fn delete(&self, key: &str, precondition: Precondition) -> Result<()> {
        self.inner.delete(key, precondition).await
    }

    async fn delete_many(&self, keys: Vec<String>) -> Result<()> {
        self.inner.delete_many(keys).await
    }

    async fn list(&self, options: ListOptions) -> Result<ListPage> {
        self.inner.list(options).await
    }

    async fn copy(&self, from: &str, to: &str, precondition: Precondition) -> Result<PutOutcome> {
        self.inner.copy(from, to, precondition).await
    }

    async fn check(&self) -> Result<()> {
        self.inner.check().await
    }
}

struct World {
    clock: Arc<ManualClock>,
    faulty: Arc<FaultInjector<InMemoryStore>>,
    measured: Arc<MetricsLayer<FaultInjector<InMemoryStore>>>,
    held: Arc<Held>,
    store: Arc<ReadCache>,
}

fn world() -> World {
    let clock = Arc::new(ManualClock::new(Timestamp::from_millis(0)));
    let memory = Arc::new(InMemoryStore::new(clock.clone()));
    let faulty = Arc::new(FaultInjector::new(memory, clock.clone()));
    let measured = Arc::new(MetricsLayer::new(faulty.clone()));
    let gate = Semaphore::new(Semaphore::MAX_PERMITS);
    let held = Arc::new(Held { inner: measured.clone(), waiting: AtomicU64::new(0), gate });
    let options = ReadCacheOptions { capacity_bytes: CAPACITY, covers: |key| !key.starts_with("never/") };
    let store = Arc::new(ReadCache::new(held.clone(), clock.clone(), options));
    World { clock, faulty, measured, held, store }
}

impl World {
    fn gets(&self) -> u64 {
        self.measured.counts().for_operation(Operation::Get).begun
    }

    /// Holds back the responses to gets from now on.
    fn hold(&self) {
        self.held.gate.forget_permits(Semaphore::MAX_PERMITS);
    }

    fn release(&self) {
        self.held.gate.add_permits(1_000_000);
    }

    /// Starts a read in a task of its own, which has its response and waits with it.
    async fn held_read(&self, key: &'static str) -> tokio::task::JoinHandle<Result<bytes::Bytes>> {
        let (before, store) = (self.held.waiting.load(SeqCst), self.store.clone());
        let reading = tokio::spawn(async move { read(store.as_ref(), key).await });
        until(|| self.held.waiting.load(SeqCst) > before).await;
        reading
    }
}

/// Lets other tasks run until a condition holds.
async fn until(is_so: impl Fn() -> bool) {
    for _ in 0..PATIENCE {
        if is_so() {
            return;
        }
        tokio::task::yield_now().await;
    }
    panic!("it does not come about");
}

#[tokio::test]
async fn what_was_read_once_is_read_from_memory_in_whole_and_in_parts() {
    let world = world();
    let bytes = value(1, 1000);
    let outcome = put(world.store.as_ref(), "a", &bytes).await;
    for _ in 0..3 {
        assert_eq!(read(world.store.as_ref(), "a").await.unwrap(), bytes);
    }
    let range = Some(ByteRange::Bounded { first: 10, last: 19 });
    let part = world.store.get("a", GetOptions { range }).await.unwrap();
    assert_eq!((part.range, part.meta.size, part.meta.etag), (10..20, 1000, outcome.etag));
    assert_eq!(part.body.into_bytes(MUCH).await.unwrap(), bytes.slice(10..20));
    let behind = world.store.get("a", GetOptions { range: Some(ByteRange::From(1000)) }).await;
    assert!(matches!(behind, Err(Error::RangeNotSatisfiable { size: 1000 })));
    assert_eq!(world.store.head("a").await.unwrap().size, 1000);
    let counts = world.measured.counts();
    assert_eq!((counts.for_operation(Operation::Get).begun, counts.for_operation(Operation::Head).begun), (1, 0));
    assert_eq!((world.store.stats().hits(), world.store.stats().misses()), (4, 1));
}

#[tokio::test]
async fn what_is_not_covered_or_too_big_is_never_kept() {
    let world = world();
    put(world.store.as_ref(), "never/a", &value(1, 10)).await;
    put(world.store.as_ref(), "big", &value(2, 64 * 1024 + 1)).await;
    for calls in 1..=3 {
        read(world.store.as_ref(), "never/a").await.unwrap();
        assert_eq!(read(world.store.as_ref(), "big").await.unwrap(), value(2, 64 * 1024 + 1));
        assert_eq!(world.gets(), 2 * calls);
    }
    // A read of an object that is known to be big waits for no other read.
    world.hold();
    let _first = world.held_read("big").await;
    let _second = world.held_read("big").await;
    assert_eq!(world.store.stats().joined(), 0);
}

#[tokio::test]
async fn many_readers_of_an_object_that_is_not_in_memory_are_one_call() {
    let world = world();
    let bytes = value(1, 1000);
    put(world.store.as_ref(), "a", &bytes).await;
    world.hold();
    let first = world.held_read("a").await;
    let mut others = JoinSet::new();
    for _ in 0..1000 {
        let store = world.store.clone();
        others.spawn(async move { read(store.as_ref(), "a").await.unwrap() });
    }
    until(|| world.store.stats().joined() == 1000).await;
    world.release();
    assert_eq!(first.await.unwrap().unwrap(), bytes);
    assert!(others.join_all().await.iter().all(|read| *read == bytes));
    assert_eq!(world.gets(), 1);
}

#[tokio::test]
async fn those_who_joined_a_reader_who_left_read_by_themselves() {
    let world = world();
    put(world.store.as_ref(), "a", &value(1, 1000)).await;
    world.hold();
    let first = world.held_read("a").await;
    let store = world.store.clone();
    let second = tokio::spawn(async move { read(store.as_ref(), "a").await });
    until(|| world.store.stats().joined() == 1).await;
    first.abort();
    world.release();
    assert_eq!(second.await.unwrap().unwrap(), value(1, 1000));
    read(world.store.as_ref(), "a").await.unwrap();
    assert_eq!(world.gets(), 3, "it was not cached, and is read once more to be cached");
}

#[tokio::test]
async fn what_was_read_before_a_write_is_neither_kept_nor_joined_after_it() {
    let world = world();
    put(world.store.as_ref(), "a", &value(1, 1000)).await;
    world.hold();
    let old = world.held_read("a").await;
    put(world.store.as_ref(), "a", &value(2, 1000)).await;
    let new = world.held_read("a").await;
    world.release();
    assert_eq!(old.await.unwrap().unwrap(), value(1, 1000), "it began before the write");
    assert_eq!(new.await.unwrap().unwrap(), value(2, 1000));
    assert_eq!(read(world.store.as_ref(), "a").await.unwrap(), value(2, 1000));
}

#[tokio::test]
async fn each_kind_of_write_makes_it_forget() {
    let world = world();
    let store = world.store.as_ref();
    for key in ["put", "delete", "delete_many", "copy"] {
        put(store, key, &value(1, 100)).await;
        read(store, key).await.unwrap();
    }
    put(store, "put", &value(2, 100)).await;
    store.delete("delete", Precondition::None).await.unwrap();
    store.delete_many(vec!["delete_many".to_owned()]).await.unwrap();
    store.copy("put", "copy", Precondition::None).await.unwrap();
    assert_eq!(read(store, "put").await.unwrap(), value(2, 100));
    assert_eq!(read(store, "copy").await.unwrap(), value(2, 100));
    for key in ["delete", "delete_many"] {
        assert!(matches!(read(store, key).await, Err(Error::NotFound)), "{key}");
        assert!(matches!(store.head(key).await, Err(Error::NotFound)), "{key}");
    }
}

#[tokio::test]
async fn a_write_that_may_still_arrive_keeps_its_key_out_of_memory_for_a_minute() {
    let unclear = [Fault::LoseResponse, Fault::Refuse(Refusal::Timeout), Fault::Refuse(Refusal::Unavailable)];
    for fault in unclear {
        let world = world();
        let store = world.store.as_ref();
        put(store, "a", &value(1, 100)).await;
        let call = Call { operation: Some(Operation::Put), ..Call::default() };
        world.faulty.inject(call, fault);
        store.put("a", value(2, 100).into(), provided(Precondition::None)).await.unwrap_err();
        for _ in 0..3 {
            read(store, "a").await.unwrap();
        }
        assert_eq!(world.gets(), 3);
        world.clock.advance(Duration::from_secs(61));
        for _ in 0..3 {
            read(store, "a").await.unwrap();
        }
        assert_eq!(world.gets(), 4);
    }
}

#[tokio::test]
async fn a_write_whose_client_left_may_still_arrive() {
    let world = world();
    put(world.store.as_ref(), "a", &value(1, 100)).await;
    let endless = ByteStream::new(None, futures_util::stream::pending());
    let store = world.store.clone();
    let writing = tokio::spawn(async move { store.put("a", endless, provided(Precondition::None)).await });
    tokio::task::yield_now().await;
    writing.abort();
    let _ = writing.await;
    read(world.store.as_ref(), "a").await.unwrap();
    read(world.store.as_ref(), "a").await.unwrap();
    assert_eq!(world.gets(), 2);
}

#[tokio::test]
async fn memory_is_bounded() {
    let world = world();
    let store = world.store.as_ref();
    for key in 0..2000 {
        let key = format!("key-{key}");
        put(store, &key, &value(1, 32 * 1024)).await;
        read(store, &key).await.unwrap();
        assert!(store.held_bytes() <= CAPACITY + (1 << 20), "{}", store.held_bytes());
    }
    assert!(store.held_bytes() > CAPACITY / 2);
}

/// Writers of a few keys count up, and readers never see less than what was acknowledged before they began.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_read_is_older_than_what_was_acknowledged_before_it_began() {
    let clock = Arc::new(SystemClock);
    let inner = Arc::new(InMemoryStore::new(clock.clone()));
    let options = ReadCacheOptions { capacity_bytes: CAPACITY, covers: |_| true };
    let store = Arc::new(ReadCache::new(inner, clock, options));
    let acknowledged: Arc<[AtomicU64; 4]> = Arc::default();
    for key in ["0", "1", "2", "3"] {
        put(store.as_ref(), key, &bytes::Bytes::copy_from_slice(&0_u64.to_le_bytes())).await;
    }
    let mut tasks = JoinSet::new();
    for index in 0..4_usize {
        let (writers, written) = (store.clone(), acknowledged.clone());
        let (store, acknowledged) = (store.clone(), acknowledged.clone());
        tasks.spawn(async move {
            for version in 1..=5_000_u64 {
                let bytes = bytes::Bytes::copy_from_slice(&version.to_le_bytes());
                put(writers.as_ref(), &index.to_string(), &bytes).await;
                written[index].store(version, SeqCst);
                tokio::task::yield_now().await;
            }
        });
        tasks.spawn(async move {
            for _ in 0..20_000 {
                let least = acknowledged[index].load(SeqCst);
                let bytes = read(store.as_ref(), &index.to_string()).await.unwrap();
                let version = u64::from_le_bytes(bytes[..].try_into().unwrap());
                assert!(version >= least, "{version} was read after {least} was acknowledged");
            }
        });
    }
    while let Some(ended) = tasks.join_next().await {
        ended.unwrap();
    }
    assert!(store.stats().hits() > 0 && store.stats().misses() > 0, "{:?}", store.stats());
}
