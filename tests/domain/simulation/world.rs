//! A simulated world: an object store, two gateways that can crash, and one store.

use std::{
    collections::BTreeSet,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use larder::{
    clock::{Clock, SeededRandom},
    kv::{
        CacheOptions, Catalog, CatalogOptions, NewStore, RecordKey, Records, Retention, SafetyToggles, StoreId,
        StoreLocator, UserId,
    },
    storage::{ListOptions, ObjectStore, in_memory::InMemoryStore},
};

use super::{
    flaky_store::{FlakyStore, Rng, Weather},
    history::{History, Value},
    time::SimulatedClock,
};

/// Staleness bound of a gateway's view.
const STALENESS: Duration = Duration::from_secs(5);

/// The records of the store.
pub const KEYS: [&str; 2] = ["a", "b"];

/// Parameters of a world.
#[derive(Debug, Clone, Copy)]
pub struct Scenario {
    /// Fault rates of the connections.
    pub weather: Weather,
    /// Lifetime of the store, unless it is changed.
    pub life: Duration,
    /// Number of clients.
    pub clients: u64,
    /// The longest pause of each between two actions, in milliseconds.
    pub pause_ms: u64,
    /// Safety toggles.
    pub toggles: SafetyToggles,
}

/// A gateway.
#[derive(Clone)]
pub struct Gateway {
    pub catalog: Arc<Catalog>,
    pub records: Arc<Records>,
    is_cut_off: Arc<AtomicBool>,
}

pub struct World {
    pub clock: Arc<SimulatedClock>,
    pub rng: Rng,
    pub owner: UserId,
    pub objects: Arc<InMemoryStore>,
    steps: Arc<AtomicU64>,
    pub scenario: Scenario,
    gateways: Mutex<Vec<Gateway>>,
    history: Mutex<History>,
}

impl World {
    pub fn new(seed: u64, scenario: Scenario, steps: Arc<AtomicU64>) -> Arc<Self> {
        let clock = Arc::new(SimulatedClock::default());
        let world = Self {
            objects: Arc::new(InMemoryStore::new(clock.clone())),
            clock,
            rng: Rng::new(seed),
            owner: UserId::generate(&SeededRandom::new(seed)),
            steps,
            scenario,
            gateways: Mutex::default(),
            history: Mutex::default(),
        };
        let gateways = [world.start(), world.start()];
        world.gateways.lock().expect("no thread panicked").extend(gateways);
        Arc::new(world)
    }

    /// Returns a gateway that has just started.
    fn start(&self) -> Gateway {
        let is_cut_off = Arc::<AtomicBool>::default();
        let store = FlakyStore::new(
            self.objects.clone(),
            self.clock.clone(),
            self.rng.below(u64::MAX),
            self.scenario.weather,
            self.steps.clone(),
            is_cut_off.clone(),
        );
        self.gateway(Arc::new(store), is_cut_off)
    }

    fn gateway(&self, objects: Arc<dyn ObjectStore>, is_cut_off: Arc<AtomicBool>) -> Gateway {
        let cache = CacheOptions { staleness: Some(STALENESS), ..CacheOptions::default() };
        let options = CatalogOptions {
            count_interval: Duration::from_mins(1),
            cache,
            classes: Some(STALENESS),
            clock_guard: None,
            expiry_confirmation: CatalogOptions::EXPIRY_CONFIRMATION,
            toggles: self.scenario.toggles,
            retention: Retention::from_days(self.scenario.life.as_secs_f64() / 86_400.0).expect("a retention"),
        };
        let random = Arc::new(SeededRandom::new(self.rng.below(u64::MAX)));
        let catalog = Arc::new(Catalog::new(objects, self.clock.clone(), random, &options));
        Gateway { records: Arc::new(catalog.records()), catalog, is_cut_off }
    }

    /// Either gateway.
    pub fn any_gateway(&self) -> Gateway {
        let chosen = usize::try_from(self.rng.below(2)).expect("it is small");
        self.gateway_at(chosen)
    }

    pub fn gateway_at(&self, index: usize) -> Gateway {
        self.gateways.lock().unwrap_or_else(PoisonError::into_inner)[index].clone()
    }

    /// Crashes a gateway, and starts another in its place. The crashed one's calls in flight never return.
    pub fn crash(&self, index: usize) {
        let next = self.start();
        let crashed = std::mem::replace(&mut self.gateways.lock().expect("no thread panicked")[index], next);
        crashed.is_cut_off.store(true, Ordering::Relaxed);
    }

    pub fn now(&self) -> Duration {
        self.clock.monotonic()
    }

    pub fn history(&self) -> MutexGuard<'_, History> {
        self.history.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the store that everything is about, made over a line without faults.
    pub async fn create(&self) -> StoreId {
        let maker = self.gateway(self.objects.clone(), Arc::default());
        let store = maker.catalog.create(self.owner, NewStore::default()).await.expect("a store").store;
        self.history().set_end(Some(self.now() + self.scenario.life));
        store.document.id
    }

    /// Returns all contradictions: in the final state, and in everything that clients observed.
    pub async fn check(&self, id: StoreId) -> BTreeSet<&'static str> {
        let reader = self.gateway(self.objects.clone(), Arc::default());
        let mut last: Vec<(&'static str, Value)> = Vec::new();
        let mut misplaced = BTreeSet::new();
        match reader.catalog.resolve(&StoreLocator::Id(id)).await {
            Ok(store) => {
                for key in KEYS {
                    let record: RecordKey = key.parse().expect("a key");
                    last.push((key, read(&reader, &store, &record).await.expect("it answers")));
                }
                if store.document.relocation().is_some() {
                    misplaced.insert("still moving");
                } else if self.places(id).await.len() > 1 {
                    misplaced.insert("something is left in an old place");
                }
            }
            Err(_) => self.history().gone(self.now()),
        }
        let history = std::mem::take(&mut *self.history());
        history.check(&last, self.now()).into_iter().chain(misplaced).collect()
    }

    /// Returns the locations that have records of the store.
    async fn places(&self, id: StoreId) -> BTreeSet<String> {
        let options = ListOptions { prefix: "larder/".to_owned(), start_after: None, limit: 1000 };
        let objects = self.objects.list(options).await.expect("a list").objects;
        let of_store = objects.into_iter().map(|object| object.key).filter(|key| key.contains(&format!("/{id}/")));
        of_store.filter_map(|key| key.rsplit_once('/').map(|(place, _)| place.to_owned())).collect()
    }
}

/// Returns the value of a record, as a gateway sees it.
pub async fn read(gateway: &Gateway, store: &larder::kv::StoreSnapshot, key: &RecordKey) -> larder::kv::Result<Value> {
    match gateway.records.get(store, key, None).await {
        Ok(object) => {
            let bytes = object.body.into_bytes(64).await.expect("a short body");
            Ok(std::str::from_utf8(&bytes).ok().and_then(|text| text.parse().ok()))
        }
        Err(larder::kv::Error::RecordNotFound) => Ok(None),
        Err(error) => Err(error),
    }
}
