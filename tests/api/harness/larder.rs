//! A whole gateway: object store, domain, accounts, API, socket.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use larder::{
    api::{Api, ApiOptions, ApiState, LeaderExtension, LinkOrigin, Upstream},
    auth::{MasterSecret, Secrets, ShareIndex, Token, TokenRepository, UserRepository},
    clock::{Clock, ClockGuard, SystemClock, SystemRandom, Timestamp},
    jobs::{Job, RunSupervision, UsageReport},
    kv::{CacheOptions, Catalog, CatalogOptions, ClockRecords},
    network::Proxies,
    outbound::{HttpClient, LeaderClient, ServerAddress},
    runs::{RunOptions, RunRepository},
    storage::{
        ListOptions, MAX_LIST_KEYS, ObjectStore, in_memory::InMemoryStore, metrics_layer::MetricsLayer,
        single_writer::SingleWriterStore,
    },
    telemetry::{CostLedger, Metrics},
};
use larder_test_kit::no_conditional_writes::NoConditionalWrites;
use serde_json::Value;

use super::{calls::Calls, clock::ShiftedClock, connection::Connection, request::Request, server::serve, store::Store};

/// The path of all stores.
pub(crate) const STORES: &str = "/v2/key-value-stores";

/// The token that requests carry unless they say otherwise.
pub(crate) const TOKEN: &str = "larder_0123456789abcdefghijklmnopqrst3j70pI";

/// Owner of the token.
pub(crate) const USERNAME: &str = "admin";

/// The origin of links, which is not where the gateway listens: so it is behind a proxy, too.
pub(crate) const PUBLIC_URL: &str = "https://larder.example";

/// Secret that signing keys are derived from.
const MASTER_SECRET: &str = "the master secret of the tests";

/// A gateway and the object store beneath it.
#[derive(Clone)]
pub(crate) struct Larder(Arc<Parts>);

struct Parts {
    address: SocketAddr,
    objects: Arc<dyn ObjectStore>,
    measured: Arc<MetricsLayer>,
    clock: Arc<ShiftedClock>,
    catalog: Arc<Catalog>,
    ledger: Arc<CostLedger>,
    run_reconciler: Arc<RunSupervision>,
    tokens: Arc<TokenRepository>,
    leader_client: Option<Arc<LeaderClient>>,
}

impl Larder {
    /// Creates a gateway over `objects`.
    pub(crate) async fn start(objects: Arc<dyn ObjectStore>, clock: Arc<ShiftedClock>) -> Self {
        Self::start_charging(objects, clock, Arc::default()).await
    }

    /// The same; `objects` charges its calls in `ledger`, unless it leaves that to the gateway.
    pub(crate) async fn start_charging(
        objects: Arc<dyn ObjectStore>,
        clock: Arc<ShiftedClock>,
        ledger: Arc<CostLedger>,
    ) -> Self {
        Self::start_as(objects, clock, ledger, None, None, |_| {}).await
    }

    /// Creates a gateway with an empty memory over the same object store.
    pub(crate) async fn restarted(&self) -> Self {
        self.restarted_with(|_| {}).await
    }

    /// The same, with other options.
    pub(crate) async fn restarted_with(&self, change: impl FnOnce(&mut ApiOptions)) -> Self {
        let Parts { objects, clock, ledger, .. } = self.0.as_ref();
        Self::start_as(objects.clone(), clock.clone(), ledger.clone(), None, None, change).await
    }

    /// Creates a gateway over another object store, which leads to this one.
    pub(crate) async fn restarted_over(&self, objects: Arc<dyn ObjectStore>) -> Self {
        Self::start(objects, self.0.clock.clone()).await
    }

    /// Creates the leader over the same objects, as if the object store had no conditional writes.
    pub(crate) async fn leader(&self) -> Self {
        let unconditional = Arc::new(NoConditionalWrites::new(self.0.objects.clone()));
        Self::start(Arc::new(SingleWriterStore::new(unconditional, self.0.clock.clone())), self.0.clock.clone()).await
    }

