//! The life of a gateway: built from the configuration, run until told to stop, closed without losing counters; and the
//! errors of starting and stopping it.

use std::{
    future::Future, io, net::SocketAddr, num::NonZero, path::Path, sync::Arc, thread::available_parallelism,
    time::Duration,
};

use tokio_util::{sync::CancellationToken, task::TaskTracker};

#[cfg(feature = "s3")]
use crate::storage::{self, s3};
use crate::{
    api::{Api, ApiState, LeaderExtension, Upstream},
    auth::{AccountsError, Secrets, SecretsError, ShareIndex, TokenRepository, UserRepository, Username},
    clock::{Clock, ClockGuard, Random, SystemClock, SystemRandom},
    config::{Config, LeaderSetting},
    jobs::{Job, JobMetrics, MaintenanceJob, RunSupervision, UsageReport, schedule},
    kv::{
        self, AbandonedUploads, CacheOptions, Catalog, CatalogOptions, ClockRecords, Installation, Records,
        check_format,
    },
    outbound::{HttpClient, LeaderClient},
    runs::{RunOptions, RunRepository},
    server::{BindError, DrainSignal, Drained, Server, Tls, TlsError, Workers, raise_file_limit},
    storage::{BoxError, MemoryBudget, ObjectStore, embedded::OpenError},
    telemetry::{CostLedger, Metrics, register_panic_metrics},
};

use super::{
    backend::{Backend, RecordCache, open_clock_records},
    bootstrap::{AdminToken, AdminTokenError, BootstrapUser},
    health::{Health, ReadinessCheck},
    http_router::HttpRouter,
    observability::{Tracing, register_metrics},
    reload::{DrainDelay, Reloader, api_options, listening_url, public_url, warn_of_certificate},
    role::Role,
};

/// Timeout for the last writes of a stop: running changes, and counters. An object store that takes longer is
/// unresponsive.
const FINAL_WRITES_TIMEOUT: Duration = Duration::from_secs(5);

/// A whole Larder.
#[derive(Debug)]
pub struct Gateway {
    server: Server,
    workers: Workers,
    reloader: Arc<Reloader>,
    admin_token: AdminToken,
    catalog: Arc<Catalog>,
    activity: Arc<dyn Job>,
    jobs: Vec<Arc<dyn Job>>,
    job_metrics: JobMetrics,
    backend: Backend,
    tracing: Tracing,
    clock: Arc<dyn Clock>,
    mode: &'static str,
    console: String,
}

