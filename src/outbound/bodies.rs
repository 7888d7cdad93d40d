//! Bodies of requests to another server, with the side that has to act while they are sent, and of its responses.

use std::{
    error::Error,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http::response::Parts;
use http_body::{Body, Frame, SizeHint};
use http_body_util::{BodyExt, combinators::UnsyncBoxBody};
use hyper::body::Incoming;

use crate::clock::Clock;

use super::http_client::{Connection, HttpClientError, IdleConnections};

/// Marks that the client has to send.
const WAITING_FOR_CLIENT: u64 = u64::MAX;

/// Since when the other gateway has had to act.
#[derive(Debug)]
pub struct Progress {
    clock: Arc<dyn Clock>,
    since_ms: AtomicU64,
    request_failed: AtomicBool,
}

impl Progress {
    /// Starts with the other gateway, which has to act from now on.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        let progress = Self { clock, since_ms: AtomicU64::new(0), request_failed: AtomicBool::new(false) };
        progress.touch();
        progress
    }

    /// Returns once the other gateway has done nothing for `timeout`. Time in which the client has to send does not
    /// count: the server module has its own limits for that.
    pub async fn stalled(&self, timeout: Duration) {
        loop {
            let since = self.since_ms.load(Relaxed);
            let left = if since == WAITING_FOR_CLIENT {
                timeout
            } else {
                (Duration::from_millis(since) + timeout).saturating_sub(self.clock.monotonic())
            };
            if left.is_zero() {
                return;
            }
            self.clock.sleep(left).await;
        }
    }

    /// Returns whether the request's own body broke off.
    pub fn request_failed(&self) -> bool {
        self.request_failed.load(Relaxed)
    }

    fn touch(&self) {
        let now = u64::try_from(self.clock.monotonic().as_millis()).unwrap_or(WAITING_FOR_CLIENT - 1);
        self.since_ms.store(now, Relaxed);
    }

    fn wait_for_client(&self) {
        self.since_ms.store(WAITING_FOR_CLIENT, Relaxed);
    }
}

/// The body of a request to another gateway.
#[derive(Debug)]
pub struct TrackedBody {
    inner: UnsyncBoxBody<Bytes, Box<dyn Error + Send + Sync>>,
    progress: Arc<Progress>,
}

impl TrackedBody {
    /// Wraps a body and reports its progress.
    pub fn new<B>(body: B, progress: Arc<Progress>) -> Self
    where
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<Box<dyn Error + Send + Sync>>,
    {
        Self { inner: body.map_err(Into::into).boxed_unsync(), progress }
    }
}

impl Body for TrackedBody {
    type Data = Bytes;
    type Error = Box<dyn Error + Send + Sync>;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let polled = Pin::new(&mut self.inner).poll_frame(context);
        match &polled {
            Poll::Pending => self.progress.wait_for_client(),
            Poll::Ready(Some(Err(_))) => self.progress.request_failed.store(true, Relaxed),
            Poll::Ready(Some(Ok(_)) | None) => self.progress.touch(),
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

/// Timeout for a response body that makes no progress.
const STALL_TIMEOUT: Duration = Duration::from_secs(30);

/// A response whose body is still to be read.
#[derive(Debug)]
pub struct ClientResponse {
    /// Status and header fields, as received.
    pub head: Parts,
    /// The body.
    pub body: ClientResponseBody,
}

/// The body of a response. Its connection is kept for the next request once it was read to its end, and closed if it is
/// dropped before.
#[derive(Debug)]
pub struct ClientResponseBody {
    incoming: Incoming,
    connection: Option<Connection>,
    idle: Arc<IdleConnections>,
    clock: Arc<dyn Clock>,
}

impl ClientResponseBody {
    pub(super) fn new(
        incoming: Incoming,
        connection: Connection,
        idle: Arc<IdleConnections>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let mut body = Self { incoming, connection: Some(connection), idle, clock };
        if body.incoming.is_end_stream() {
            body.end();
        }
        body
    }

    /// Returns the length in bytes, if it was announced.
    pub fn length(&self) -> Option<u64> {
        self.incoming.size_hint().exact()
    }

    /// Returns the next bytes; `None` at the end.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, HttpClientError> {
        loop {
            let frame = tokio::select! {
                frame = self.incoming.frame() => frame.transpose().map_err(HttpClientError::Broken)?,
                () = self.clock.sleep(STALL_TIMEOUT) => return Err(HttpClientError::Silent),
            };
            match frame.map(http_body::Frame::into_data) {
                Some(Ok(bytes)) => return Ok(Some(bytes)),
                // Trailers are for the next hop, which is this gateway.
                Some(Err(_)) => {}
                None => {
                    self.end();
                    return Ok(None);
                }
            }
        }
    }

    fn end(&mut self) {
        if let Some(connection) = self.connection.take() {
            self.idle.put_back(connection);
        }
    }
}
