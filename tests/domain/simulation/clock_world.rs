//! A simulated world whose clocks are wrong: an object store with a clock of its own, gateways on machines with theirs.

use std::{
    collections::BTreeSet,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicI64, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use larder::{
    auth::{Token, TokenRepository, UserRepository},
    clock::{Clock, ClockGuard, ClockToggles, SeededRandom, SkewCorrectedClock, Timestamp},
    jobs::RunSupervision,
    kv::{CacheOptions, Catalog, CatalogOptions, ClockRecords, Records, SafetyToggles, StoreId, UserId},
    runs::{RunOptions, RunRepository},
    storage::{GetOptions, ObjectStore, in_memory::InMemoryStore},
};

use super::{clocks::reconciler_task, flaky_store::Rng, time::SimulatedClock};

/// A machine's clock, which may be wrong.
#[derive(Debug)]
pub struct MachineClock {
    time: Arc<SimulatedClock>,
    wrong_by: AtomicI64,
}

impl MachineClock {
    pub fn new(time: &Arc<SimulatedClock>, wrong_by: i64) -> Arc<Self> {
        Arc::new(Self { time: time.clone(), wrong_by: AtomicI64::new(wrong_by) })
    }

    pub fn set_wrong_by(&self, millis: i64) {
        self.wrong_by.store(millis, Ordering::SeqCst);
    }

    pub fn is_right(&self) -> bool {
        self.wrong_by.load(Ordering::SeqCst) == 0
    }
}

#[async_trait]
impl Clock for MachineClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.time.now().as_millis() + self.wrong_by.load(Ordering::SeqCst))
    }

    fn monotonic(&self) -> Duration {
        self.time.monotonic()
    }

    async fn sleep(&self, duration: Duration) {
        self.time.sleep(duration).await;
    }
}

/// Faults of the world.
#[derive(Debug, Clone, Copy)]
pub enum Trouble {
    /// Nothing.
    None,
    /// A clock jumps while gateways run, and is set right after a while.
    Jumps { whose: Whose, by: i64, at: Duration, lasts: Duration },
    /// A gateway is restarted while a clock is wrong, which is set right after a while.
    StartsWrong { whose: Whose, by: i64, at: Duration, lasts: Duration },
    /// The same, but the clock is right at the next start.
    StartsWrongAndAgain { by: i64, at: Duration, lasts: Duration },
    /// The first start of all is at a time long ago, which is corrected while it runs.
    FirstStartLongAgo { lasts: Duration },
    /// The machine is off for twenty hours each day.
    OffAtNight,
    /// The machine sleeps for twenty hours each day.
    SleepsAtNight,
}

impl Trouble {
    /// Returns a time at which it lasts.
    pub fn middle(self) -> Option<Duration> {
        match self {
            Self::None | Self::OffAtNight | Self::SleepsAtNight => None,
            Self::Jumps { at, lasts, .. }
            | Self::StartsWrong { at, lasts, .. }
            | Self::StartsWrongAndAgain { at, lasts, .. } => Some(at + lasts / 2),
            Self::FirstStartLongAgo { lasts } => Some(lasts / 2),
        }
    }
}

/// Owner of the wrong clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whose {
    Machine,
    ObjectStore,
}

#[derive(Debug, Clone, Copy)]
pub struct Scenario {
    pub trouble: Trouble,
    /// Gateways before a bucket; none for one gateway over a folder.
    pub before_bucket: usize,
    pub clock: ClockToggles,
    pub toggles: SafetyToggles,
}

#[derive(Clone)]
pub struct Gateway {
    pub machine: Arc<MachineClock>,
    corrected: Option<Arc<SkewCorrectedClock>>,
    pub clock_records: Arc<ClockRecords>,
    pub catalog: Arc<Catalog>,
    pub records: Arc<Records>,
    pub users: Arc<UserRepository>,
    pub tokens: Arc<TokenRepository>,
    pub runs: Arc<RunRepository>,
    pub run_reconciler: Arc<RunSupervision>,
    pub is_stopped: Arc<AtomicBool>,
    pub sleeps_until: Arc<Mutex<Duration>>,
}

pub struct World {
    pub time: Arc<SimulatedClock>,
    /// The object store's own clock.
    pub date: Arc<MachineClock>,
    objects: Arc<InMemoryStore>,
    pub rng: Rng,
    pub owner: UserId,
    pub scenario: Scenario,
    gateways: Mutex<Vec<Gateway>>,
    pub wrong: Mutex<BTreeSet<&'static str>>,
}

impl World {
    pub async fn new(seed: u64, scenario: Scenario) -> Arc<Self> {
        let time = Arc::new(SimulatedClock::default());
        let world = Arc::new(Self {
            date: MachineClock::new(&time, 0),
            objects: Arc::new(InMemoryStore::new(time.clone())),
            time,
            rng: Rng::new(seed),
            owner: UserId::generate(&SeededRandom::new(seed)),
            scenario,
            gateways: Mutex::default(),
            wrong: Mutex::default(),
        });
        let first = match scenario.trouble {
            Trouble::FirstStartLongAgo { .. } => -millis(Duration::from_hours(24 * 3650)),
            _ => 0,
        };
        for _ in 0..scenario.before_bucket.max(1) {
            let gateway = world.start(first, true).await;
            world.gateways().push(gateway.clone());
            tokio::spawn(reconciler_task(world.clone(), gateway));
        }
        world
    }

