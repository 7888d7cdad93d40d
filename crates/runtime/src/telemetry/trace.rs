//! Traces: the operations and durations of a request, for a collector.
//!
//! The code that sees an operation end creates its span. Spans wait here until a job sends them; this module does not
//! contact the collector. Programs propagate traces by the header `traceparent`
//! (<https://www.w3.org/TR/trace-context/>).

use std::{
    collections::VecDeque,
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use http::{HeaderName, HeaderValue};
use parking_lot::Mutex;
use serde_json::{Value as Json, json};
use xxhash_rust::xxh3::{xxh3_64_with_seed, xxh3_128_with_seed};

use super::metrics::{MetricKind, Metrics, Sample};

/// The header.
pub const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// Flag bit of a sampled trace.
const SAMPLED: u8 = 1;

/// Id of a trace.
pub type TraceId = [u8; 16];

/// Id of a span.
pub type SpanId = [u8; 8];

/// Trace context of a request, as sent by its caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Parent {
    /// The trace.
    pub trace: TraceId,
    /// The caller's span.
    pub span: SpanId,
    /// True if the trace is sampled.
    pub is_sampled: bool,
}

impl Parent {
    /// Parses the header; `None` if it is invalid, as if it were absent.
    pub fn read(value: &HeaderValue) -> Option<Self> {
        let text = value.to_str().ok()?;
        let mut fields = text.trim().split('-');
        let [version, trace, span, flags] = [fields.next()?, fields.next()?, fields.next()?, fields.next()?];
        let [version] = bytes::<1>(version)?;
        // Later versions may have more fields after these; version 255 is invalid.
        if version == u8::MAX || version == 0 && fields.next().is_some() {
            return None;
        }
        let (trace, span, [flags]) = (bytes(trace)?, bytes(span)?, bytes::<1>(flags)?);
        let is_valid = trace != [0; 16] && span != [0; 8];
        is_valid.then_some(Self { trace, span, is_sampled: flags & SAMPLED != 0 })
    }
}

/// Returns the header that makes `span` of a sampled trace the parent of the next server's spans.
pub fn traceparent(trace: TraceId, span: SpanId) -> Option<HeaderValue> {
    HeaderValue::try_from(format!("00-{}-{}-{SAMPLED:02x}", hex(&trace), hex(&span))).ok()
}

/// Formats bytes in hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    let mut text = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        let _ = write!(text, "{byte:02x}");
    }
    text
}

/// Parses exactly `N` bytes of lower-case hexadecimal digits.
fn bytes<const N: usize>(text: &str) -> Option<[u8; N]> {
    if text.len() != 2 * N || !text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')) {
        return None;
    }
    let mut bytes = [0; N];
    for (byte, digits) in bytes.iter_mut().zip(text.as_bytes().chunks(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?;
    }
    Some(bytes)
}

/// Kind of a span.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SpanKind {
    /// A request that this server answered.
    Server,
    /// A call to another server.
    Client,
}

/// The value of an attribute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// A string.
    Text(String),
    /// A number.
    Number(i64),
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<u64> for Value {
    fn from(number: u64) -> Self {
        Self::Number(i64::try_from(number).unwrap_or(i64::MAX))
    }
}