impl Gateway {
    /// Builds a gateway. Binds its address now, but serves nothing before [`Gateway::run`].
    #[expect(clippy::too_many_lines, reason = "the parts are built in one order, which functions would hide")]
    pub async fn open(config: Config) -> Result<Self, StartError> {
        let (machine, random): (Arc<dyn Clock>, Arc<dyn Random>) = (Arc::new(SystemClock), Arc::new(SystemRandom));
        let (server, tls) = listen(&config, &machine)?;
        let workers = Workers::start(available_parallelism().map_or(1, NonZero::get)).map_err(StartError::Threads)?;
        let upstream = upstream(&config, &machine)?;
        let (metrics, ledger, memory) = metrics_and_budget(&config, &machine);
        let tracing = Tracing::from_config(&config, &machine, random.as_ref(), &metrics)?;
        let backend = Backend::open(&config, &machine, &random, (&metrics, &ledger), &memory).await?;
        let clock = backend.clock(&machine);
        let role = Role::from_config(&config, backend.access(), &clock)?;
        let joined = join(&config, &role, backend.objects(), (&clock, &random), &metrics).await?;
        let Joined { unfenced, objects, installation, secrets } = &joined;
        let admin_token = backend.admin_token(&config, objects.as_ref(), random.as_ref()).await?;
        let clock_records = open_clock_records(objects, &clock, &machine, role.creates_accounts(), &metrics).await?;
        let guard = clock_records.guard();
        let (users, tokens) = accounts(&config, &role, objects, (&clock, guard), &random, &admin_token).await?;
        let catalog = catalog(&config, &role, objects, (&clock, guard), &random);
        warn_of_addresses(&config, &role, server.local_addr(), tls.is_some());
        let options = api_options(&config, server.local_addr(), tls.is_some());
        let health = health(unfenced, installation, (&clock, machine), guard, &server);
        let (records, activity) = records_and_activity(&catalog, role.leader_client(&admin_token.token)?);
        let runs = runs(&config, objects, (&clock, guard), &random);
        let parts = ApiState {
            catalog: Arc::clone(&catalog),
            records: Arc::new(records.with_memory_budget(Arc::clone(&memory))),
            users: Arc::clone(&users),
            tokens: Arc::clone(&tokens),
            shared: ShareIndex::new(Arc::clone(objects), Arc::clone(&catalog)),
            runs: Arc::clone(&runs),
            secrets: Arc::clone(secrets),
            upstream,
            metrics: metrics.clone(),
            ledger,
            since: clock.now(),
            memory: Arc::clone(&memory),
            tracer: tracing.tracer(),
            clock: Arc::clone(&clock),
            clock_records: Arc::clone(&clock_records),
        };
        register_metrics(&metrics, (&server, tls.clone()), &catalog, &clock, &health);
        let reloader = Arc::new(Reloader {
            router: HttpRouter::from_config(
                &config,
                &clock,
                &health,
                role.api(Api::new(options, parts, random.as_ref())),
            )?,
            backend_kind: backend.kind(),
            catalog: Arc::clone(&catalog),
            runs: Arc::clone(&runs),
            users,
            tokens: Arc::clone(&tokens),
            creates_accounts: role.creates_accounts(),
            tls,
            trusted_proxies: server.trusted_proxies(),
            drain_delay: DrainDelay::new(config.server.drain_delay),
            address: server.local_addr(),
        });
        let jobs = jobs(&role, &catalog, objects, (runs, tokens, health), clock_records, &tracing);
        Ok(Self {
            console: console_url(&config, server.local_addr(), reloader.tls.is_some()),
            server,
            workers,
            reloader,
            admin_token,
            catalog,
            activity,
            jobs,
            job_metrics: JobMetrics::new(&metrics),
            backend,
            tracing,
            clock,
            mode: role.name(),
        })
    }

    /// Returns the bound address.
    pub fn local_addr(&self) -> SocketAddr {
        self.server.local_addr()
    }

    /// Returns the scheme of its URL.
    pub fn scheme(&self) -> &'static str {
        self.reloader.scheme()
    }

    /// Returns the address of the console, as clients reach it.
    pub fn console(&self) -> &str {
        &self.console
    }

    /// Returns the handle that reloads the configuration.
    pub fn reloader(&self) -> Arc<Reloader> {
        Arc::clone(&self.reloader)
    }

    /// Returns the admin token and its origin.
    pub fn admin_token(&self) -> &AdminToken {
        &self.admin_token
    }

    /// Serves until `shutdown` completes, and then drains. During the drain delay it serves on, but is not ready.
    /// Then running requests may finish within the drain limit. Last it closes everything in order: services,
    /// background work, counters, the engine.
    pub async fn run(self, shutdown: impl Future<Output = ()>) -> Result<(), StopError> {
        tracing::info!(address = %self.server.local_addr(), mode = self.mode, "serving");
        let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
        for job in self.jobs.into_iter().chain([Arc::clone(&self.activity)]) {
            schedule(job, Arc::clone(&self.clock), self.job_metrics.clone(), &tasks, stop.clone());
        }
        let Reloader { router, drain_delay, .. } = self.reloader.as_ref();
        let drain_signal =
            drain_on_shutdown(shutdown, self.server.drain_signal(), drain_delay.clone(), self.clock.as_ref());
        let Drained { cut_off } = self.server.run(Arc::clone(router), &self.workers, drain_signal).await;
        if cut_off > 0 {
            tracing::warn!(cut_off, "the drain timed out; requests in flight were aborted");
        }
        stop.cancel();
        self.catalog.stop_reconciler();
        tasks.close();
        tasks.wait().await;
        let final_writes = async {
            self.catalog.finish().await;
            self.activity.run_once().await
        };
        let counted = tokio::select! {
            biased;
            counted = final_writes => counted.map_err(StopError::Counters),
            () = self.clock.sleep(FINAL_WRITES_TIMEOUT) => Err(StopError::Unresponsive),
        };
        self.tracing.finish(self.clock.as_ref()).await;
        self.backend.close().await;
        // Last, since work left by requests also runs there.
        self.workers.stop().await;
        router.close();
        counted?;
        tracing::info!("stopped");
        Ok(())
    }
}

