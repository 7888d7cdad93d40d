//! Responses and their bodies: empty, JSON, or streamed from the object store; and the links in them. Bodies in progress
//! are counted.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll},
};

use bytes::Bytes;
use futures_util::{Stream, StreamExt, stream};
use http::{HeaderValue, Response, StatusCode, header};
use http_body::{Body, Frame, SizeHint};
use serde::Serialize;

use crate::{
    kv::{RunId, StoreId},
    storage::{BodyError, ByteStream},
    telemetry::{MetricKind, Metrics, Sample},
};

/// Number of bytes read before a response begins whose body may be invalid.
const READ_AHEAD_BYTES: usize = 64 * 1024;

/// Body of a response.
///
/// A body that cannot be sent completely fails, and the connection is cut: it never looks complete.
#[derive(Debug)]
pub struct ResponseBody(Content);

#[derive(Debug)]
enum Content {
    Whole(Option<Bytes>),
    Stream { stream: ByteStream, remaining: Option<u64>, sent: Option<Tracked> },
}

/// Response in progress, for logging.
#[derive(Debug)]
struct Tracked {
    request_id: HeaderValue,
    _guard: InFlightGuard,
}

impl ResponseBody {
    /// Returns an empty body.
    pub fn empty() -> Self {
        Self(Content::Whole(None))
    }

    /// Returns a body of unknown length that may be invalid: a problem found before its first byte is sent becomes an
    /// error response. A body that ends within that prefix is small and has a known length.
    pub async fn read_ahead(mut body: ByteStream) -> Result<Self, BodyError> {
        let (mut ahead, mut length) = (Vec::<Bytes>::new(), 0);
        while length < READ_AHEAD_BYTES {
            let Some(chunk) = body.next().await.transpose()? else {
                let all = if let [chunk] = ahead.as_slice() { chunk.clone() } else { ahead.concat().into() };
                return Ok(all.into());
            };
            length += chunk.len();
            ahead.push(chunk);
        }
        Ok(ByteStream::new(None, stream::iter(ahead.into_iter().map(Ok)).chain(body)).into())
    }

    /// Returns its length in bytes, if known.
    pub fn known_length(&self) -> Option<u64> {
        match &self.0 {
            Content::Whole(bytes) => Some(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64)),
            Content::Stream { remaining, .. } => *remaining,
        }
    }

    /// Sets the request id under which a failure to send it is logged. Counts the body until it is sent.
    pub fn track(&mut self, id: &HeaderValue, in_flight: &InFlightBodies) {
        match &mut self.0 {
            Content::Whole(_) => {}
            Content::Stream { sent, .. } => {
                *sent = Some(Tracked { request_id: id.clone(), _guard: in_flight.count_outgoing() });
            }
        }
    }
}

impl From<Bytes> for ResponseBody {
    fn from(bytes: Bytes) -> Self {
        Self(Content::Whole((!bytes.is_empty()).then_some(bytes)))
    }
}

impl From<ByteStream> for ResponseBody {
    fn from(stream: ByteStream) -> Self {
        Self(Content::Stream { remaining: stream.length(), stream, sent: None })
    }
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let (stream, remaining, sent) = match &mut self.0 {
            Content::Whole(bytes) => return Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Content::Stream { stream, remaining, sent } => (stream, remaining, sent),
        };
        let failure = match std::task::ready!(Pin::new(stream).poll_next(context)) {
            Some(Ok(chunk)) => match remaining.map(|remaining| remaining.checked_sub(chunk.len() as u64)) {
                None => return Poll::Ready(Some(Ok(Frame::data(chunk)))),
                Some(Some(rest)) => {
                    *remaining = Some(rest);
                    return Poll::Ready(Some(Ok(Frame::data(chunk))));
                }
                Some(None) => BodyError::Storage("there are more bytes than were announced".into()),
            },
            Some(Err(failure)) => failure,
            None if remaining.is_none_or(|remaining| remaining == 0) => return Poll::Ready(None),
            None => BodyError::Storage("there are fewer bytes than were announced".into()),
        };
        let request = sent.as_ref().and_then(|sent| sent.request_id.to_str().ok());
        tracing::error!(request, error = &failure as &dyn std::error::Error, "a response body was cut off");
        self.0 = Content::Whole(None);
        Poll::Ready(Some(Err(failure)))
    }

    fn is_end_stream(&self) -> bool {
        self.known_length() == Some(0)
    }

    fn size_hint(&self) -> SizeHint {
        self.known_length().map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}

