//! A gateway with runs, for tests of what becomes of them.

use std::{sync::Arc, time::Duration};

use larder::{
    auth::{Token, TokenRepository, UserRepository},
    clock::{ClockGuard, SeededRandom},
    jobs::{Job, RunSupervision},
    kv::{ActorId, CacheOptions, CatalogOptions, Creator, StoreSnapshot},
    runs::{NewRun, Outcome, Run, RunOptions, RunOrigin, RunRepository, RunSettings, RunsError},
    storage::ObjectStore,
};

use crate::gateways::{Gateway, World};

/// A gateway with runs.
pub struct Host {
    pub runs: Arc<RunRepository>,
    pub tokens: Arc<TokenRepository>,
    #[allow(dead_code, reason = "not every suite that includes this file wants it")]
    pub users: Arc<UserRepository>,
    pub gateway: Gateway,
    pub reconciler: RunSupervision,
}

impl Host {
    pub async fn new(world: &World, objects: Arc<dyn ObjectStore>, seed: u64) -> Self {
        Self::guarded(world, objects, seed, ClockGuard::trusting(world.clock.clone())).await
    }

    /// The same, with this guard over the clock.
    pub async fn guarded(world: &World, objects: Arc<dyn ObjectStore>, seed: u64, guard: ClockGuard) -> Self {
        let (random, guard) = (Arc::new(SeededRandom::new(seed)), Arc::new(guard));
        let runs = RunRepository::new(
            objects.clone(),
            world.clock.clone(),
            random.clone(),
            guard.clone(),
            RunOptions::default(),
        );
        let users = UserRepository::open(world.objects.clone(), world.clock.clone(), random.clone(), None).await;
        let users = Arc::new(users.expect("accounts open"));
        let admin = Token::new("larder_0123456789abcdefghijklmnopqrst3j70pI");
        let tokens = TokenRepository::new(objects.clone(), world.clock.clone(), random, users.clone(), &admin, None);
        let tokens = Arc::new(tokens.guarded_by(guard.clone()));
        let cache = CacheOptions { staleness: None, ..CacheOptions::default() };
        let options = CatalogOptions { cache, clock_guard: Some(guard), ..CatalogOptions::default() };
        let gateway = world.gateway_with(objects, seed, &options);
        let runs = Arc::new(runs);
        let reconciler = RunSupervision::new(runs.clone(), gateway.catalog.clone(), tokens.clone());
        Self { runs, tokens, users, gateway, reconciler }
    }

    pub async fn start(&self, world: &World, store: &StoreSnapshot) -> Result<Run, RunsError> {
        let random = SeededRandom::new(9);
        let (actor, build_id) = (ActorId::generate(&random), ActorId::generate(&random));
        let settings =
            RunSettings { build: "latest".to_owned(), timeout_secs: 0, memory_mbytes: 128, disk_mbytes: 256 };
        let new = NewRun {
            actor_run: Creator { actor, run: self.runs.new_id() },
            owner_id: world.owner,
            task: Some(actor),
            creator: None,
            origin: RunOrigin::Api,
            settings,
            build_id,
            store: store.document.id,
            upstream_ids: None,
        };
        self.runs.create(new, store).await
    }

    pub async fn finish(&self, run: &Run, outcome: Outcome) -> Result<Run, RunsError> {
        self.runs.update(&run.id, |run| Ok(run.finish(outcome, None, run.started_at))).await
    }

    /// Processes due items; failures are ignored.
    pub async fn work(&self) {
        let _ = self.reconciler.run_once().await;
        let _ = self.reconciler.removal().run_once().await;
        let _ = self.tokens.delete_ended().await;
    }

    /// Lets time pass, with all that is due in it.
    pub async fn pass(&self, world: &World, hours: u64) {
        for _ in 0..hours {
            world.clock.advance(Duration::from_mins(61));
            self.work().await;
        }
    }
}