/// Returns the jobs of the role, and those of every gateway.
fn jobs(
    role: &Role,
    catalog: &Arc<Catalog>,
    objects: &Arc<dyn ObjectStore>,
    (runs, tokens, health): (Arc<RunRepository>, Arc<TokenRepository>, Arc<Health>),
    clock_records: Arc<ClockRecords>,
    tracing: &Tracing,
) -> Vec<Arc<dyn Job>> {
    let uploads = AbandonedUploads::new(Arc::clone(objects), Arc::clone(clock_records.guard()));
    let runs = RunSupervision::new(runs, Arc::clone(catalog), Arc::clone(&tokens));
    let mut jobs = role.jobs(catalog, objects, runs, uploads);
    if role.creates_accounts() {
        jobs.push(Arc::new(MaintenanceJob::token_deletion(Arc::clone(&tokens))));
    }
    jobs.push(Arc::new(MaintenanceJob::token_last_use(tokens)));
    jobs.push(Arc::new(MaintenanceJob::clock_record(clock_records)));
    jobs.push(Arc::new(ReadinessCheck::new(health)));
    jobs.extend(tracing.job());
    jobs
}

/// Returns the metrics, the cost ledger, and the memory budget of clients.
fn metrics_and_budget(config: &Config, machine: &Arc<dyn Clock>) -> (Metrics, Arc<CostLedger>, Arc<MemoryBudget>) {
    let (metrics, ledger) = (Metrics::with_process_metrics(), Arc::<CostLedger>::default());
    ledger.register_metrics(&metrics);
    register_panic_metrics(&metrics);
    let memory = Arc::new(MemoryBudget::new(config.request_memory_bytes, Arc::clone(machine)));
    memory.register_metrics(&metrics);
    (metrics, ledger, memory)
}

/// Returns the server, bound to its address, and its TLS settings. This comes first: an operator who starts Larder
/// twice should learn of the port, and no folder should be created.
fn listen(config: &Config, machine: &Arc<dyn Clock>) -> Result<(Server, Option<Arc<Tls>>), StartError> {
    let tls = Tls::load(&config.server.tls)?.map(Arc::new);
    let server = Server::bind(config.server.clone(), Arc::clone(machine)).map_err(StartError::Bind)?;
    log_start(config, server.local_addr(), tls.as_deref());
    warn_of_certificate(tls.as_deref(), machine.now());
    warn_of_few_descriptors(config.server.max_connections);
    Ok((server.encrypted(tls.clone()), tls))
}

/// The installation that a gateway joined, with its objects.
struct Joined {
    /// The objects outside the fence, for the check that raises it.
    unfenced: Arc<dyn ObjectStore>,
    /// The objects for everything else.
    objects: Arc<dyn ObjectStore>,
    installation: Installation,
    secrets: Arc<Secrets>,
}

/// Joins the installation in `backend`, unless a newer version wrote there, with the secret that signs links: the
/// configured one, or else the one stored with the data.
async fn join(
    config: &Config,
    role: &Role,
    backend: &Arc<dyn ObjectStore>,
    (clock, random): (&Arc<dyn Clock>, &Arc<dyn Random>),
    metrics: &Metrics,
) -> Result<Joined, StartError> {
    let unfenced = role.objects(backend, clock);
    check_format(unfenced.as_ref()).await?;
    let secrets = match config.secret.clone() {
        Some(master) => Secrets::new(master),
        None => Secrets::open(unfenced.as_ref(), random.as_ref()).await?,
    };
    let replaced = config.old_secret_fingerprint.as_deref();
    let installation = role.join(unfenced.as_ref(), (clock.as_ref(), random.as_ref()), &secrets, replaced).await?;
    let objects = RecordCache::from_config(config, role)?.wrap(Arc::clone(&unfenced), clock, metrics);
    let objects = installation.fenced(objects);
    Ok(Joined { unfenced, objects, installation, secrets: Arc::new(secrets) })
}

