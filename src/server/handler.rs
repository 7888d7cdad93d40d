//! The handler of requests, the bodies of requests and responses, and the header fields of CORS.
//!
//! Pages of any origin may read responses: they need a token, and never use a browser's credentials. Every response has
//! the header fields, since a page sees nothing of one without them.

use std::{
    error::Error,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response, header};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;

use super::{client_addr::ClientAddr, connection_timeouts::ConnectionActivity};

/// The header fields that pages may read beside the safelisted ones. `*` covers all, including those that an upstream
/// adds; browsers that do not know `*` use the names.
macro_rules! exposed_fields {
    () => {
        "*, Accept-Ranges, Allow, Content-Disposition, Content-Encoding, Content-Range, ETag, Location, Retry-After, \
         X-RateLimit-Limit, X-Request-Id"
    };
}
pub(super) use exposed_fields;

/// Allows pages of every origin to read a response.
pub fn allow_any_origin(headers: &mut HeaderMap) {
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static(exposed_fields!()));
}

/// Handler of requests.
pub trait Handler: Send + Sync + 'static {
    /// The body of its responses.
    type Body: Body<Data = Bytes, Error: Into<Box<dyn Error + Send + Sync>>> + Send + Unpin + 'static;

    /// Handles `request`, which comes from `source`. The future is dropped at any point when the client disconnects. A
    /// body that was not read to its end is drained after the response, up to a limit, so that the client receives the
    /// response.
    fn handle(
        &self,
        request: Request<RequestBody>,
        source: ClientAddr,
    ) -> impl Future<Output = Response<Self::Body>> + Send;

    /// Returns the response to a request whose handler panicked: a 500.
    fn panicked(&self) -> Response<Self::Body>;

    /// Refuses a request that does not say, or says twice, which host it is for: a 400.
    fn without_host(&self, request: Request<RequestBody>, source: &ClientAddr) -> Response<Self::Body>;
}

impl<H: Handler> Handler for Arc<H> {
    type Body = H::Body;

    fn handle(
        &self,
        request: Request<RequestBody>,
        source: ClientAddr,
    ) -> impl Future<Output = Response<Self::Body>> + Send {
        H::handle(self, request, source)
    }

    fn panicked(&self) -> Response<Self::Body> {
        H::panicked(self)
    }

    fn without_host(&self, request: Request<RequestBody>, source: &ClientAddr) -> Response<Self::Body> {
        H::without_host(self, request, source)
    }
}

/// The body of a request.
///
/// Ends with an error, never with a clean end, when the client disconnected or stalled for too long.
#[derive(Debug)]
pub struct RequestBody {
    inner: Incoming,
    activity: Arc<ConnectionActivity>,
}

impl RequestBody {
    pub(super) fn new(inner: Incoming, activity: Arc<ConnectionActivity>) -> Self {
        activity.request_began(!inner.is_end_stream());
        Self { inner, activity }
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let Poll::Ready(frame) = Pin::new(&mut self.inner).poll_frame(context) else {
            self.activity.receiving(true);
            return Poll::Pending;
        };
        self.activity.receiving(false);
        if frame.is_none() || self.inner.is_end_stream() {
            self.activity.request_read();
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

impl Drop for RequestBody {
    fn drop(&mut self) {
        self.activity.receiving(false);
    }
}

/// The body of a response. Reports its end, at which the connection becomes idle.
#[derive(Debug)]
pub(super) struct ReplyBody<B> {
    inner: B,
    activity: Arc<ConnectionActivity>,
}

impl<B> ReplyBody<B> {
    pub(super) fn new(inner: B, activity: Arc<ConnectionActivity>) -> Self {
        Self { inner, activity }
    }
}

impl<B: Body + Unpin> Body for ReplyBody<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        Pin::new(&mut self.inner).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

impl<B> Drop for ReplyBody<B> {
    fn drop(&mut self) {
        self.activity.reply_ended();
    }
}
