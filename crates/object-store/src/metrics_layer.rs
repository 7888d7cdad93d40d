//! A decorator for metrics: calls by operation and outcome, bytes of bodies, and latencies. Counting is a few atomic
//! additions; it knows no keys. Calls of a traced request become spans, and their cost is charged to the owner of the
//! request.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use futures_util::StreamExt;

use larder_runtime::{
    clock::Clock,
    telemetry::{
        CostLedger, Costs, DurationHistogram, MetricKind, Metrics, Sample, charge, request_context,
        trace::{SpanData, Value},
    },
};

use super::{
    body::ByteStream,
    lifecycle::Lifecycle,
    object::{GetOptions, ListOptions, ListPage, Object, ObjectMeta, Precondition, PutOptions, PutOutcome},
    store::{Error, ObjectStore, Operation, Result},
};

/// An object store whose calls are counted.
#[derive(Debug)]
pub struct MetricsLayer<S: ?Sized = dyn ObjectStore> {
    totals: Arc<ObjectStoreMetrics>,
    latencies: Option<Latencies>,
    ledger: Option<Arc<CostLedger>>,
    inner: Arc<S>,
}

/// Counts up to a moment, or between two.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    calls: [Calls; Operation::ALL.len()],
    /// Bytes of bodies that were stored.
    pub bytes_in: u64,
    /// Bytes of bodies that were returned, whether or not they were read to their end.
    pub bytes_out: u64,
}

/// Calls of one operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Calls {
    /// Calls that began; one whose future was dropped has no outcome below.
    pub begun: u64,
    /// Calls that succeeded.
    pub succeeded: u64,
    /// Calls with a negative result: no such object, a failed precondition, or an unsatisfiable range.
    pub negative: u64,
    /// Calls that failed.
    pub failed: u64,
}

impl Counts {
    /// Returns the calls of `operation`.
    pub fn for_operation(&self, operation: Operation) -> Calls {
        self.calls[operation as usize]
    }

    /// Returns the number of calls of all operations that began.
    pub fn total(&self) -> u64 {
        self.calls.iter().map(|calls| calls.begun).sum()
    }

    /// Returns the counts since `earlier`.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        let mut difference = *self;
        for (calls, before) in difference.calls.iter_mut().zip(&earlier.calls) {
            calls.begun -= before.begun;
            calls.succeeded -= before.succeeded;
            calls.negative -= before.negative;
            calls.failed -= before.failed;
        }
        difference.bytes_in -= earlier.bytes_in;
        difference.bytes_out -= earlier.bytes_out;
        difference
    }
}

#[derive(Debug, Default)]
struct ObjectStoreMetrics {
    calls: [CallCounters; Operation::ALL.len()],
    bytes_in: AtomicU64,
    bytes_out: AtomicU64,
}

#[derive(Debug, Default)]
struct CallCounters {
    begun: AtomicU64,
    succeeded: AtomicU64,
    negative: AtomicU64,
    failed: AtomicU64,
}

/// Latencies of calls.
#[derive(Debug)]
struct Latencies {
    clock: Arc<dyn Clock>,
    durations: [DurationHistogram; Operation::ALL.len()],
}

impl ObjectStoreMetrics {
    fn counts(&self) -> Counts {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Counts {
            calls: Operation::ALL.map(|operation| {
                let CallCounters { begun, succeeded, negative, failed } = &self.calls[operation as usize];
                Calls { begun: read(begun), succeeded: read(succeeded), negative: read(negative), failed: read(failed) }
            }),
            bytes_in: read(&self.bytes_in),
            bytes_out: read(&self.bytes_out),
        }
    }

    fn call_samples(&self) -> Vec<Sample> {
        let counts = self.counts();
        let of_operation = |operation: Operation| {
            let Calls { begun: _, succeeded, negative, failed } = counts.for_operation(operation);
            [("succeeded", succeeded), ("negative", negative), ("failed", failed)].map(|(outcome, count)| {
                Sample::with_labels([("operation", operation.name()), ("outcome", outcome)], count)
            })
        };
        Operation::ALL.into_iter().flat_map(of_operation).collect()
    }

    fn byte_samples(&self) -> Vec<Sample> {
        let Counts { bytes_in, bytes_out, .. } = self.counts();
        [("sent", bytes_in), ("received", bytes_out)]
            .map(|(direction, bytes)| Sample::with_labels([("direction", direction)], bytes))
            .into()
    }
}

impl<S: ObjectStore + ?Sized> MetricsLayer<S> {
    /// Counts the calls of `inner`.
    pub fn new(inner: Arc<S>) -> Self {
        Self { inner, totals: Arc::default(), latencies: None, ledger: None }
    }

    /// Counts the calls of `inner` and measures their latencies, and registers both in `metrics`.
    pub fn with_metrics(inner: Arc<S>, clock: Arc<dyn Clock>, metrics: &Metrics) -> Self {
        let totals: Arc<ObjectStoreMetrics> = Arc::default();
        let (calls, bytes) = (Arc::clone(&totals), Arc::clone(&totals));
        let help = "Total number of requests to the object store, by operation and outcome (negative: the response was 404, 412 or 416).";
        metrics.register("larder_object_store_requests_total", help, MetricKind::Counter, move || calls.call_samples());
        let help = "Total bytes of bodies sent to and received from the object store.";
        metrics.register("larder_object_store_bytes_total", help, MetricKind::Counter, move || bytes.byte_samples());
        let help = "Time until the object store responded in seconds, by operation; excludes reading the body.";
        let names = Operation::ALL.map(Operation::name);
        let durations =
            metrics.register_histograms("larder_object_store_request_duration_seconds", help, "operation", names);
        Self { inner, totals, latencies: Some(Latencies { clock, durations }), ledger: None }
    }

