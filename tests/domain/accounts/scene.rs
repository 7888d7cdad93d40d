//! Two gateways over one object store, with accounts, tokens, a shared store and a run.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use larder::{
    api::{Api, ApiOptions, ApiState},
    auth::{MasterSecret, Secrets, ShareIndex, Token, TokenRepository, UserRepository},
    clock::{Clock, ClockGuard, ManualClock, Random, SeededRandom, Timestamp},
    jobs::{Job, RunSupervision},
    kv::{CacheOptions, Catalog, CatalogOptions, ClockRecords},
    runs::{RunOptions, RunRepository},
    server::ClientAddr,
    storage::{ListOptions, ObjectStore, in_memory::InMemoryStore},
    telemetry::{CostLedger, Metrics},
};
use serde_json::{Value, json};

use super::gate::{Gate, Gated};

/// Staleness bound of a gateway's view where there are several.
pub const STALENESS: Duration = Duration::from_secs(5);

/// The admin's token.
pub const ADMIN: &str = "larder_0123456789abcdefghijklmnopqrst3j70pI";

/// A gateway without a socket.
pub struct Gateway {
    api: Api,
    tokens: Arc<TokenRepository>,
    run_reconciler: RunSupervision,
}

/// An answer.
#[derive(Debug, Clone)]
pub struct Answer {
    pub status: u16,
    pub data: Value,
}

impl Answer {
    /// Returns a member that is a text.
    pub fn text(&self, member: &str) -> String {
        self.data[member].as_str().unwrap_or_else(|| panic!("no {member} in {self:?}")).to_owned()
    }
}

impl Gateway {
    async fn open(
        objects: Arc<dyn ObjectStore>,
        clock: &Arc<ManualClock>,
        seed: u64,
        staleness: Option<Duration>,
    ) -> Self {
        let clock: Arc<dyn Clock> = clock.clone();
        let random: Arc<dyn Random> = Arc::new(SeededRandom::new(seed));
        let users =
            UserRepository::open(objects.clone(), clock.clone(), random.clone(), staleness).await.expect("accounts");
        let users = Arc::new(users);
        let admin = Token::new(ADMIN);
        let tokens =
            TokenRepository::new(objects.clone(), clock.clone(), random.clone(), users.clone(), &admin, staleness);
        let tokens = Arc::new(tokens);
        let cache = CacheOptions { staleness, ..CacheOptions::default() };
        let options = CatalogOptions { cache, ..CatalogOptions::default() };
        let catalog = Arc::new(Catalog::new(objects.clone(), clock.clone(), random.clone(), &options));
        let guard = Arc::new(ClockGuard::trusting(clock.clone()));
        let options = RunOptions::default();
        let runs = Arc::new(RunRepository::new(objects.clone(), clock.clone(), random.clone(), guard.clone(), options));
        let run_reconciler = RunSupervision::new(runs.clone(), catalog.clone(), tokens.clone());
        let apart = Arc::new(InMemoryStore::new(clock.clone()));
        let clock_records = ClockRecords::open(apart, guard, false).await.expect("a record");
        let parts = ApiState {
            clock_records: Arc::new(clock_records),
            memory: Arc::default(),
            records: Arc::new(catalog.records()),
            shared: ShareIndex::new(objects, catalog.clone()),
            catalog,
            users,
            tokens: tokens.clone(),
            runs,
            secrets: Arc::new(Secrets::new(MasterSecret::new("master"))),
            upstream: None,
            metrics: Metrics::default(),
            ledger: Arc::<CostLedger>::default(),
            since: clock.now(),
            tracer: None,
            clock,
        };
        Self { api: Api::new(ApiOptions::default(), parts, random.as_ref()), tokens, run_reconciler }
    }

    /// Asks with the admin's token.
    pub async fn ask(&self, method: &str, path: &str, body: Option<Value>) -> Answer {
        self.ask_with(Some(ADMIN), method, path, body).await
    }

    /// Asks with a token, or without one.
    pub async fn ask_with(&self, token: Option<&str>, method: &str, path: &str, body: Option<Value>) -> Answer {
        let mut request = http::Request::builder().method(method).uri(path);
        if let Some(token) = token {
            request = request.header("Authorization", format!("Bearer {token}"));
        }
        let body = body.map(|body| body.to_string()).unwrap_or_default();
        let request = request.header("Content-Type", "application/json");
        let request = request.body(Full::new(Bytes::from(body))).expect("a request");
        let response = self.api.respond(request, ClientAddr::default()).await;
        let status = response.status().as_u16();
        let bytes = response.into_body().collect().await.expect("a body").to_bytes();
        let body: Value = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
        Answer { status, data: body.get("data").unwrap_or(&body).clone() }
    }