    /// Creates a gateway over the same objects, as if the object store had no conditional writes, whose leader is at
    /// `address`.
    pub(crate) async fn follower_to(&self, address: SocketAddr) -> Self {
        let address = ServerAddress::parse(&format!("http://{address}")).expect("an address");
        let leader = Arc::new(HttpClient::leader(address, Arc::new(SystemClock)));
        let unconditional = Arc::new(NoConditionalWrites::new(self.0.objects.clone()));
        Self::start_as(unconditional, self.0.clock.clone(), self.0.ledger.clone(), Some(leader), None, |_| {}).await
    }

    /// Creates a gateway over the same objects that relays datasets and request queues to the server at `address`, with
    /// this token.
    pub(crate) async fn relaying_to(&self, address: SocketAddr, token: &str) -> Self {
        let address = ServerAddress::parse_upstream(&format!("http://{address}")).expect("an address");
        let peer = HttpClient::upstream(address, &Proxies::default(), Arc::new(SystemClock))
            .expect("plain HTTP can be spoken");
        let upstream = Upstream::new(Arc::new(peer), &Token::new(token)).expect("a header can carry it");
        let Parts { objects, clock, ledger, .. } = self.0.as_ref();
        Self::start_as(objects.clone(), clock.clone(), ledger.clone(), None, Some(upstream), |_| {}).await
    }

    async fn start_as(
        objects: Arc<dyn ObjectStore>,
        clock: Arc<ShiftedClock>,
        ledger: Arc<CostLedger>,
        leader: Option<Arc<HttpClient>>,
        upstream: Option<Upstream>,
        change: impl FnOnce(&mut ApiOptions),
    ) -> Self {
        let mut options = ApiOptions { public_url: LinkOrigin::Fixed(PUBLIC_URL.to_owned()), ..ApiOptions::default() };
        change(&mut options);
        let measured = MetricsLayer::new(objects.clone());
        // A backend with lifecycle rules is an object store. It charges per request on the wire.
        let charges_itself = objects.lifecycle().is_some();
        let measured = Arc::new(if charges_itself { measured } else { measured.with_ledger(ledger.clone()) });
        let random = Arc::new(SystemRandom);
        let staleness = leader.is_some().then_some(CacheOptions::SHARED_STALENESS);
        let users = UserRepository::open(measured.clone(), clock.clone(), random.clone(), staleness)
            .await
            .expect("accounts open");
        let users = Arc::new(users);
        let admin = Token::new(TOKEN);
        let guard = Arc::new(ClockGuard::new(clock.clone(), clock.clone()));
        let tokens =
            TokenRepository::new(measured.clone(), clock.clone(), random.clone(), users.clone(), &admin, staleness);
        let tokens = Arc::new(tokens.guarded_by(guard.clone()));
        let cache = CacheOptions { staleness, ..CacheOptions::default() };
        // In an object store of its own: what is counted and listed here is the work of requests.
        let of_clock = Arc::new(InMemoryStore::new(clock.clone()));
        let clock_records = ClockRecords::open(of_clock, guard.clone(), true).await.expect("the clock's record opens");
        let clock_records = Arc::new(clock_records);
        let catalog = CatalogOptions { cache, clock_guard: Some(guard.clone()), ..CatalogOptions::default() };
        let catalog = Arc::new(Catalog::new(measured.clone(), clock.clone(), random.clone(), &catalog));
        let leader_client = leader.clone().and_then(|leader| LeaderClient::new(leader, TOKEN)).map(Arc::new);
        let records = match &leader_client {
            None => catalog.records(),
            Some(leader_client) => {
                catalog.records_extended_by(Arc::new(LeaderExtension::new(catalog.clone(), leader_client.clone())))
            }
        };
        let runs = RunRepository::new(measured.clone(), clock.clone(), random.clone(), guard, RunOptions::default());
        let runs = Arc::new(runs);
        let run_reconciler = Arc::new(RunSupervision::new(runs.clone(), catalog.clone(), tokens.clone()));
        let parts = ApiState {
            catalog: catalog.clone(),
            records: Arc::new(records),
            users,
            tokens: tokens.clone(),
            shared: ShareIndex::new(measured.clone(), catalog.clone()),
            runs: runs.clone(),
            secrets: Arc::new(Secrets::new(MasterSecret::new(MASTER_SECRET))),
            upstream,
            metrics: Metrics::default(),
            ledger: ledger.clone(),
            since: clock.now(),
            memory: Arc::default(),
            tracer: None,
            clock: clock.clone(),
            clock_records,
        };
        let api = Api::new(options, parts, random.as_ref());
        let api = match &leader {
            Some(leader) => api.with_leader(leader.clone()),
            None => api,
        };
        let address = serve(api);
        Self(Arc::new(Parts {
            address,
            objects,
            measured,
            clock,
            catalog,
            ledger,
            run_reconciler,
            tokens,
            leader_client,
        }))
    }

