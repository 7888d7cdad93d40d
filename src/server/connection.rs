//! One connection: its requests, one after another, until either side ends it.

use std::{convert::Infallible, panic::AssertUnwindSafe, pin::pin, sync::Arc};

use futures_util::FutureExt;
use http::{Request, Response};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;

use super::{
    handler::{Handler, PeerIp, ReplyBody, RequestBody},
    options::ServerOptions,
    pulse::{Overdue, Pulse},
    socket::Socket,
};

/// The smallest read buffer hyper can be given; a request's head must fit into it.
const SMALLEST_BUFFER_BYTES: usize = 8192;

/// What hyper reads ahead of a body at most, and so what an upload costs in memory.
const BUFFER_BYTES: usize = 256 * 1024;

/// Everything a connection needs.
#[derive(Debug)]
pub(super) struct Connections<H> {
    handler: Arc<H>,
    protocol: http1::Builder,
    clock: Arc<dyn Clock>,
    options: ServerOptions,
}

impl<H: Handler> Connections<H> {
    pub(super) fn new(handler: H, clock: Arc<dyn Clock>, options: ServerOptions) -> Self {
        let mut protocol = http1::Builder::new();
        // Times are kept by the pulse: hyper knows one limit for heads and idle connections together, and none for
        // bodies. `pipeline_flush` stays off: it copies bodies and costs a hundred megabytes under load.
        protocol
            .header_read_timeout(None)
            .max_header_size(options.max_header_bytes)
            .max_buf_size(BUFFER_BYTES.max(options.max_header_bytes).max(SMALLEST_BUFFER_BYTES));
        Self { handler: Arc::new(handler), protocol, clock, options }
    }

    /// Serves `stream` to its end. Once `drain` is cancelled, the request in flight is the last.
    pub(super) async fn serve(&self, stream: TcpStream, drain: CancellationToken) {
        let pulse = Arc::new(Pulse::new(Arc::clone(&self.clock), &self.options));
        let peer = if self.options.names_peers { stream.peer_addr().ok().map(|peer| PeerIp(peer.ip())) } else { None };
        let socket = TokioIo::new(Socket::new(stream, Arc::clone(&pulse)));
        let service = service_fn(|request| answer(&self.handler, &pulse, peer, request));
        let mut connection = pin!(self.protocol.serve_connection(socket, service));
        let mut drained = false;
        loop {
            let overdue = tokio::select! {
                biased;
                ended = connection.as_mut() => return log_end(ended),
                () = drain.cancelled(), if !drained => None,
                overdue = pulse.watch() => Some(overdue),
            };
            match overdue {
                // A request that begins at this very moment is still answered.
                None | Some(Overdue::Idle) if !drained => {
                    drained = true;
                    connection.as_mut().graceful_shutdown();
                }
                overdue => {
                    tracing::debug!(?overdue, "a client took too long");
                    return;
                }
            }
        }
    }
}

async fn answer<H: Handler>(
    handler: &Arc<H>,
    pulse: &Arc<Pulse>,
    peer: Option<PeerIp>,
    request: Request<Incoming>,
) -> Result<Response<ReplyBody<H::Body>>, Infallible> {
    let mut request = request.map(|body| RequestBody::new(body, Arc::clone(pulse)));
    if let Some(peer) = peer {
        request.extensions_mut().insert(peer);
    }
    // The handler is not used again in a half-changed state: it is shared and answers through `&self`.
    let reply = AssertUnwindSafe(handler.handle(request)).catch_unwind().await;
    let reply = reply.unwrap_or_else(|_| {
        tracing::error!("a request's handling panicked; its client got a server error");
        handler.panicked()
    });
    if pulse.is_request_unread() {
        // hyper notices only between two polls that nobody reads the body. Let it, so that it drains what is there
        // already, or else says `Connection: close` in the head that it is about to write.
        tokio::task::yield_now().await;
    }
    Ok(reply.map(|body| ReplyBody::new(body, Arc::clone(pulse))))
}

fn log_end(ended: hyper::Result<()>) {
    match ended {
        Ok(()) => {}
        // Everyday life: clients go away. hyper's errors name neither addresses nor contents of requests.
        Err(error) => tracing::debug!(%error, "a connection ended early"),
    }
}