/// Capacity for the header fields of a response: no usual one has more, and repeated growth costs more than the space.
const USUAL_FIELDS: usize = 12;

/// Returns a response without a body.
pub fn empty(status: StatusCode) -> Response<ResponseBody> {
    let mut response = Response::new(ResponseBody::empty());
    *response.status_mut() = status;
    response.headers_mut().reserve(USUAL_FIELDS);
    response
}

/// Returns a response with `value` as JSON.
pub fn json<T: Serialize>(status: StatusCode, value: &T) -> Response<ResponseBody> {
    let mut response = empty(status);
    *response.body_mut() = ResponseBody::from(json_bytes(value));
    let json = HeaderValue::from_static("application/json; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, json);
    response
}

/// Serializes `value`. Our own types have string keys and finite numbers, which always have a form in JSON.
pub fn json_bytes<T: Serialize>(value: &T) -> Bytes {
    serde_json::to_vec(value).map_or_else(|_| Bytes::from_static(b"null"), Bytes::from)
}

/// Counter of bodies in progress.
#[derive(Debug)]
pub struct InFlightBodies {
    up: Arc<AtomicU64>,
    down: Arc<AtomicU64>,
}

/// Guard of a body in progress.
#[derive(Debug)]
pub struct InFlightGuard(Arc<AtomicU64>);

impl InFlightBodies {
    /// Returns a new counter, registered with `metrics`.
    pub fn new(metrics: &Metrics) -> Self {
        let in_flight = Self { up: Arc::default(), down: Arc::default() };
        let shown = [("upload", Arc::clone(&in_flight.up)), ("download", Arc::clone(&in_flight.down))];
        let help = "Current number of streamed bodies, by direction: upload or download. Bodies held in memory are not counted.";
        metrics.register("larder_inflight_bodies", help, MetricKind::Gauge, move || {
            let sample = |(way, count): &(&str, Arc<AtomicU64>)| {
                Sample::with_labels([("direction", way)], count.load(Ordering::Relaxed))
            };
            shown.iter().map(sample).collect()
        });
        in_flight
    }

    /// Counts an incoming body.
    pub fn count_incoming(&self) -> InFlightGuard {
        InFlightGuard::new(&self.up)
    }

    /// Counts an outgoing body.
    pub fn count_outgoing(&self) -> InFlightGuard {
        InFlightGuard::new(&self.down)
    }
}

impl InFlightGuard {
    fn new(count: &Arc<AtomicU64>) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(count))
    }
}

impl Drop for InFlightGuard {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Origin of links, without a trailing slash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LinkOrigin {
    /// Configured origin.
    Fixed(String),
    /// Default origin, unless a trusted proxy reports the one that the client used.
    Assumed(String),
}

/// Origin for links of one client.
#[derive(Debug, Clone)]
pub struct Links {
    origin: Arc<str>,
    is_fixed: bool,
}

impl Links {
    /// Returns links to `origin`.
    pub fn new(origin: LinkOrigin) -> Self {
        match origin {
            LinkOrigin::Fixed(origin) => Self { origin: origin.into(), is_fixed: true },
            LinkOrigin::Assumed(origin) => Self { origin: origin.into(), is_fixed: false },
        }
    }