fn health(
    objects: &Arc<dyn ObjectStore>,
    installation: &Installation,
    (clock, machine): (&Arc<dyn Clock>, Arc<dyn Clock>),
    guard: &Arc<ClockGuard>,
    server: &Server,
) -> Arc<Health> {
    let clocks = (Arc::clone(clock), machine);
    let (objects, installation) = (Arc::clone(objects), installation.clone());
    Arc::new(Health::new(objects, installation, clocks, Arc::clone(guard), server.drain_signal()))
}

async fn accounts(
    config: &Config,
    role: &Role,
    objects: &Arc<dyn ObjectStore>,
    (clock, guard): (&Arc<dyn Clock>, &Arc<ClockGuard>),
    random: &Arc<dyn Random>,
    AdminToken { token: admin, .. }: &AdminToken,
) -> Result<(Arc<UserRepository>, Arc<TokenRepository>), StartError> {
    let users = Arc::new(role.users(objects, clock, random).await?);
    let (of_tokens, clock, random) = (Arc::clone(&users), Arc::clone(clock), Arc::clone(random));
    let tokens = TokenRepository::new(Arc::clone(objects), clock, random, of_tokens, admin, role.staleness());
    let tokens = Arc::new(tokens.guarded_by(Arc::clone(guard)));
    BootstrapUser::ensure(BootstrapUser::from_config(config).filter(|_| role.creates_accounts()), &users, &tokens)
        .await?;
    Ok((users, tokens))
}

fn catalog(
    config: &Config,
    role: &Role,
    objects: &Arc<dyn ObjectStore>,
    (clock, guard): (&Arc<dyn Clock>, &Arc<ClockGuard>),
    random: &Arc<dyn Random>,
) -> Arc<Catalog> {
    let cache = CacheOptions { staleness: role.staleness(), ..config.catalog.cache };
    let clock_guard = Some(Arc::clone(guard));
    let options = CatalogOptions { cache, classes: role.expiry_staleness(), clock_guard, ..config.catalog.clone() };
    Arc::new(Catalog::new(Arc::clone(objects), Arc::clone(clock), Arc::clone(random), &options))
}

fn runs(
    config: &Config,
    objects: &Arc<dyn ObjectStore>,
    (clock, guard): (&Arc<dyn Clock>, &Arc<ClockGuard>),
    random: &Arc<dyn Random>,
) -> Arc<RunRepository> {
    let options = RunOptions { retention: Some(config.run_retention()), ..config.runs };
    Arc::new(RunRepository::new(Arc::clone(objects), Arc::clone(clock), Arc::clone(random), Arc::clone(guard), options))
}

/// Waits for the shutdown and, if there is a delay, until load balancers have noticed.
async fn drain_on_shutdown(
    shutdown: impl Future<Output = ()>,
    drain_signal: DrainSignal,
    delay: DrainDelay,
    clock: &dyn Clock,
) {
    shutdown.await;
    drain_signal.begin();
    let delay = delay.get();
    if !delay.is_zero() {
        let delay_seconds = delay.as_secs_f64();
        tracing::info!(delay_seconds, "shutdown requested: not ready, draining for the delay");
        clock.sleep(delay).await;
    }
    tracing::info!("shutting down: finishing requests in flight");
}

/// Returns the records of `catalog`, and the job for usage counters: written here, or reported to the leader.
fn records_and_activity(catalog: &Arc<Catalog>, leader_client: Option<Arc<LeaderClient>>) -> (Records, Arc<dyn Job>) {
    match leader_client {
        None => (catalog.records(), Arc::new(MaintenanceJob::usage_flush(Arc::clone(catalog)))),
        Some(leader_client) => {
            let extension = LeaderExtension::new(Arc::clone(catalog), Arc::clone(&leader_client));
            let records = catalog.records_extended_by(Arc::new(extension));
            (records, Arc::new(UsageReport::new(Arc::clone(catalog), leader_client)))
        }
    }
}