    /// Returns whether a token is valid here.
    pub async fn is_valid(&self, token: &str) -> bool {
        self.ask_with(Some(token), "GET", "/larder/v1/session", None).await.status == 200
    }

    /// Does what jobs do about tokens and runs.
    pub async fn do_jobs(&self) {
        self.tokens.flush_uses().await.expect("uses are written down");
        self.run_reconciler.run_once().await.expect("what is due about runs is done");
        self.tokens.delete_ended().await.expect("what is left of tokens is deleted");
    }
}

/// A token, and its id.
#[derive(Debug, Clone)]
pub struct KnownToken {
    pub id: String,
    pub token: String,
}

impl KnownToken {
    fn of(made: &Answer) -> Self {
        Self { id: made.text("id"), token: made.text("token") }
    }
}

/// Everything that a pair of calls is about.
pub struct Scene {
    pub gate: Arc<Gate>,
    pub gateways: Vec<Arc<Gateway>>,
    clock: Arc<ManualClock>,
    objects: Arc<InMemoryStore>,
    /// Alice's token.
    pub own: KnownToken,
    /// The token of her run.
    pub of_run: KnownToken,
    /// Bob's token.
    pub bobs: KnownToken,
    pub run: String,
    /// Alice's store, which Bob may write to.
    pub store: String,
    /// A link to its keys that Bob can make.
    pub link: String,
}

impl Scene {
    /// Returns a scene of one gateway, or of two that share the object store. Every gateway has used all that there is.
    pub async fn new(seed: u64, is_shared: bool) -> Self {
        let clock = Arc::new(ManualClock::new(Timestamp::from_millis(1_767_225_600_000)));
        let (objects, gate) = (Arc::new(InMemoryStore::new(clock.clone())), Arc::<Gate>::default());
        let mut gateways = Vec::new();
        for number in 0..=u64::from(is_shared) {
            let gated = Arc::new(Gated { objects: objects.clone(), gate: gate.clone() });
            let staleness = is_shared.then_some(STALENESS);
            gateways.push(Arc::new(Gateway::open(gated, &clock, 2 * seed + number, staleness).await));
        }
        let first = gateways[0].clone();
        for name in ["alice", "bob"] {
            first.ask("POST", "/larder/v1/users", Some(json!({ "username": name }))).await;
        }
        let token_of = async |name: &str| {
            KnownToken::of(&first.ask("POST", "/larder/v1/tokens", Some(json!({ "username": name }))).await)
        };
        let (own, bobs) = (token_of("alice").await, token_of("bob").await);
        let as_alice = async |method: &str, path: &str, body: Value| {
            first.ask_with(Some(&own.token), method, path, Some(body)).await
        };
        let made = as_alice("POST", "/v2/key-value-stores?name=shop", json!({})).await;
        let store = made.text("id");
        as_alice("PUT", &format!("/larder/v1/stores/{store}/access/bob"), json!({ "right": "write" })).await;
        let link = made.text("keysPublicUrl").split_once("/v2/").map(|(_, path)| format!("/v2/{path}"));
        let run = as_alice("POST", "/v2/acts/baker/runs", json!({})).await.text("id");
        let entered = as_alice("POST", &format!("/larder/v1/runs/{run}/environment"), json!({})).await;
        let of_run = KnownToken {
            id: entered.text("tokenId"),
            token: entered.data["environment"]["APIFY_TOKEN"].as_str().expect("a token").to_owned(),
        };
        let scene = Self { gate, gateways, clock, objects, own, of_run, bobs, run, store, link: link.expect("a link") };
        for gateway in &scene.gateways {
            for token in [&scene.own, &scene.of_run, &scene.bobs] {
                assert!(gateway.is_valid(&token.token).await);
            }
            assert!(scene.may_write(gateway).await && scene.link_opens(gateway).await);
        }
        scene
    }

    /// Lets time pass.
    pub fn advance(&self, by: Duration) {
        self.clock.advance(by);
    }

    /// Returns whether Bob may write to Alice's store.
    pub async fn may_write(&self, gateway: &Gateway) -> bool {
        let path = format!("/v2/key-value-stores/{}/records/a", self.store);
        gateway.ask_with(Some(&self.bobs.token), "PUT", &path, Some(json!(1))).await.status == 201
    }

    /// Returns whether a link that Bob could sign still opens Alice's store.
    pub async fn link_opens(&self, gateway: &Gateway) -> bool {
        gateway.ask_with(None, "GET", &self.link, None).await.status == 200
    }

    /// Returns the keys of objects that are about a token, by its id.
    pub async fn left_of(&self, id: &str) -> Vec<String> {
        let options = ListOptions { prefix: "larder/auth/".to_owned(), start_after: None, limit: 1000 };
        let page = self.objects.list(options).await.expect("a list");
        page.objects.into_iter().map(|object| object.key).filter(|key| key.contains(id)).collect()
    }
}