    /// Charges the cost of calls in `ledger`, too: for stores without a transport that could charge it.
    #[must_use]
    pub fn with_ledger(self, ledger: Arc<CostLedger>) -> Self {
        Self { ledger: Some(ledger), ..self }
    }

    fn charge(&self, costs: Costs) {
        if let Some(ledger) = &self.ledger {
            charge(ledger, costs);
        }
    }

    /// Returns the counts so far.
    pub fn counts(&self) -> Counts {
        self.totals.counts()
    }

    async fn count<T>(&self, operation: Operation, call: impl Future<Output = Result<T>> + Send) -> Result<T> {
        let CallCounters { begun, succeeded, negative, failed } = &self.totals.calls[operation as usize];
        begun.fetch_add(1, Ordering::Relaxed);
        self.charge(Costs::for_call(operation.class()));
        let began = self.latencies.as_ref().map(|latencies| latencies.clock.monotonic());
        let result = call.await;
        let (outcome, word) = match &result {
            Ok(_) => (succeeded, "succeeded"),
            Err(Error::NotFound | Error::Precondition | Error::RangeNotSatisfiable { .. }) => (negative, "negative"),
            Err(
                Error::Body(_)
                | Error::Throttled { .. }
                | Error::Full(_)
                | Error::Rejected { .. }
                | Error::Fenced(_)
                | Error::Timeout
                | Error::Unavailable(_)
                | Error::Corrupt(_)
                | Error::Unsupported(_),
            ) => (failed, "failed"),
        };
        outcome.fetch_add(1, Ordering::Relaxed);
        if let Some((latencies, began)) = self.latencies.as_ref().zip(began) {
            let ended = latencies.clock.monotonic();
            latencies.durations[operation as usize].observe(ended.saturating_sub(began));
            request_context::record_call_span(|| seen(operation, word, began, ended));
        }
        result
    }
}

fn seen(operation: Operation, outcome: &'static str, began: Duration, ended: Duration) -> SpanData {
    let attributes = vec![("larder.outcome", Value::from(outcome))];
    SpanData { name: operation.title(), began, ended, attributes, has_failed: outcome == "failed" }
}

/// Returns the body with its bytes counted as they pass; one with a known length stays as it is.
fn count_bytes(body: ByteStream) -> (ByteStream, Arc<AtomicU64>) {
    if let Some(length) = body.length() {
        return (body, Arc::new(AtomicU64::new(length)));
    }
    let counter = Arc::new(AtomicU64::new(0));
    let seen = Arc::clone(&counter);
    let chunks = body.inspect(move |chunk| {
        if let Ok(chunk) = chunk {
            seen.fetch_add(chunk.len() as u64, Ordering::Relaxed);
        }
    });
    (ByteStream::new(None, chunks), counter)
}

#[async_trait]
impl<S: ObjectStore + ?Sized> ObjectStore for MetricsLayer<S> {
    async fn put(&self, key: &str, body: ByteStream, options: PutOptions) -> Result<PutOutcome> {
        let (body, length) = count_bytes(body);
        let outcome = self.count(Operation::Put, self.inner.put(key, body, options)).await?;
        let bytes_in = length.load(Ordering::Relaxed);
        self.totals.bytes_in.fetch_add(bytes_in, Ordering::Relaxed);
        self.charge(Costs { bytes_in, ..Costs::default() });
        Ok(outcome)
    }

    async fn get(&self, key: &str, options: GetOptions) -> Result<Object> {
        let object = self.count(Operation::Get, self.inner.get(key, options)).await?;
        let bytes_out = object.range.end - object.range.start;
        self.totals.bytes_out.fetch_add(bytes_out, Ordering::Relaxed);
        self.charge(Costs { bytes_out, ..Costs::default() });
        Ok(object)
    }

    async fn head(&self, key: &str) -> Result<ObjectMeta> {
        self.count(Operation::Head, self.inner.head(key)).await
    }

    async fn delete(&self, key: &str, precondition: Precondition) -> Result<()> {
        self.count(Operation::Delete, self.inner.delete(key, precondition)).await
    }

    async fn delete_many(&self, keys: Vec<String>) -> Result<()> {
        self.count(Operation::DeleteMany, self.inner.delete_many(keys)).await
    }

    async fn list(&self, options: ListOptions) -> Result<ListPage> {
        self.count(Operation::List, self.inner.list(options)).await
    }

    async fn copy(&self, from: &str, to: &str, precondition: Precondition) -> Result<PutOutcome> {
        self.count(Operation::Copy, self.inner.copy(from, to, precondition)).await
    }

    async fn check(&self) -> Result<()> {
        self.count(Operation::Check, self.inner.check()).await
    }

    fn lifecycle(&self) -> Option<&dyn Lifecycle> {
        self.inner.lifecycle()
    }
}
