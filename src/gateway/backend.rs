//! The storage backend, with the record cache over it and the guard over the wall clock.
//!
//! The record cache requires that no other gateway writes.

use std::sync::Arc;

use tokio::task::spawn_blocking;

use crate::{
    clock::{Clock, ClockGuard, Random},
    config::Config,
    kv::{self, ClockRecords},
    storage::{
        MemoryBudget, ObjectStore,
        embedded::{EmbeddedOptions, EmbeddedStore, register_folder_metrics},
        metrics_layer::MetricsLayer,
        read_cache::{ReadCache, ReadCacheOptions},
    },
    telemetry::{CostLedger, MetricKind, Metrics, Sample},
};

use super::{
    bootstrap::AdminToken,
    role::{BackendAccess, Role},
    start::StartError,
};
#[cfg(feature = "s3")]
use crate::storage::s3::{S3Options, S3Store};

/// The storage backend, and its object store interface.
#[derive(Debug)]
pub(super) struct Backend {
    kind: BackendKind,
    objects: Arc<dyn ObjectStore>,
    access: BackendAccess,
}

/// Kind of backend.
#[derive(Debug, Clone)]
pub(super) enum BackendKind {
    /// The embedded engine in a folder.
    Embedded(Arc<EmbeddedStore>),
    /// A bucket.
    #[cfg(feature = "s3")]
    S3(Arc<S3Store>),
}

impl Backend {
    /// Opens the configured backend: a bucket, or else the embedded engine in a folder.
    pub(super) async fn open(
        config: &Config,
        clock: &Arc<dyn Clock>,
        random: &Arc<dyn Random>,
        (metrics, ledger): (&Metrics, &Arc<CostLedger>),
        memory: &Arc<MemoryBudget>,
    ) -> Result<Self, StartError> {
        #[cfg(feature = "s3")]
        if !config.s3.bucket.is_empty() {
            return Self::open_bucket(config, clock, random, (metrics, ledger), memory).await;
        }
        let _ = (random, memory);
        let (options, of_engine) = (EmbeddedOptions::new(&config.data), Arc::clone(clock));
        let opened = spawn_blocking(move || EmbeddedStore::open(&options, of_engine)).await;
        let engine = Arc::new(opened.map_err(|_| StartError::EngineFailed)??);
        register_folder_metrics(&config.data, metrics);
        let objects: Arc<dyn ObjectStore> = Arc::new(
            MetricsLayer::with_metrics(Arc::clone(&engine), Arc::clone(clock), metrics).with_ledger(Arc::clone(ledger)),
        );
        Ok(Self { kind: BackendKind::Embedded(engine), objects, access: BackendAccess::Exclusive })
    }

    #[cfg(feature = "s3")]
    async fn open_bucket(
        config: &Config,
        clock: &Arc<dyn Clock>,
        random: &Arc<dyn Random>,
        (metrics, ledger): (&Metrics, &Arc<CostLedger>),
        memory: &Arc<MemoryBudget>,
    ) -> Result<Self, StartError> {
        let (clock, random) = (Arc::clone(clock), Arc::clone(random));
        let opened = S3Store::open_with_ledger(
            S3Options { memory: Arc::clone(memory), ..config.s3.clone() },
            Arc::clone(&clock),
            Arc::clone(&random),
            Arc::clone(ledger),
        )
        .await;
        let bucket = Arc::new(opened?);
        let findings = bucket.probe(random.as_ref()).await.map_err(StartError::Probe)?;
        let access = if findings.conditional_writes { BackendAccess::SharedCas } else { BackendAccess::SharedNoCas };
        let objects: Arc<dyn ObjectStore> = Arc::new(MetricsLayer::with_metrics(Arc::clone(&bucket), clock, metrics));
        Ok(Self { kind: BackendKind::S3(bucket), objects, access })
    }

    /// Returns the kind of backend.
    pub(super) fn kind(&self) -> BackendKind {
        self.kind.clone()
    }

    /// Returns the object store interface to all durable data.
    pub(super) fn objects(&self) -> &Arc<dyn ObjectStore> {
        &self.objects
    }