/// A timed operation.
#[derive(Debug, Clone)]
pub struct Span {
    /// The trace it belongs to.
    pub trace: TraceId,
    /// Identifies it.
    pub id: SpanId,
    /// Its parent.
    pub parent: Option<SpanId>,
    /// Its name.
    pub name: &'static str,
    /// Its kind.
    pub kind: SpanKind,
    /// Its start, since 1970-01-01T00:00:00Z.
    pub began: Duration,
    /// Its end.
    pub ended: Duration,
    /// Its attributes. Never a secret, and no record key.
    pub attributes: Vec<(&'static str, Value)>,
    /// True if it failed for a reason other than the caller's fault.
    pub has_failed: bool,
}

/// Maximum number of queued spans; some MiB.
const MAX_WAITING: usize = 8192;

/// Maximum number of calls per request that become spans, so a download of 100,000 records does not displace
/// everything else.
const MAX_CALLS: usize = 256;

/// Decides which requests are traced, and holds the spans until they are sent.
#[derive(Debug)]
pub struct Tracer {
    /// Number of 2^64 requests to trace, among those without a sampling decision by the caller.
    share: u64,
    seed: u64,
    count: AtomicU64,
    waiting: Mutex<VecDeque<Span>>,
    sent: AtomicU64,
    dropped: AtomicU64,
}

/// A traced request.
#[derive(Debug, Clone)]
pub struct Trace {
    tracer: Arc<Tracer>,
    id: TraceId,
    span: SpanId,
    parent: Option<SpanId>,
    /// Reading of the monotonic clock extrapolated to the beginning of 1970.
    epoch: Duration,
    calls: Arc<AtomicUsize>,
}

impl Tracer {
    /// Returns a tracer that samples a ratio of the requests, from 0 to 1, and those whose callers sample. `seed`
    /// should differ between processes.
    pub fn new(ratio: f64, seed: u64) -> Self {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            clippy::cast_precision_loss,
            reason = "a share need not be exact, and the conversion saturates"
        )]
        let share = (ratio * u64::MAX as f64) as u64;
        Self {
            share,
            seed,
            count: AtomicU64::new(0),
            waiting: Mutex::default(),
            sent: AtomicU64::new(0),
            dropped: AtomicU64::new(0),
        }
    }

    /// Registers the number of spans by outcome.
    pub fn register_metrics(self: &Arc<Self>, metrics: &Metrics) {
        let tracer = Arc::clone(self);
        let help = "Total number of trace spans, by outcome: sent to the collector, or dropped.";
        metrics.register("larder_trace_spans_total", help, MetricKind::Counter, move || {
            [("sent", &tracer.sent), ("dropped", &tracer.dropped)]
                .map(|(outcome, count)| Sample::with_labels([("outcome", outcome)], count.load(Ordering::Relaxed)))
                .into()
        });
    }

    /// Begins the trace of a request, if it is sampled: by its caller's decision if there is one, else at random.
    /// `times` returns the time since 1970-01-01T00:00:00Z and that of the monotonic clock.
    pub fn begin(
        self: &Arc<Self>,
        caller: Option<&HeaderValue>,
        times: impl FnOnce() -> (Duration, Duration),
    ) -> Option<Trace> {
        let parent = caller.and_then(Parent::read);
        let number = self.count.fetch_add(1, Ordering::Relaxed);
        let is_traced = match parent {
            Some(parent) => parent.is_sampled,
            None => self.share > 0 && xxh3_64_with_seed(&number.to_le_bytes(), !self.seed) <= self.share,
        };
        if !is_traced {
            return None;
        }
        let fresh = || xxh3_128_with_seed(&number.to_le_bytes(), self.seed).max(1).to_be_bytes();
        let (now, monotonic) = times();
        Some(Trace {
            tracer: Arc::clone(self),
            id: parent.map_or_else(fresh, |parent| parent.trace),
            span: self.span_id(),
            parent: parent.map(|parent| parent.span),
            epoch: now.saturating_sub(monotonic),
            calls: Arc::default(),
        })
    }

    /// Removes and returns the oldest queued spans, at most `limit`.
    pub fn drain(&self, limit: usize) -> Vec<Span> {
        let mut waiting = self.waiting.lock();
        let count = waiting.len().min(limit);
        waiting.drain(..count).collect()
    }

    /// Requeues spans that were not sent, as far as there is space.
    pub fn requeue(&self, spans: Vec<Span>) {
        for span in spans.into_iter().rev() {
            let mut waiting = self.waiting.lock();
            if waiting.len() < MAX_WAITING {
                waiting.push_front(span);
            } else {
                self.dropped.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    /// Counts sent spans.
    pub fn count_sent(&self, count: usize) {
        self.sent.fetch_add(count as u64, Ordering::Relaxed);
    }

    /// Counts dropped spans.
    pub fn count_dropped(&self, count: usize) {
        self.dropped.fetch_add(count as u64, Ordering::Relaxed);
    }

    fn add(&self, span: Span) {
        let mut waiting = self.waiting.lock();
        if waiting.len() < MAX_WAITING {
            waiting.push_back(span);
        } else {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn span_id(&self) -> SpanId {
        let number = self.count.fetch_add(1, Ordering::Relaxed);
        xxh3_64_with_seed(&number.to_le_bytes(), self.seed).max(1).to_be_bytes()
    }
}

/// Data of a span, with its times by the monotonic clock.
#[derive(Debug)]
pub struct SpanData {
    /// Its name.
    pub name: &'static str,
    /// Its start.
    pub began: Duration,
    /// Its end.
    pub ended: Duration,
    /// Its attributes.
    pub attributes: Vec<(&'static str, Value)>,
    /// True if it failed.
    pub has_failed: bool,
}

impl Trace {
    /// Records the span of the request.
    pub fn request(&self, seen: SpanData) {
        self.tracer.add(self.span(self.span, self.parent, SpanKind::Server, seen));
    }

    /// Records the span of a call for the request.
    pub fn call(&self, seen: impl FnOnce() -> SpanData) {
        if self.calls.fetch_add(1, Ordering::Relaxed) < MAX_CALLS {
            self.tracer.add(self.span(self.tracer.span_id(), Some(self.span), SpanKind::Client, seen()));
        }
    }

    /// Returns the header that makes the next server's spans children of this trace.
    pub fn header(&self) -> Option<HeaderValue> {
        traceparent(self.id, self.span)
    }

    fn span(&self, id: SpanId, parent: Option<SpanId>, kind: SpanKind, seen: SpanData) -> Span {
        let SpanData { name, began, ended, attributes, has_failed } = seen;
        let (began, ended) = (self.epoch + began, self.epoch + ended);
        Span { trace: self.id, id, parent, name, kind, began, ended, attributes, has_failed }
    }
}

// Spans in OTLP: a JSON document, as every collector accepts it at `/v1/traces`.
// (<https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding>)

/// Service name of the spans.
const OTLP_SERVICE: &str = "larder";

/// The media type of the OTLP document.
pub const OTLP_CONTENT_TYPE: &str = "application/json";

/// Returns the OTLP document for `spans` of the process `instance`.
pub fn otlp_document(spans: &[Span], instance: &str) -> Vec<u8> {
    let version = env!("CARGO_PKG_VERSION");
    let resource = json!({ "attributes": [
        otlp_attribute("service.name", &OTLP_SERVICE.into()),
        otlp_attribute("service.version", &version.into()),
        otlp_attribute("service.instance.id", &instance.into()),
    ] });
    let scope = json!({ "name": OTLP_SERVICE, "version": version });
    let spans: Vec<Json> = spans.iter().map(otlp_span).collect();
    let document =
        json!({ "resourceSpans": [{ "resource": resource, "scopeSpans": [{ "scope": scope, "spans": spans }] }] });
    document.to_string().into_bytes()
}

fn otlp_span(span: &Span) -> Json {
    let kind = match span.kind {
        SpanKind::Server => 2,
        SpanKind::Client => 3,
    };
    let attributes: Vec<Json> = span.attributes.iter().map(|(name, value)| otlp_attribute(name, value)).collect();
    let mut document = json!({
        "traceId": hex(&span.trace),
        "spanId": hex(&span.id),
        "name": span.name,
        "kind": kind,
        "startTimeUnixNano": nanos(span.began),
        "endTimeUnixNano": nanos(span.ended),
        "attributes": attributes,
    });
    if let Some(parent) = &span.parent {
        document["parentSpanId"] = hex(parent).into();
    }
    if span.has_failed {
        document["status"] = json!({ "code": 2 });
    }
    document
}

/// 64-bit integers are strings in this encoding.
fn otlp_attribute(name: &str, value: &Value) -> Json {
    let value = match value {
        Value::Text(text) => json!({ "stringValue": text }),
        Value::Number(number) => json!({ "intValue": number.to_string() }),
    };
    json!({ "key": name, "value": value })
}

fn nanos(time: Duration) -> String {
    time.as_nanos().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXAMPLE: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    fn read(text: &str) -> Option<Parent> {
        Parent::read(&HeaderValue::from_str(text).expect("a header"))
    }

    #[test]
    fn the_example_of_the_standard_is_read_and_written() {
        let parent = read(EXAMPLE).expect("it is one");
        assert!(parent.is_sampled);
        assert_eq!(hex(&parent.span), "b7ad6b7169203331");
        assert_eq!(traceparent(parent.trace, parent.span).expect("a header"), EXAMPLE);
        assert!(!read(&EXAMPLE.replace("-01", "-00")).expect("it is one").is_sampled);
        assert!(read(&EXAMPLE.replace("00-0a", "cc-0a").replace("-01", "-09-more")).expect("it is one").is_sampled);
    }

    #[test]
    fn what_cannot_be_read_is_as_if_it_were_not_there() {
        for text in [
            "",
            "00",
            &EXAMPLE[..54],
            &EXAMPLE.to_ascii_uppercase(),
            &EXAMPLE.replace("00-0a", "ff-0a"),
            &format!("{EXAMPLE}-more"),
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
            "00-0af7651916cd43dd8448eb211c80319-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b716920333g-01",
        ] {
            assert_eq!(read(text), None, "{text}");
        }
    }

    const NOW: (Duration, Duration) = (Duration::from_secs(1000), Duration::from_secs(10));

    fn seen() -> SpanData {
        let (began, ended) = (Duration::from_secs(11), Duration::from_secs(12));
        SpanData { name: "test", began, ended, attributes: Vec::new(), has_failed: false }
    }

    #[test]
    fn about_as_many_requests_are_traced_as_are_to_be() {
        for (ratio, least, most) in [(0.0, 0, 0), (0.1, 800, 1200), (1.0, 10_000, 10_000)] {
            let tracer = Arc::new(Tracer::new(ratio, 7));
            let count = (0..10_000).filter(|_| tracer.begin(None, || NOW).is_some()).count();
            assert!((least..=most).contains(&count), "{ratio}: {count}");
        }
    }

    #[test]
    fn a_caller_who_traces_decides() {
        let header =
            |flags| HeaderValue::try_from(format!("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-{flags}"));
        let (all, none) = (Arc::new(Tracer::new(1.0, 7)), Arc::new(Tracer::new(0.0, 7)));
        assert!(all.begin(header("00").ok().as_ref(), || NOW).is_none());
        let trace = none.begin(header("01").ok().as_ref(), || NOW).expect("the caller wants it");
        trace.request(seen());
        trace.call(seen);
        let spans = none.drain(10);
        assert_eq!(spans.len(), 2);
        assert_eq!(spans[0].trace, *b"\x0a\xf7\x65\x19\x16\xcd\x43\xdd\x84\x48\xeb\x21\x1c\x80\x31\x9c");
        assert_eq!(spans[0].parent, Some(*b"\xb7\xad\x6b\x71\x69\x20\x33\x31"));
        assert_eq!((spans[1].trace, spans[1].parent), (spans[0].trace, Some(spans[0].id)));
        assert_eq!((spans[0].began, spans[0].ended), (Duration::from_secs(1001), Duration::from_secs(1002)));
        assert_ne!(spans[0].id, spans[1].id);
    }

    #[test]
    fn what_is_too_much_is_dropped_and_counted() {
        let tracer = Arc::new(Tracer::new(1.0, 7));
        let trace = tracer.begin(None, || NOW).expect("all are traced");
        for _ in 0..MAX_WAITING + 5 {
            trace.request(seen());
        }
        assert_eq!(tracer.dropped.load(Ordering::Relaxed), 5);
        let taken = tracer.drain(100);
        trace.request(seen());
        tracer.requeue(taken);
        assert_eq!(tracer.dropped.load(Ordering::Relaxed), 6);
        assert_eq!(tracer.drain(usize::MAX).len(), MAX_WAITING);
        for _ in 0..MAX_CALLS + 5 {
            trace.call(seen);
        }
        assert_eq!(tracer.drain(usize::MAX).len(), MAX_CALLS);
    }
}

#[cfg(test)]
mod otlp_tests {
    use super::*;

    #[test]
    fn a_span_is_written_as_the_specification_has_it() {
        let span = Span {
            trace: [0x5b; 16],
            id: [0xee; 8],
            parent: Some([0x01; 8]),
            name: "get_record",
            kind: SpanKind::Server,
            began: Duration::new(1_544_712_660, 7),
            ended: Duration::new(1_544_712_661, 0),
            attributes: vec![("larder.request_id", "a-1".into()), ("http.response.status_code", 200_u64.into())],
            has_failed: true,
        };
        let document: Json = serde_json::from_slice(&otlp_document(&[span], "here")).expect("JSON");
        let resource = &document["resourceSpans"][0];
        assert_eq!(
            resource["resource"]["attributes"][0],
            json!({ "key": "service.name", "value": { "stringValue": "larder" } })
        );
        let expected = json!({
            "traceId": "5b5b5b5b5b5b5b5b5b5b5b5b5b5b5b5b",
            "spanId": "eeeeeeeeeeeeeeee",
            "name": "get_record",
            "kind": 2,
            "startTimeUnixNano": "1544712660000000007",
            "endTimeUnixNano": "1544712661000000000",
            "attributes": [
                { "key": "larder.request_id", "value": { "stringValue": "a-1" } },
                { "key": "http.response.status_code", "value": { "intValue": "200" } },
            ],
            "parentSpanId": "0101010101010101",
            "status": { "code": 2 },
        });
        assert_eq!(resource["scopeSpans"][0]["spans"][0], expected);
    }
}