/// Warns of link URLs that other machines cannot follow, which are rarely intended, and of a leader that other
/// gateways cannot call.
fn warn_of_addresses(config: &Config, role: &Role, address: SocketAddr, is_encrypted: bool) {
    if is_encrypted && matches!(role, Role::Leader) {
        tracing::warn!("followers cannot forward requests to this leader over HTTPS; serve plain HTTP");
    }
    if config.public_url.is_none() && !address.ip().is_loopback() {
        let url = listening_url(address, is_encrypted);
        tracing::warn!("links begin with {url}, which other machines cannot reach; set LARDER_PUBLIC_URL");
    }
}

/// Returns the server for datasets and request queues, if there is one.
fn upstream(config: &Config, clock: &Arc<dyn Clock>) -> Result<Option<Upstream>, StartError> {
    let options = &config.upstream;
    let Some((address, token)) = options.address.as_ref().zip(options.token.as_ref()) else { return Ok(None) };
    let peer =
        HttpClient::upstream(address.clone(), &config.proxies, Arc::clone(clock)).map_err(StartError::Upstream)?;
    if let Some(proxy) = peer.proxy() {
        tracing::info!(%proxy, "the upstream is reached through a proxy");
    }
    Upstream::new(Arc::new(peer), token).map(Some).ok_or(StartError::UnsendableUpstreamToken)
}

/// Reserve of descriptors for open record files, connections to an object store, and the engine's own files, with a
/// wide margin.
const FILES_BEHIND_CONNECTIONS: u64 = 2048;

/// Warns if the limit of open files is too low for client connections and the files of the active ones.
fn warn_of_few_descriptors(max_connections: usize) {
    let (limit, wanted) = (raise_file_limit(), max_connections as u64 + FILES_BEHIND_CONNECTIONS);
    if limit < wanted {
        tracing::warn!(
            limit,
            wanted,
            "the limit of open files is low; raise `ulimit -n`, or lower LARDER_MAX_CONNECTIONS"
        );
    }
}

/// The console's place below the public URL.
const CONSOLE: &str = "/console/";

/// Description of the object store if no setting names it. The resolved address is logged later.
#[cfg(feature = "s3")]
const BY_ENVIRONMENT: &str = "the endpoint that the AWS environment names, else AWS";

/// Describes the backend: the bucket and its location, or the data folder.
pub(super) fn describe_backend(config: &Config) -> String {
    #[cfg(feature = "s3")]
    if config.has_bucket() {
        let origin = config.s3.endpoint.as_ref().map_or_else(|| BY_ENVIRONMENT.to_owned(), ToString::to_string);
        let below = if config.s3.prefix.is_empty() { String::new() } else { format!(", below {}", config.s3.prefix) };
        return format!("the bucket {} at {origin}{below}", config.s3.bucket);
    }
    let path = std::path::absolute(&config.data);
    format!("the data folder {}", path.as_deref().unwrap_or(Path::new(&config.data)).display())
}

/// Returns the address of the console as clients reach it.
pub(super) fn console_url(config: &Config, address: SocketAddr, is_encrypted: bool) -> String {
    format!("{}{CONSOLE}", public_url(config, address, is_encrypted))
}

/// Logs the gateway that is about to run. The mode is that of the configuration: an object store with conditional
/// writes needs no leader.
pub(super) fn log_start(config: &Config, address: SocketAddr, tls: Option<&Tls>) {
    let mode = match &config.leader {
        _ if !config.has_bucket() => "standalone".to_owned(),
        None => "peer".to_owned(),
        Some(LeaderSetting::ThisGateway) => "leader".to_owned(),
        Some(LeaderSetting::OtherGateway(leader)) => format!("follower of {leader}"),
    };
    let is_encrypted = tls.is_some();
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        backend = describe_backend(config),
        mode,
        listen = %address,
        public_url = public_url(config, address, is_encrypted),
        tls = if is_encrypted { "on" } else { "off" },
        console = console_url(config, address, is_encrypted),
        "starting Larder"
    );
}