    /// Returns the clock that all gateways of the backend share: its own if it has one, else that of `machine`.
    pub(super) fn clock(&self, machine: &Arc<dyn Clock>) -> Arc<dyn Clock> {
        match &self.kind {
            BackendKind::Embedded(_) => Arc::clone(machine),
            #[cfg(feature = "s3")]
            BackendKind::S3(bucket) => Arc::clone(bucket.clock()) as Arc<dyn Clock>,
        }
    }

    /// Returns how gateways share it for writing.
    pub(super) fn access(&self) -> BackendAccess {
        self.access
    }

    /// Returns the admin token stored here, or the given one.
    pub(super) async fn admin_token(
        &self,
        config: &Config,
        objects: &dyn ObjectStore,
        random: &dyn Random,
    ) -> Result<AdminToken, StartError> {
        let given = config.token.as_ref();
        let token = match self.access {
            BackendAccess::Exclusive => AdminToken::open(given, &config.data, random)?,
            BackendAccess::SharedCas | BackendAccess::SharedNoCas => {
                AdminToken::open_shared(given, objects, random).await?
            }
        };
        Ok(token.require_strong(config.server.listen)?)
    }

    /// Ends background work; later calls are rejected.
    pub(super) async fn close(&self) {
        match &self.kind {
            BackendKind::Embedded(engine) => engine.close().await,
            #[cfg(feature = "s3")]
            BackendKind::S3(bucket) => bucket.close().await,
        }
    }
}

impl BackendKind {
    /// Reloads the credentials of an object store from their source. The current ones stay if that fails.
    #[cfg_attr(not(feature = "s3"), expect(clippy::unused_async, reason = "a folder has no keys"))]
    pub(super) async fn reload_credentials(&self) -> Result<(), StartError> {
        match self {
            Self::Embedded(_) => Ok(()),
            #[cfg(feature = "s3")]
            Self::S3(bucket) => Ok(bucket.reload_credentials().await?),
        }
    }
}

/// Default size of the record cache over a folder, in bytes.
const DEFAULT_FOLDER_CACHE_BYTES: u64 = 32 << 20;

/// Size of the record cache in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct RecordCache {
    capacity_bytes: u64,
}

impl RecordCache {
    /// Returns the configured size for this gateway.
    pub(super) fn from_config(config: &Config, role: &Role) -> Result<Self, StartError> {
        let wanted = config.record_cache_bytes;
        let capacity_bytes = match role {
            Role::Standalone => wanted.unwrap_or(DEFAULT_FOLDER_CACHE_BYTES),
            Role::Peer | Role::Leader if config.is_exclusive_bucket => wanted.unwrap_or_default(),
            Role::Peer | Role::Leader | Role::Follower(_) => match wanted {
                None | Some(0) => 0,
                Some(_) => return Err(StartError::CacheOfMany),
            },
        };
        Ok(Self { capacity_bytes })
    }

    /// Wraps `objects` in the record cache, if enabled; `metrics` shows its hits and misses.
    pub(super) fn wrap(
        self,
        objects: Arc<dyn ObjectStore>,
        clock: &Arc<dyn Clock>,
        metrics: &Metrics,
    ) -> Arc<dyn ObjectStore> {
        let capacity_bytes = self.capacity_bytes;
        let options = ReadCacheOptions { capacity_bytes, covers: kv::is_record };
        let cached = Arc::new(ReadCache::new(Arc::clone(&objects), Arc::clone(clock), options));
        register_cache_metrics(&cached, metrics);
        if capacity_bytes == 0 { objects } else { cached }
    }
}

fn register_cache_metrics(cached: &Arc<ReadCache>, metrics: &Metrics) {
    let uses = cached.stats().clone();
    let help = "Total number of lookups in the record cache, by outcome: hit, joined (to a concurrent read) or miss.";
    metrics.register("larder_record_cache_lookups_total", help, MetricKind::Counter, move || {
        [("hit", uses.hits()), ("joined", uses.joined()), ("miss", uses.misses())]
            .map(|(outcome, count)| Sample::with_labels([("outcome", outcome)], count))
            .into()
    });
    let cached = Arc::clone(cached);
    let help = "Current size of the record cache in bytes.";
    metrics
        .register("larder_record_cache_bytes", help, MetricKind::Gauge, move || vec![Sample::new(cached.held_bytes())]);
}

