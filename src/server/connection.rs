//! One connection: its requests, in sequence, until either side ends it.

use std::{convert::Infallible, net::IpAddr, panic::AssertUnwindSafe, pin::pin, sync::Arc};

use arc_swap::ArcSwap;
use futures_util::FutureExt;
use http::{HeaderValue, Request, Response, header};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
};
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;

use super::{
    accept::DrainSignal,
    client_addr::{ClientAddr, TrustedProxies, has_host},
    connection_timeouts::{ConnectionActivity, TimeoutKind},
    handler::{Handler, PLAIN_HTTP, ReplyBody, RequestBody, send_response},
    limits::ServerOptions,
    socket::Socket,
    tls::{self, Tls},
};

/// Minimum read buffer of hyper; the head of a request must fit into it.
const MIN_BUFFER_BYTES: usize = 8192;

/// Maximum number of bytes that hyper reads ahead of a body: the memory of an upload.
const BUFFER_BYTES: usize = 128 * 1024;

/// State that may change while connections are open.
#[derive(Debug, Clone)]
pub(super) struct ConnectionContext {
    pub(super) tls: Option<Arc<Tls>>,
    pub(super) trusted: Arc<ArcSwap<TrustedProxies>>,
    pub(super) drain_signal: DrainSignal,
}

/// Shared state of all connections.
#[derive(Debug)]
pub(super) struct Connections<H> {
    handler: Arc<H>,
    protocol: http1::Builder,
    clock: Arc<dyn Clock>,
    options: ServerOptions,
    context: ConnectionContext,
}

impl<H: Handler> Connections<H> {
    pub(super) fn new(handler: H, clock: Arc<dyn Clock>, options: ServerOptions, context: ConnectionContext) -> Self {
        let mut protocol = http1::Builder::new();
        // The activity enforces timeouts: hyper has one limit for heads and idle connections together, and none for
        // bodies. `pipeline_flush` stays off: it copies bodies and costs a hundred megabytes under load.
        protocol
            .header_read_timeout(None)
            .max_header_size(options.max_header_bytes)
            .max_buf_size(BUFFER_BYTES.max(options.max_header_bytes).max(MIN_BUFFER_BYTES));
        Self { handler: Arc::new(handler), protocol, clock, options, context }
    }

    /// Serves `stream` to its end. Once `drain` is cancelled, the request in flight is the last.
    pub(super) async fn serve(&self, stream: TcpStream, drain: CancellationToken) {
        let activity = Arc::new(ConnectionActivity::new(Arc::clone(&self.clock), &self.options));
        let peer = stream.peer_addr().ok().map(|peer| peer.ip());
        match &self.context.tls {
            None => self.speak(stream, activity, peer, drain).await,
            // Rare, and cheap beside a handshake: boxed to keep the future of other connections small.
            Some(tls) => Box::pin(self.encrypt(tls, stream, activity, peer, drain)).await,
        }
    }

    /// Performs the TLS handshake within the header timeout, then serves inside it.
    async fn encrypt(
        &self,
        tls: &Tls,
        stream: TcpStream,
        activity: Arc<ConnectionActivity>,
        peer: Option<IpAddr>,
        drain: CancellationToken,
    ) {
        let is_tls = tokio::select! {
            is_tls = tls::is_tls_handshake(&stream) => is_tls,
            // A client that has sent nothing yet loses nothing.
            () = drain.cancelled() => return,
            timeout = activity.expired() => return log_timeout(timeout),
        };
        match is_tls {
            Ok(true) => {}
            Ok(false) => return send_response(stream, activity, PLAIN_HTTP).await,
            Err(error) => return tracing::debug!(%error, "a client disconnected before it sent anything"),
        }
        let accepted = tokio::select! {
            accepted = tls.accept(stream) => accepted,
            timeout = activity.expired() => return log_timeout(timeout),
        };
        match accepted {
            Ok(stream) => self.speak(Box::new(stream), activity, peer, drain).await,
            Err(error) => tracing::debug!(%error, "TLS handshake failed"),
        }
    }

    async fn speak<S>(
        &self,
        stream: S,
        activity: Arc<ConnectionActivity>,
        peer: Option<IpAddr>,
        drain: CancellationToken,
    ) where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let socket = TokioIo::new(Socket::new(stream, Arc::clone(&activity)));
        let service = service_fn(|request| self.answer(&activity, peer, request));
        let mut connection = pin!(self.protocol.serve_connection(socket, service));
        let mut drained = false;
        loop {
            let timeout = tokio::select! {
                biased;
                ended = connection.as_mut() => return log_end(ended),
                () = drain.cancelled(), if !drained => None,
                timeout = activity.expired() => Some(timeout),
            };
            match timeout {
                // A request that begins at this moment is still answered.
                None | Some(TimeoutKind::Idle) if !drained => {
                    drained = true;
                    connection.as_mut().graceful_shutdown();
                }
                timeout => return timeout.map_or((), log_timeout),
            }
        }
    }

    async fn answer(
        &self,
        activity: &Arc<ConnectionActivity>,
        peer: Option<IpAddr>,
        request: Request<Incoming>,
    ) -> Result<Response<ReplyBody<H::Body>>, Infallible> {
        let request = request.map(|body| RequestBody::new(body, Arc::clone(activity)));
        let ConnectionContext { tls, trusted, drain_signal } = &self.context;
        let scheme = if tls.is_some() { "https" } else { "http" };
        let source = ClientAddr::from_request(peer, request.headers(), &trusted.load(), scheme);
        // A panic leaves no half-changed handler behind: it is shared and works through `&self`.
        let mut reply = if has_host(&request) {
            let reply = AssertUnwindSafe(self.handler.handle(request, source)).catch_unwind().await;
            reply.unwrap_or_else(|_| {
                tracing::error!("a request's handling panicked; its client got a server error");
                self.handler.panicked()
            })
        } else {
            // The position of the next request behind such a request cannot be trusted.
            let mut reply = self.handler.without_host(request, &source);
            reply.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
            reply
        };
        if drain_signal.is_draining() {
            reply.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        if activity.is_request_unread() {
            // hyper notices an unread body only between two polls. Yielding lets it drain the bytes that have arrived,
            // or else write `Connection: close` into the head that comes next.
            tokio::task::yield_now().await;
        }
        Ok(reply.map(|body| ReplyBody::new(body, Arc::clone(activity))))
    }
}

fn log_timeout(timeout: TimeoutKind) {
    tracing::debug!(reason = timeout.as_str(), "client timed out");
}

fn log_end(ended: hyper::Result<()>) {
    match ended {
        Ok(()) => {}
        // Common: clients disconnect. hyper's errors contain neither addresses nor contents of requests.
        Err(error) => tracing::debug!(%error, "a connection ended early"),
    }
}