    /// Reports the use of stores to the leader, as a job does now and then. Returns the number of stores.
    pub(crate) async fn tell_use(&self) -> larder::kv::Result<usize> {
        let leader_client = self.0.leader_client.clone().expect("it has a leader");
        let job = UsageReport::new(self.0.catalog.clone(), leader_client);
        job.run_once().await.map(|report| report.processed)
    }

    /// Writes down how stores were used, as a job does now and then. Returns the number of stores.
    pub(crate) async fn write_use_down(&self) -> usize {
        self.0.catalog.flush_usage().await.expect("it is written down")
    }

    /// Counts the contents of the changed stores, as jobs do now and then.
    pub(crate) async fn count(&self) {
        self.write_use_down().await;
        // A count may miss a change of the millisecond in which it begins.
        self.advance(Duration::from_millis(1));
        self.count_only().await;
    }

    /// Counts the contents of the stores whose documents record a change.
    pub(crate) async fn count_only(&self) {
        self.0.catalog.recount().await.expect("it is counted");
    }

    /// Waits until the admin is known to have as many records and bytes: the known usage may be a minute old, and is
    /// renewed in the background of a request.
    pub(crate) async fn has(&self, records: u64, bytes: u64) {
        for _ in 0..200 {
            let account = self.get("/larder/v1/users/admin").await.answers(200);
            let usage = &account.data()["usage"];
            if usage["records"] == records && usage["bytes"] == bytes {
                return;
            }
            self.sleep(Duration::from_millis(20)).await;
        }
        panic!("the admin is not known to have {records} records of {bytes} bytes");
    }

    /// Processes due items of stores, as a job does now and then.
    pub(crate) async fn reconcile_stores(&self) {
        self.0.catalog.reconcile_due().await.expect("what is due is done");
    }

    /// Processes due items of runs, as a job does now and then.
    pub(crate) async fn reconcile_runs(&self) {
        self.0.run_reconciler.run_once().await.expect("what is due is done");
        self.0.run_reconciler.removal().run_once().await.expect("what is due is done");
    }

    /// Writes the last use of tokens, and deletes the remains of expired ones, as jobs do now and then.
    pub(crate) async fn flush_and_expire_tokens(&self) {
        self.0.tokens.flush_uses().await.expect("uses are written down");
        self.0.tokens.delete_ended().await.expect("what is left is deleted");
    }

    /// Returns the keys of all objects of accounts and tokens that have a text in them.
    pub(crate) async fn objects_of_accounts(&self, text: &str) -> Vec<String> {
        let page = ListOptions { prefix: "larder/auth/".to_owned(), start_after: None, limit: MAX_LIST_KEYS };
        let listed = self.0.objects.list(page).await.expect("the object store lists");
        listed.objects.into_iter().map(|object| object.key).filter(|key| key.contains(text)).collect()
    }