/// Returns the clock record in `objects` by `clock`, on a machine whose own clock is `machine`. Shows in `metrics`
/// whether deletions are suspended. A gateway that is not a writer leaves the record to others.
pub(super) async fn open_clock_records(
    objects: &Arc<dyn ObjectStore>,
    clock: &Arc<dyn Clock>,
    machine: &Arc<dyn Clock>,
    is_writer: bool,
    metrics: &Metrics,
) -> Result<Arc<ClockRecords>, StartError> {
    let guard = Arc::new(ClockGuard::new(Arc::clone(clock), Arc::clone(machine)));
    register_clock_metrics(&guard, metrics);
    let records = ClockRecords::open(Arc::clone(objects), guard, is_writer).await;
    records.map(Arc::new).map_err(StartError::ClockRecord)
}

fn register_clock_metrics(guard: &Arc<ClockGuard>, metrics: &Metrics) {
    let suspended = Arc::clone(guard);
    let help = "1 while time-based deletions are suspended because the wall clock is in doubt, else 0.";
    metrics.register("larder_deletion_suspended", help, MetricKind::Gauge, move || {
        vec![Sample::new(u64::from(suspended.suspension().is_some()))]
    });
    let since = Arc::clone(guard);
    let help = "Unix time since which time-based deletions are suspended in seconds; 0 while they are not.";
    metrics.register("larder_deletion_suspended_since_timestamp_seconds", help, MetricKind::Gauge, move || {
        let seconds = |millis: i64| u64::try_from(millis / 1000).unwrap_or_default();
        vec![Sample::new(since.suspension().map_or(0, |held| seconds(held.since.as_millis())))]
    });
    let uptime = Arc::clone(guard);
    let help = "Total running time of the installation in seconds, over all processes.";
    metrics.register("larder_installation_uptime_seconds_total", help, MetricKind::Counter, move || {
        vec![Sample::new(uptime.uptime().as_secs())]
    });
}

#[cfg(test)]
mod tests {
    use crate::clock::{ManualClock, Timestamp};

    use super::*;

    fn capacity(role: &Role, is_exclusive_bucket: bool, record_cache_bytes: Option<u64>) -> Option<u64> {
        let config = Config { is_exclusive_bucket, record_cache_bytes, ..Config::default() };
        RecordCache::from_config(&config, role).ok().map(|cache| cache.capacity_bytes)
    }

    #[test]
    fn records_are_cached_only_for_an_exclusive_bucket() {
        assert_eq!(capacity(&Role::Standalone, false, None), Some(DEFAULT_FOLDER_CACHE_BYTES));
        assert_eq!(capacity(&Role::Standalone, false, Some(0)), Some(0));
        for role in [Role::Peer, Role::Leader] {
            assert_eq!(capacity(&role, false, None), Some(0));
            assert_eq!(capacity(&role, false, Some(1 << 20)), None);
            assert_eq!(capacity(&role, true, Some(1 << 20)), Some(1 << 20));
        }
    }

    #[test]
    fn suspended_deletions_are_shown_with_their_begin() {
        let clock = Arc::new(ManualClock::new(Timestamp::from_millis(1_767_225_600_000)));
        let (guard, metrics) = (Arc::new(ClockGuard::new(clock.clone(), clock.clone())), Metrics::default());
        register_clock_metrics(&guard, &metrics);
        let shown = |state: &str, since: &str| {
            let text = metrics.render();
            for line in [
                format!("larder_deletion_suspended {state}"),
                format!("larder_deletion_suspended_since_timestamp_seconds {since}"),
            ] {
                assert!(text.lines().any(|shown| shown == line), "{line} is not in\n{text}");
            }
        };
        shown("0", "0");
        clock.jump(61_000);
        shown("1", "1767225661");
        guard.confirm();
        shown("0", "0");
    }
}
