//! Metrics of the gateway as a whole, and the export of traces if a collector is configured.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use crate::{
    clock::{Clock, Random},
    config::Config,
    jobs::{Job, SpanExport},
    kv::{Catalog, Usage},
    outbound::HttpClient,
    server::{Server, Tls},
    telemetry::{MetricKind, Metrics, Sample, trace::Tracer},
};

use super::{
    health::{self, Health},
    start::StartError,
};

/// Totals of the installation, computed within the last hour. A gateway that forwards to the leader has none of
/// these.
const TOTALS: [(&str, &str, Figure); 3] = [
    ("larder_stores", "Current number of stores of the installation; recounted once an hour.", |totals| totals.stores),
    ("larder_records", "Current number of records of the installation; recounted once an hour.", |totals| {
        totals.records
    }),
    (
        "larder_stored_bytes",
        "Current stored bytes of all records of the installation; recounted once an hour.",
        |totals| totals.bytes,
    ),
];

/// Selects a figure of the totals.
type Figure = fn(&Usage) -> u64;

/// Registers in `metrics` those metrics that no other module registers.
pub(super) fn register_metrics(
    metrics: &Metrics,
    (server, tls): (&Server, Option<Arc<Tls>>),
    catalog: &Catalog,
    clock: &Arc<dyn Clock>,
    health: &Arc<Health>,
) {
    health::register_metrics(health, metrics);
    let help = "Unix time of the earliest expiry in the certificate chain of this gateway in seconds.";
    metrics.register("larder_tls_certificate_expiry_timestamp_seconds", help, MetricKind::Gauge, move || {
        let validity = tls.as_ref().and_then(|tls| tls.validity());
        let seconds = validity.map(|validity| u64::try_from(validity.until.as_millis() / 1000).unwrap_or_default());
        seconds.map(Sample::new).into_iter().collect()
    });
    let version = env!("CARGO_PKG_VERSION");
    let help = "Version of this gateway; always 1.";
    metrics.register("larder_build_info", help, MetricKind::Gauge, move || {
        vec![Sample::with_labels([("version", version)], 1)]
    });
    let open = server.open_connections();
    let help = "Current number of open client connections.";
    metrics.register("larder_connections", help, MetricKind::Gauge, move || {
        vec![Sample::new(open.load(Ordering::Relaxed) as u64)]
    });
    let expired = Arc::clone(catalog.expired_stores());
    let help = "Total number of expired stores whose deletion started on this gateway.";
    metrics.register("larder_stores_expired_total", help, MetricKind::Counter, move || {
        vec![Sample::new(expired.load(Ordering::Relaxed))]
    });
    let failures = Arc::clone(catalog.failures());
    let help = "Current number of stores with a due item that fails on this gateway.";
    metrics.register("larder_due_items_failing", help, MetricKind::Gauge, move || {
        vec![Sample::new(failures.count() as u64)]
    });
    let (failures, clock) = (Arc::clone(catalog.failures()), Arc::clone(clock));
    let help = "Time since the oldest failing due item became due in seconds.";
    metrics.register("larder_due_items_oldest_failing_age_seconds", help, MetricKind::Gauge, move || {
        vec![Sample::new(failures.oldest_age(clock.now()).as_secs())]
    });
    for (name, help, of) in TOTALS {
        let totals = Arc::clone(catalog.totals());
        metrics.register(name, help, MetricKind::Gauge, move || {
            totals.latest().map(|totals| Sample::new(of(&totals))).into_iter().collect()
        });
    }
    let uses = catalog.cache_counters().clone();
    let help = "Total number of lookups in the store cache, by outcome: hit or miss.";
    metrics.register("larder_store_cache_lookups_total", help, MetricKind::Counter, move || {
        [("hit", uses.hits()), ("miss", uses.misses())]
            .map(|(outcome, count)| Sample::with_labels([("outcome", outcome)], count))
            .into()
    });
}

/// Timeout for sending the queued spans at the end.
const FINAL_EXPORT_TIMEOUT: Duration = Duration::from_secs(5);

/// The tracer and the job that sends its spans; empty if no collector is configured.
#[derive(Debug, Default)]
pub(super) struct Tracing {
    tracer: Option<Arc<Tracer>>,
    export: Option<Arc<SpanExport>>,
}

impl Tracing {
    /// Returns the configured tracing; `metrics` shows the number of spans sent.
    pub(super) fn from_config(
        config: &Config,
        clock: &Arc<dyn Clock>,
        random: &dyn Random,
        metrics: &Metrics,
    ) -> Result<Self, StartError> {
        let options = &config.traces;
        let mut seed = [0; 8];
        random.fill(&mut seed);
        let seed = u64::from_le_bytes(seed);
        let tracer = Arc::new(Tracer::new(options.ratio, seed));
        tracer.register_metrics(metrics);
        let Some(address) = &options.collector else { return Ok(Self::default()) };
        let collector = HttpClient::otlp(address.server().clone(), &config.proxies, Arc::clone(clock));
        let collector = collector.map_err(StartError::Collector)?;
        let instance = format!("{seed:016x}");
        let export = SpanExport::new(Arc::clone(&tracer), collector, address, options.headers.clone(), instance);
        Ok(Self { tracer: Some(tracer), export: Some(Arc::new(export)) })
    }

    /// Returns the tracer.
    pub(super) fn tracer(&self) -> Option<Arc<Tracer>> {
        self.tracer.clone()
    }

    /// Returns the background job.
    pub(super) fn job(&self) -> Option<Arc<dyn Job>> {
        self.export.clone().map(|export| export as Arc<dyn Job>)
    }

    /// Sends the queued spans, if that succeeds within the timeout.
    pub(super) async fn finish(&self, clock: &dyn Clock) {
        let Some(export) = &self.export else { return };
        tokio::select! {
            _ = export.run_once() => {}
            () = clock.sleep(FINAL_EXPORT_TIMEOUT) => {}
        }
    }
}