    /// Returns a gateway that has just started, on a machine whose clock is wrong by so many milliseconds.
    pub async fn start(&self, wrong_by: i64, is_writer: bool) -> Gateway {
        let machine = MachineClock::new(&self.time, wrong_by);
        let corrected = (self.scenario.before_bucket > 0).then(|| Arc::new(SkewCorrectedClock::new(machine.clone())));
        sync_clock(corrected.as_deref(), &self.date);
        let clock: Arc<dyn Clock> = match &corrected {
            Some(corrected) => corrected.clone(),
            None => machine.clone(),
        };
        let guard = ClockGuard::new(clock.clone(), machine.clone()).with_toggles(self.scenario.clock);
        let guard = Arc::new(guard);
        let clock_records = ClockRecords::open(self.objects.clone(), guard.clone(), is_writer).await;
        let staleness = corrected.is_some().then_some(CacheOptions::SHARED_STALENESS);
        let options = CatalogOptions {
            cache: CacheOptions { staleness, ..CacheOptions::default() },
            clock_guard: Some(guard.clone()),
            toggles: self.scenario.toggles,
            ..CatalogOptions::default()
        };
        let random = Arc::new(SeededRandom::new(self.rng.below(u64::MAX)));
        let catalog = Arc::new(Catalog::new(self.objects.clone(), clock.clone(), random.clone(), &options));
        let users = UserRepository::open(self.objects.clone(), clock.clone(), random.clone(), staleness).await;
        let users = Arc::new(users.expect("accounts open"));
        let admin = Token::new("larder_0123456789abcdefghijklmnopqrstuvwxyz");
        let tokens =
            TokenRepository::new(self.objects.clone(), clock.clone(), random.clone(), users.clone(), &admin, staleness);
        let tokens = Arc::new(tokens.guarded_by(guard.clone()));
        let runs = RunRepository::new(self.objects.clone(), clock, random, guard, RunOptions::default());
        let runs = Arc::new(runs);
        Gateway {
            run_reconciler: Arc::new(RunSupervision::new(runs.clone(), catalog.clone(), tokens.clone())),
            users,
            tokens,
            runs,
            machine,
            corrected,
            clock_records: Arc::new(clock_records.expect("the record opens")),
            records: Arc::new(catalog.records()),
            catalog,
            is_stopped: Arc::default(),
            sleeps_until: Arc::default(),
        }
    }

    /// Lets a new gateway take the place of the first one, after a pause.
    pub async fn restart(self: &Arc<Self>, wrong_by: i64, pause: Duration) {
        self.gateways()[0].is_stopped.store(true, Ordering::SeqCst);
        self.time.sleep(pause).await;
        let next = self.start(wrong_by, true).await;
        self.gateways()[0] = next.clone();
        tokio::spawn(reconciler_task(self.clone(), next));
    }

    /// Returns a gateway that serves now, if there is one.
    pub fn serving(&self) -> Option<Gateway> {
        let gateways = self.gateways();
        let chosen = usize::try_from(self.rng.below(gateways.len() as u64)).expect("it is small");
        let gateway = gateways[chosen].clone();
        let is_asleep = *gateway.sleeps_until.lock().expect("no thread panicked") > self.time.monotonic();
        let is_stopped = gateway.is_stopped.load(Ordering::SeqCst);
        drop(gateways);
        if is_asleep || is_stopped {
            return None;
        }
        gateway.sync_clock(&self.date);
        Some(gateway)
    }

    pub fn gateways(&self) -> MutexGuard<'_, Vec<Gateway>> {
        self.gateways.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn is_right(&self) -> bool {
        self.date.is_right() && self.gateways().iter().all(|gateway| gateway.machine.is_right())
    }

    pub fn complain(&self, what: &'static str) {
        self.wrong.lock().expect("no thread panicked").insert(what);
    }

    /// Returns `true` if the document of a store exists, and is no tombstone.
    pub async fn is_kept(&self, id: StoreId) -> bool {
        match self.objects.get(&format!("larder/stores/{id}"), GetOptions::default()).await {
            Ok(object) => {
                let bytes = object.body.into_bytes(1 << 20).await.expect("a document");
                let document: serde_json::Value = serde_json::from_slice(&bytes).expect("JSON");
                document["phase"]["name"] != "deleted"
            }
            Err(_) => false,
        }
    }
}

impl Gateway {
    pub fn sync_clock(&self, date: &MachineClock) {
        sync_clock(self.corrected.as_deref(), date);
    }
}

fn sync_clock(corrected: Option<&SkewCorrectedClock>, date: &MachineClock) {
    if let Some(corrected) = corrected {
        let shown = date.now().as_millis();
        corrected.observe(Timestamp::from_millis(shown - shown.rem_euclid(1000)), corrected.monotonic());
    }
}

pub fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).expect("it is short")
}
