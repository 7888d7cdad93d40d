//! Gateways over one object store, as many as a test wants.

use std::{sync::Arc, time::Duration};

use larder::{
    clock::{Clock, ManualClock, SeededRandom, Timestamp},
    kv::{
        CacheOptions, Catalog, CatalogOptions, ContentCoding, NewStore, RecordAttributes, Records, StoreName,
        StoreSnapshot, UserId,
    },
    storage::{ByteStream, ListOptions, ObjectStore, Precondition, in_memory::InMemoryStore},
};

/// Staleness bound of a gateway's view.
pub const STALENESS: Duration = Duration::from_secs(5);

/// An object store, a clock, and the owner of everything.
pub struct World {
    pub objects: Arc<dyn ObjectStore>,
    pub clock: Arc<ManualClock>,
    pub owner: UserId,
}

/// Components of one gateway.
pub struct Gateway {
    pub catalog: Arc<Catalog>,
    pub records: Records,
}

impl World {
    pub fn new() -> Self {
        let clock = Arc::new(ManualClock::new(Timestamp::from_millis(1_767_225_600_000)));
        let objects = Arc::new(InMemoryStore::new(clock.clone()));
        Self { objects, clock, owner: UserId::generate(&SeededRandom::new(0)) }
    }

    /// Returns a gateway that shares the object store with others.
    pub fn gateway(&self, seed: u64) -> Gateway {
        self.gateway_over(self.objects.clone(), seed, Some(STALENESS))
    }

    /// Returns a gateway that is alone.
    pub fn exclusive_gateway(&self, seed: u64) -> Gateway {
        self.gateway_over(self.objects.clone(), seed, None)
    }

    /// Returns a gateway that sees the object store through `objects`.
    pub fn gateway_over(&self, objects: Arc<dyn ObjectStore>, seed: u64, staleness: Option<Duration>) -> Gateway {
        let cache = CacheOptions { staleness, ..CacheOptions::default() };
        self.gateway_with(objects, seed, &CatalogOptions { cache, ..CatalogOptions::default() })
    }

    /// The same, with these options.
    pub fn gateway_with(&self, objects: Arc<dyn ObjectStore>, seed: u64, options: &CatalogOptions) -> Gateway {
        let clock: Arc<dyn Clock> = self.clock.clone();
        let catalog = Catalog::new(objects, clock, Arc::new(SeededRandom::new(seed)), options);
        Gateway { records: catalog.records(), catalog: Arc::new(catalog) }
    }

    /// Returns all object keys that begin with `prefix`.
    pub async fn keys(&self, prefix: &str) -> Vec<String> {
        let (mut keys, mut start_after) = (Vec::new(), None);
        loop {
            let options = ListOptions { prefix: prefix.to_owned(), start_after, limit: 1000 };
            let page = self.objects.list(options).await.expect("the reference lists");
            keys.extend(page.objects.into_iter().map(|object| object.key));
            start_after = keys.last().cloned().filter(|_| page.is_truncated);
            if start_after.is_none() {
                return keys;
            }
        }
    }

    /// Lets time pass in steps, with a run of the reconciler after each, until nothing is due any more for so long.
    pub async fn live(&self, gateway: &Gateway, time: Duration) {
        const STEP: Duration = Duration::from_mins(35);
        let mut passed = Duration::ZERO;
        while passed < time {
            self.clock.advance(STEP);
            passed += STEP;
            gateway.catalog.reconcile_due().await.expect("a run");
        }
    }
}

impl Gateway {
    pub async fn create(&self, owner: UserId, named: Option<&str>) -> Arc<StoreSnapshot> {
        self.catalog.create(owner, new_store(named)).await.expect("the store is made").store
    }

    pub async fn put(&self, store: &StoreSnapshot, key: &str, value: &'static str) -> larder::kv::Result<()> {
        let key = key.parse().expect("a valid key");
        let attributes =
            RecordAttributes { content_type: "text/plain".to_owned(), content_coding: None::<ContentCoding> };
        let body = ByteStream::from(bytes::Bytes::from_static(value.as_bytes()));
        self.records.put(store, &key, body, attributes, Precondition::None).await.map(|_| ())
    }
}

pub fn new_store(named: Option<&str>) -> NewStore {
    NewStore { name: named.map(name), ..NewStore::default() }
}

pub fn name(text: &str) -> StoreName {
    text.parse().expect("a valid name")
}
