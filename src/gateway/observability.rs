//! Metrics of the gateway as a whole, the export of traces if a collector is configured, and the entries of the access
//! log: collected from a request's head, during its handling, and until the end of its response.

use std::{
    io::{self, IsTerminal},
    net::IpAddr,
    pin::Pin,
    sync::{Arc, atomic::Ordering},
    task::{Context, Poll},
    thread,
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body::{Body, Frame, SizeHint};

use crate::{
    api::REQUEST_ID,
    clock::{Clock, Random},
    config::Config,
    jobs::{Job, SpanExport},
    kv::{Catalog, Usage},
    outbound::HttpClient,
    server::{ClientAddr, Server, Tls},
    telemetry::{AccessLog, AccessLogEntry, MetricKind, Metrics, RequestFacts, Sample, redacted_path, trace::Tracer},
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

/// Logs requests.
#[derive(Debug)]
pub(super) struct Accesses {
    log: AccessLog,
    clock: Arc<dyn Clock>,
}

/// A request in progress. Its line is written when this is dropped.
#[derive(Debug)]
pub(super) struct Access {
    accesses: Arc<Accesses>,
    facts: Arc<RequestFacts>,
    began: Duration,
    method: Method,
    path: String,
    address: Option<IpAddr>,
    request_id: Option<HeaderValue>,
    status: Option<StatusCode>,
    bytes: u64,
    is_whole: bool,
}

impl Accesses {
    /// Starts the access log of the configuration, if it has one, with the time of `clock`.
    pub(super) fn from_config(config: &Config, clock: &Arc<dyn Clock>) -> Result<Option<Arc<Self>>, StartError> {
        let Some(form) = config.telemetry.access_log_form(io::stderr().is_terminal()) else { return Ok(None) };
        let log = AccessLog::start(form).map_err(StartError::Threads)?;
        Ok(Some(Arc::new(Self { log, clock: Arc::clone(clock) })))
    }

    /// Writes the queued lines.
    pub(super) fn close(&self) {
        self.log.close();
    }

    /// Begins to observe a request, and attaches the observer to it.
    pub(super) fn begin<B>(self: &Arc<Self>, request: &mut Request<B>, source: &ClientAddr) -> Box<Access> {
        let facts = Arc::<RequestFacts>::default();
        let token = request.headers().get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        let token = token.map(|text| text.split_once(' ').map_or(text, |(_, token)| token).trim());
        let access = Access {
            accesses: Arc::clone(self),
            facts: Arc::clone(&facts),
            began: self.clock.monotonic(),
            method: request.method().clone(),
            path: redacted_path(request.uri().path(), token),
            address: source.ip,
            request_id: None,
            status: None,
            bytes: 0,
            is_whole: false,
        };
        request.extensions_mut().insert(facts);
        Box::new(access)
    }
}

impl Access {
    /// Records the head of the response.
    pub(super) fn answered<B: Body>(&mut self, response: &Response<B>) {
        self.request_id = response.headers().get(REQUEST_ID).cloned();
        self.status = Some(response.status());
        // These responses have no body to wait for.
        let has_no_body = self.method == Method::HEAD || matches!(response.status().as_u16(), 204 | 304);
        self.is_whole = has_no_body || response.body().is_end_stream();
    }
}

impl Drop for Access {
    fn drop(&mut self) {
        let Accesses { log, clock } = self.accesses.as_ref();
        // A panic is answered with this status, but in another place.
        let status = self.status.or(thread::panicking().then_some(StatusCode::INTERNAL_SERVER_ERROR));
        log.write(&AccessLogEntry {
            timestamp: clock.now(),
            method: method(&self.method),
            path: &self.path,
            status: status.map(|status| status.as_u16()),
            bytes: self.bytes,
            time: clock.monotonic().saturating_sub(self.began),
            caller: self.facts.caller(),
            address: self.address,
            request: self.request_id.as_ref().and_then(|id| id.to_str().ok()),
            object_calls: self.facts.object_calls(),
            cut_off: !self.is_whole,
        });
    }
}

/// Returns the name of a method. Any word is a valid method; unknown ones are not logged.
fn method(method: &Method) -> &str {
    match *method {
        Method::GET
        | Method::HEAD
        | Method::POST
        | Method::PUT
        | Method::DELETE
        | Method::PATCH
        | Method::OPTIONS
        | Method::CONNECT
        | Method::TRACE => method.as_str(),
        _ => "OTHER",
    }
}

/// A response body that counts its bytes for the log.
#[derive(Debug)]
pub(super) struct LoggedBody<B> {
    inner: B,
    access: Option<Box<Access>>,
}

impl<B> LoggedBody<B> {
    pub(super) fn new(inner: B, access: Option<Box<Access>>) -> Self {
        Self { inner, access }
    }
}

impl<B: Body<Data = Bytes> + Unpin> Body for LoggedBody<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let frame = Pin::new(&mut self.inner).poll_frame(context);
        let Self { inner, access } = &mut *self;
        if let (Some(access), Poll::Ready(frame)) = (access, &frame) {
            match frame {
                Some(Ok(frame)) => {
                    access.bytes += frame.data_ref().map_or(0, |data| data.len() as u64);
                    access.is_whole = inner.is_end_stream();
                }
                Some(Err(_)) => {}
                None => access.is_whole = true,
            }
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
