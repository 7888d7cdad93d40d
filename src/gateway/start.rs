//! A gateway's life: built from the configuration, run until told to stop, closed so that nothing counted is lost.

use std::{
    future::Future,
    net::SocketAddr,
    num::NonZero,
    sync::{Arc, atomic::Ordering},
    thread::available_parallelism,
};

use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    api::{Api, ApiOptions, ApiParts, ToldRenewals, Upstream},
    auth::{Secrets, SharedStores, Tokens},
    clock::{Clock, Random, SystemClock, SystemRandom},
    config::{Config, UpstreamOptions},
    jobs::{ActivityFlush, Job, JobMeter, RunUpkeep, TokenUses, ToldActivity, schedule},
    kv::{CacheOptions, Catalog, CatalogOptions},
    peer::Peer,
    runs::Runs,
    server::{Drained, Server, ServerOptions, Workers, raise_file_limit, reachable_address},
    telemetry::{Kind, Metrics, Sample},
};

use super::{
    admin_token::AdminToken,
    backend::Backend,
    error::{StartError, StopError},
    first_user::FirstUser,
    front::Front,
    health::Health,
    record_cache::RecordCache,
    role::Role,
};

/// A whole Larder.
#[derive(Debug)]
pub struct Gateway {
    server: Server,
    workers: Workers,
    front: Front,
    admin_token: AdminToken,
    catalog: Arc<Catalog>,
    activity: Arc<dyn Job>,
    jobs: Vec<Arc<dyn Job>>,
    job_meter: JobMeter,
    backend: Backend,
    clock: Arc<dyn Clock>,
}

impl Gateway {
    /// Builds a gateway. Its address is bound from now on, but nothing is served before [`Gateway::run`].
    pub async fn open(config: Config) -> Result<Self, StartError> {
        let machine: Arc<dyn Clock> = Arc::new(SystemClock);
        let random: Arc<dyn Random> = Arc::new(SystemRandom);
        warn_of_few_descriptors(config.server.max_connections);
        let first_user = FirstUser::of(&config)?;
        // The address first: whoever starts Larder twice should hear of the port, and no folder should be made.
        let options = ServerOptions { names_peers: config.rates.caller.is_some(), ..config.server.clone() };
        let server = Server::bind(options, Arc::clone(&machine)).map_err(StartError::Bind)?;
        let workers = Workers::start(available_parallelism().map_or(1, NonZero::get)).map_err(StartError::Threads)?;
        let upstream = upstream(&config.upstream, &machine)?;
        let metrics = Metrics::of_process();
        let backend = Backend::open(&config, &machine, &random, &metrics).await?;
        let clock = backend.clock(&machine);
        let role = Role::of(&config, backend.sharing(), &clock)?;
        let objects = role.settled_objects(backend.objects(), &clock).await?;
        let objects = &RecordCache::of(&config, &role)?.before(objects, &clock, &metrics);
        let admin_token = backend.admin_token(&config, objects.as_ref(), random.as_ref()).await?;
        let secrets = Arc::new(match config.secret {
            Some(master) => Secrets::new(master),
            None => Secrets::open(objects.as_ref(), random.as_ref()).await?,
        });
        let users = Arc::new(role.users(objects, &clock, &random).await?);
        let tokens = Arc::new(Tokens::new(
            Arc::clone(objects),
            Arc::clone(&clock),
            Arc::clone(&random),
            Arc::clone(&users),
            &admin_token.token,
            role.staleness(),
        ));
        FirstUser::make_sure(first_user.filter(|_| role.makes_accounts()), &users, &tokens).await?;
        let cache = CacheOptions { staleness: role.staleness(), ..config.catalog.cache };
        let catalog = CatalogOptions { cache, classes: role.classes(), ..config.catalog };
        let catalog = Arc::new(Catalog::new(Arc::clone(objects), Arc::clone(&clock), Arc::clone(&random), &catalog));
        let public_url = config.public_url.as_ref();
        let public_url = public_url.map_or_else(|| listening_url(server.local_addr()), |url| url.as_str().to_owned());
        let Config { max_record_bytes, rates, max_requests, quota, metrics_token, .. } = config;
        let options = ApiOptions { public_url, max_record_bytes, rates, max_requests, quota, metrics_token };
        let health = Health::new(Arc::clone(objects), Arc::clone(&clock), machine);
        let errands = role.errands(&admin_token.token)?;
        let (records, activity): (_, Arc<dyn Job>) = match errands {
            None => (catalog.records(), Arc::new(ActivityFlush::new(Arc::clone(&catalog)))),
            Some(errands) => {
                let renewals = ToldRenewals::new(Arc::clone(&catalog), Arc::clone(&errands));
                let records = catalog.records_renewed_by(Arc::new(renewals));
                (records, Arc::new(ToldActivity::new(Arc::clone(&catalog), errands)))
            }
        };
        let shared = SharedStores::new(Arc::clone(objects), Arc::clone(&catalog));
        let runs = Arc::new(Runs::new(Arc::clone(objects), Arc::clone(&clock), Arc::clone(&random), config.runs));
        let parts = ApiParts {
            catalog: Arc::clone(&catalog),
            records: Arc::new(records),
            users,
            tokens: Arc::clone(&tokens),
            shared,
            runs: Arc::clone(&runs),
            secrets,
            upstream,
            metrics: metrics.clone(),
            clock: Arc::clone(&clock),
        };
        show(&metrics, &server, &catalog);
        let api = Api::new(options, parts, random.as_ref());
        let front = Front::new(health, role.api(api));
        let mut jobs = role.jobs(&catalog, objects, RunUpkeep::new(runs, Arc::clone(&catalog), Arc::clone(&tokens)));
        jobs.push(Arc::new(TokenUses::new(tokens)));
        let job_meter = JobMeter::new(&metrics);
        Ok(Self { server, workers, front, admin_token, catalog, activity, jobs, job_meter, backend, clock })
    }

