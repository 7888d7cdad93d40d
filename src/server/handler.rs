//! The handler of requests, the bodies of requests and responses, and the header fields of CORS; and responses without
//! a handler: to clients at a connection limit or without TLS, and to requests that cannot be parsed.
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
use tokio::{io::AsyncWriteExt, net::TcpStream};

use crate::clock::Clock;

use super::{client_addr::ClientAddr, connection_timeouts::ConnectionActivity, limits::ServerOptions, socket::Socket};

/// The header fields that pages may read beside the safelisted ones. `*` covers all, including those that an upstream
/// adds; browsers that do not know `*` use the names.
macro_rules! exposed_fields {
    () => {
        "*, Accept-Ranges, Allow, Content-Disposition, Content-Encoding, Content-Range, ETag, Location, Retry-After, \
         X-RateLimit-Limit, X-Request-Id"
    };
}

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

/// Maximum number of concurrent rejections. Beyond it, connections are closed without a response.
pub(super) const MAX_REJECTIONS: usize = 256;

/// Rejects a client with this response, which tells it to retry later.
pub(super) async fn reject(stream: TcpStream, clock: Arc<dyn Clock>, options: &ServerOptions, words: &[u8]) {
    send_response(stream, Arc::new(ConnectionActivity::new(clock, options)), words).await;
}

/// Sends this response, whatever the client sends.
pub(super) async fn send_response(stream: TcpStream, activity: Arc<ConnectionActivity>, answer: &[u8]) {
    // Its request is in flight and will not be read: the close has to wait for it.
    activity.request_began(true);
    let mut socket = Socket::new(stream, Arc::clone(&activity));
    let told = async {
        socket.write_all(answer).await?;
        socket.shutdown().await
    };
    tokio::select! {
        result = told => {
            if let Err(error) = result {
                tracing::debug!(%error, "a rejected client disconnected");
            }
        }
        _ = activity.expired() => {}
    }
}

/// A complete response, with the header fields that let pages of other origins read it.
macro_rules! answer {
    ($status:literal, $retry:literal, $length:literal, $text:literal) => {
        concat!(
            "HTTP/1.1 ",
            $status,
            "\r\nconnection: close\r\n",
            $retry,
            "access-control-allow-origin: *\r\naccess-control-expose-headers: ",
            exposed_fields!(),
            "\r\ncontent-type: text/plain; charset=utf-8\r\ncontent-length: ",
            $length,
            "\r\n\r\n",
            $text
        )
        .as_bytes()
    };
}

/// The response at the connection limit. The request has not been read, so nothing is known of it.
pub(super) const CONNECTION_LIMIT_REACHED: &[u8] = answer!(
    "503 Service Unavailable",
    "retry-after: 1\r\n",
    58,
    "This server has as many connections as it takes. Try later"
);

/// The response to a client at its own connection limit.
pub(super) const CLIENT_LIMIT_REACHED: &[u8] = answer!(
    "503 Service Unavailable",
    "retry-after: 1\r\n",
    62,
    "This address has as many connections as it may have. Try later"
);

/// The response to a client that speaks plain HTTP to a TLS server.
pub(super) const PLAIN_HTTP: &[u8] =
    answer!("400 Bad Request", "", 58, "This port speaks HTTPS: use an address with https:// in it");

/// The responses to request heads that hyper refuses, by the beginning of hyper's own response.
const UNREADABLE: [(&[u8], &[u8]); 3] = [
    (b"HTTP/1.1 400 ", answer!("400 Bad Request", "", 46, "The head of the request is not one of HTTP/1.1")),
    (b"HTTP/1.1 414 ", answer!("414 URI Too Long", "", 34, "The URL of the request is too long")),
    (
        b"HTTP/1.1 431 ",
        answer!(
            "431 Request Header Fields Too Large",
            "",
            61,
            "The head of the request is longer than this server lets it be"
        ),
    ),
];

/// Returns the response to send in place of `head`, if hyper generated that for a request that it cannot parse. hyper's
/// own have neither a body nor the fields that let pages of other origins read them.
pub(super) fn replacement_for(head: &[u8]) -> Option<&'static [u8]> {
    const NO_BODY: &[u8] = b"\r\ncontent-length: 0\r\n";
    let (_, answer) = UNREADABLE.iter().find(|(beginning, _)| head.starts_with(beginning))?;
    head.windows(NO_BODY.len()).any(|window| window == NO_BODY).then_some(*answer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_refusal_says_its_own_length() {
        for answer in [CONNECTION_LIMIT_REACHED, CLIENT_LIMIT_REACHED, PLAIN_HTTP]
            .into_iter()
            .chain(UNREADABLE.map(|(_, answer)| answer))
        {
            let text = String::from_utf8_lossy(answer);
            let (head, body) = text.split_once("\r\n\r\n").expect("a head and a body");
            assert!(head.ends_with(&format!("content-length: {}", body.len())), "{}", body.len());
            assert!(head.contains("\r\naccess-control-allow-origin: *\r\n"), "{head}");
        }
    }
}