    /// Returns the keys of all objects that belong to a store and to no other, but for entries in the index.
    pub(crate) async fn objects_of(&self, store: &Store) -> Vec<String> {
        let mut found = Vec::new();
        for folder in ["stores", "permanent", "expiring", "store-usage"] {
            let prefix = format!("larder/{folder}/");
            let page = ListOptions { prefix, start_after: None, limit: MAX_LIST_KEYS };
            let listed = self.0.objects.list(page).await.expect("the object store lists");
            found.extend(listed.objects.into_iter().map(|object| object.key).filter(|key| key.contains(&store.id)));
        }
        found
    }

    /// Returns the object store beneath it.
    pub(crate) fn objects(&self) -> Arc<dyn ObjectStore> {
        self.0.objects.clone()
    }

    /// Its clock.
    pub(crate) fn clock(&self) -> Arc<dyn Clock> {
        self.0.clock.clone()
    }

    /// Returns the address it listens on.
    pub(crate) fn address(&self) -> SocketAddr {
        self.0.address
    }

    /// Returns a connection that stays open.
    pub(crate) async fn connect(&self) -> Connection {
        Connection::open(self.0.address).await
    }

    /// Creates a request with any method.
    pub(crate) fn request(&self, method: &str, target: impl Into<String>) -> Request {
        Request::new(self, method, target)
    }

    /// Creates a GET.
    pub(crate) fn get(&self, target: impl Into<String>) -> Request {
        self.request("GET", target)
    }

    /// Creates a HEAD.
    pub(crate) fn head(&self, target: impl Into<String>) -> Request {
        self.request("HEAD", target)
    }

    /// Creates a PUT.
    pub(crate) fn put(&self, target: impl Into<String>) -> Request {
        self.request("PUT", target)
    }

    /// Creates a POST, a millisecond after all before it: its object is listed after theirs.
    pub(crate) fn post(&self, target: impl Into<String>) -> Request {
        self.advance(Duration::from_millis(1));
        self.request("POST", target)
    }

    /// Creates a DELETE.
    pub(crate) fn delete(&self, target: impl Into<String>) -> Request {
        self.request("DELETE", target)
    }

    /// Returns a new store without a name.
    pub(crate) async fn new_store(&self) -> Store {
        Store::new(self, self.post(STORES).await.answers(201).text("id"))
    }

    /// Returns a new store with a name.
    pub(crate) async fn named_store(&self, name: &str) -> Store {
        Store::new(self, self.post(format!("{STORES}?name={name}")).await.answers(201).text("id"))
    }

    /// Returns a new store, made with this body.
    pub(crate) async fn store_with(&self, body: &Value) -> Store {
        Store::new(self, self.post(STORES).json(body).await.answers(201).text("id"))
    }

    /// Returns the time by the gateway's clock.
    pub(crate) fn now(&self) -> Timestamp {
        self.0.clock.now()
    }

    /// Moves the gateway's clock forward.
    pub(crate) fn advance(&self, by: Duration) {
        self.0.clock.advance(by);
    }

    /// Makes the time of day wrong by so many days; 0 sets it right. The monotonic clock does not change.
    pub(crate) fn set_wrong_by_days(&self, days: i64) {
        self.0.clock.set_wrong_by(days * 24 * 60 * 60 * 1000);
    }

    /// Returns the number of objects whose keys begin so.
    pub(crate) async fn count_objects(&self, prefix: &str) -> usize {
        let (mut count, mut start_after) = (0, None);
        loop {
            let page = ListOptions { prefix: prefix.to_owned(), start_after, limit: MAX_LIST_KEYS };
            let listed = self.0.objects.list(page).await.expect("the object store lists");
            count += listed.objects.len();
            start_after = listed.objects.last().map(|object| object.key.clone()).filter(|_| listed.is_truncated);
            if start_after.is_none() {
                return count;
            }
        }
    }

    /// Lets real time pass.
    pub(crate) async fn sleep(&self, duration: Duration) {
        self.0.clock.sleep(duration).await;
    }

    /// Returns the calls that reach the object store while `work` is done.
    pub(crate) async fn calls<T>(&self, work: impl AsyncFnOnce() -> T) -> Calls {
        let before = self.0.measured.counts();
        work().await;
        self.0.measured.counts().since(&before).into()
    }
}