    /// The bound address.
    pub fn local_addr(&self) -> SocketAddr {
        self.server.local_addr()
    }

    /// The admin token, and what is to be told of it.
    pub fn admin_token(&self) -> &AdminToken {
        &self.admin_token
    }

    /// Serves until `shutdown` completes; then lets the requests in flight finish, within the drain limit, and closes
    /// everything in order: what answers, what works in the background, what is counted, the engine.
    pub async fn run(self, shutdown: impl Future<Output = ()>) -> Result<(), StopError> {
        tracing::info!(address = %self.server.local_addr(), "serving");
        let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
        for job in self.jobs.into_iter().chain([Arc::clone(&self.activity)]) {
            schedule(job, Arc::clone(&self.clock), self.job_meter.clone(), &tasks, stop.clone());
        }
        let announced = async {
            shutdown.await;
            tracing::info!("told to stop: finishing the requests in flight");
        };
        let Drained { cut_off } = self.server.run(self.front, &self.workers, announced).await;
        if cut_off > 0 {
            tracing::warn!(cut_off, "requests took longer than the drain and were cut off");
        }
        stop.cancel();
        self.catalog.leave_upkeep();
        tasks.close();
        tasks.wait().await;
        self.catalog.finish().await;
        let counted = self.activity.run_once().await;
        self.backend.close().await;
        // Last: what requests left behind to be finished runs there, too.
        self.workers.stop().await;
        counted.map_err(StopError::Counters)?;
        tracing::info!("stopped");
        Ok(())
    }
}

/// Has `metrics` show what has no other place to be shown.
fn show(metrics: &Metrics, server: &Server, catalog: &Catalog) {
    let version = env!("CARGO_PKG_VERSION");
    let help = "The version of Larder that runs.";
    metrics.watch("larder_build_info", help, Kind::Gauge, move || vec![Sample::labelled([("version", version)], 1)]);
    let open = server.open_connections();
    let help = "Connections of clients that are open.";
    metrics.watch("larder_connections", help, Kind::Gauge, move || {
        vec![Sample::plain(open.load(Ordering::Relaxed) as u64)]
    });
    let uses = catalog.cache_uses().clone();
    let help = "Look-ups of stores, by whether they were remembered (hit) or had to be read (miss).";
    metrics.watch("larder_store_cache_lookups_total", help, Kind::Counter, move || {
        [("hit", uses.hits()), ("miss", uses.misses())]
            .map(|(outcome, count)| Sample::labelled([("outcome", outcome)], count))
            .into()
    });
}

/// The origin of links when no public URL is known: where this machine itself reaches the listener.
fn listening_url(address: SocketAddr) -> String {
    let url = format!("http://{}", reachable_address(address));
    if !address.ip().is_loopback() {
        tracing::warn!("links will begin with {url}, which others cannot follow: set LARDER_PUBLIC_URL");
    }
    url
}

/// The server that has datasets and request queues, if there is one.
fn upstream(options: &UpstreamOptions, clock: &Arc<dyn Clock>) -> Result<Option<Upstream>, StartError> {
    let (address, token) = match (&options.address, &options.token) {
        (None, None) => return Ok(None),
        (Some(address), Some(token)) => (address, token),
        (Some(_), None) | (None, Some(_)) => return Err(StartError::HalfAnUpstream),
    };
    let peer = Peer::upstream(address.clone(), Arc::clone(clock)).map_err(StartError::Upstream)?;
    Upstream::new(Arc::new(peer), token).map(Some).ok_or(StartError::UnsendableUpstreamToken)
}

/// Files of records and connections to an object store that are open at once, and the engine's own, with plenty of both.
const FILES_BEHIND_CONNECTIONS: u64 = 2048;

/// Connections of clients, and what stands behind those that are not idle, share the limit of open files.
fn warn_of_few_descriptors(max_connections: usize) {
    let (limit, wanted) = (raise_file_limit(), max_connections as u64 + FILES_BEHIND_CONNECTIONS);
    if limit < wanted {
        tracing::warn!(limit, wanted, "few files may be open: raise `ulimit -n`, or lower LARDER_MAX_CONNECTIONS");
    }
}