    /// Returns links for a client that used the origin `reported`, if a trusted proxy has reported one.
    #[must_use]
    pub fn for_client_origin(&self, reported: Option<&Arc<str>>) -> Self {
        let origin = reported.filter(|_| !self.is_fixed).unwrap_or(&self.origin);
        Self { origin: Arc::clone(origin), is_fixed: self.is_fixed }
    }

    /// Returns the link to a store.
    pub fn store(&self, id: &StoreId) -> String {
        format!("{}/v2/key-value-stores/{id}", self.origin)
    }

    /// Returns the origin.
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// Returns the link to a run.
    pub fn run(&self, id: &RunId) -> String {
        format!("{}/v2/actor-runs/{id}", self.origin)
    }

    /// Returns the link to a store's page in the console.
    pub fn console(&self, id: &StoreId) -> String {
        format!("{}/console/key-value-stores/{id}", self.origin)
    }

    /// Returns the link to a store's keys.
    pub fn keys(&self, id: &StoreId, signature: Option<&str>) -> String {
        signed(format!("{}/keys", self.store(id)), signature)
    }

    /// Returns the link to all records of a store.
    pub fn records(&self, id: &StoreId) -> String {
        format!("{}/records", self.store(id))
    }

    /// Returns the link to a record.
    pub fn record(&self, id: &StoreId, key: &str, signature: Option<&str>) -> String {
        // Clients that follow the link would resolve dot segments in the path.
        let key = match key {
            "." => "%2E",
            ".." => "%2E%2E",
            key => key,
        };
        signed(format!("{}/{key}", self.records(id)), signature)
    }
}

/// Appends a signature. Its characters need no escape in a query.
fn signed(mut link: String, signature: Option<&str>) -> String {
    if let Some(signature) = signature {
        link.push_str("?signature=");
        link.push_str(signature);
    }
    link
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;

    use super::*;

    fn chunks(length: Option<u64>, chunks: Vec<Result<Bytes, BodyError>>) -> ByteStream {
        ByteStream::new(length, stream::iter(chunks))
    }

    fn body(length: Option<u64>, parts: Vec<Result<Bytes, BodyError>>) -> ResponseBody {
        chunks(length, parts).into()
    }

    #[tokio::test]
    async fn a_body_is_sent_whole() {
        let body = body(Some(5), vec![Ok("flo".into()), Ok("ur".into())]);
        assert_eq!(body.size_hint().exact(), Some(5));
        assert_eq!(body.collect().await.expect("it is whole").to_bytes(), "flour");
        assert!(ResponseBody::from(Bytes::new()).is_end_stream());
    }

    #[tokio::test]
    async fn a_body_that_breaks_off_never_ends_cleanly() {
        for broken in [
            body(None, vec![Ok("flo".into()), Err(BodyError::Malformed("cut".to_owned()))]),
            body(Some(5), vec![Ok("flo".into())]),
            body(Some(2), vec![Ok("flo".into())]),
        ] {
            assert!(broken.collect().await.is_err());
        }
    }

    #[tokio::test]
    async fn an_invalid_body_is_found_before_its_first_byte_is_sent() {
        let malformed = || Err(BodyError::Malformed("cut".to_owned()));
        assert!(ResponseBody::read_ahead(chunks(None, vec![Ok("flo".into()), malformed()])).await.is_err());
        let small =
            ResponseBody::read_ahead(chunks(None, vec![Ok("flo".into()), Ok("ur".into())])).await.expect("it is whole");
        assert_eq!(small.known_length(), Some(5));
        let first = Bytes::from(vec![b'x'; READ_AHEAD_BYTES]);
        let large =
            ResponseBody::read_ahead(chunks(None, vec![Ok(first.clone()), Ok("ur".into())])).await.expect("it begins");
        assert_eq!(large.known_length(), None);
        assert_eq!(large.collect().await.expect("it is whole").to_bytes().len(), READ_AHEAD_BYTES + 2);
        let broken = ResponseBody::read_ahead(chunks(None, vec![Ok(first), malformed()])).await.expect("it begins");
        assert!(broken.collect().await.is_err());
    }
}