/// A gateway did not start, or cannot apply another configuration.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Listening on the address failed.
    #[error("{0}; choose another one with --listen or LARDER_LISTEN")]
    Bind(#[source] BindError),
    /// The system cannot start the serving threads.
    #[error("cannot start the serving threads")]
    Threads(#[source] io::Error),
    /// The certificate or its key is unusable.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The data folder is unusable.
    #[error(transparent)]
    Data(#[from] OpenError),
    /// The object store is unusable.
    #[cfg(feature = "s3")]
    #[error(transparent)]
    ObjectStore(#[from] s3::OpenError),
    /// The capabilities of the object store could not be detected.
    #[cfg(feature = "s3")]
    #[error("cannot detect the capabilities of the object store")]
    Probe(#[source] storage::Error),
    /// A newer version wrote the stored data, or the version is unknown.
    #[error(transparent)]
    Format(#[from] kv::FormatError),
    /// The gateway cannot join the installation.
    #[error(transparent)]
    Installation(#[from] kv::JoinError),
    /// The clock record of the installation cannot be read or written.
    #[error("cannot read or write the clock record of the installation")]
    ClockRecord(#[source] kv::Error),
    /// The embedded engine panicked while it was opened.
    #[error("cannot open the embedded engine: it failed; see the log")]
    EngineFailed,
    /// The admin token is unavailable.
    #[error(transparent)]
    AdminToken(#[from] AdminTokenError),
    /// The master secret is unavailable.
    #[error(transparent)]
    Secrets(#[from] SecretsError),
    /// The accounts are unavailable.
    #[error(transparent)]
    Users(#[from] AccountsError),
    /// The user of the configuration cannot be created, or not with that token.
    #[error("cannot create user {user} of LARDER_USER with the token of LARDER_USER_TOKEN")]
    BootstrapUser {
        /// The username.
        user: Username,
        /// The cause.
        #[source]
        cause: AccountsError,
    },
    /// The object store has no conditional writes, and no leader is configured.
    #[error(
        "cannot start without a leader: this object store has no conditional writes; set LARDER_LEADER to self on exactly \
         one gateway, and to that gateway's http:// origin on all others"
    )]
    NoLeader,
    /// The record cache was enabled for a bucket that others may write to.
    #[error(
        "cannot use LARDER_RECORD_CACHE_SIZE: another gateway may write to the bucket; set LARDER_EXCLUSIVE_BUCKET to yes \
         if there is none, or unset the cache"
    )]
    CacheOfMany,
    /// The embedded engine belongs to one gateway, so there can be no other leader.
    #[error("cannot use LARDER_LEADER with a data folder: the embedded engine belongs to this gateway alone; unset it")]
    LeaderOfFolder,
    /// A secret that all gateways must share is not configured, and no gateway can create it for all.
    #[error(
        "cannot start without {0}: this object store has no conditional writes; set it to the same value on every gateway"
    )]
    NotShared(&'static str),
    /// The token is not a valid header value for calls to the leader.
    #[error("cannot send LARDER_TOKEN to the leader: it has characters that are invalid in a header")]
    UnsendableToken,
    /// The upstream is unusable.
    #[error("cannot use LARDER_UPSTREAM_URL")]
    Upstream(#[source] BoxError),
    /// The collector of traces is unusable.
    #[error("cannot use LARDER_OTLP_ENDPOINT")]
    Collector(#[source] BoxError),
    /// The token is not a valid header value for calls to the upstream.
    #[error("cannot use LARDER_UPSTREAM_TOKEN: it has characters that are invalid in a header")]
    UnsendableUpstreamToken,
    /// The leader has created no account yet.
    #[error("cannot find accounts: the leader creates them at its first start; start the leader first")]
    LeaderNotStarted,
}

/// A gateway stopped without flushing everything. No acknowledged write is lost.
#[derive(Debug, thiserror::Error)]
pub enum StopError {
    /// The usage counters of stores could not be written.
    #[error("cannot write the usage counters of stores")]
    Counters(#[source] kv::Error),
    /// The object store did not respond in time: counts since the last minute are lost.
    #[error("cannot write the usage counters of stores: the object store does not respond")]
    Unresponsive,
}
