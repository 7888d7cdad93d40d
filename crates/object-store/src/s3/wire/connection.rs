//! A connection, and the bytes that were read from it but not used yet.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use tokio::io::AsyncWrite;
use tokio_util::io::poll_read_buf;

use larder_runtime::network::Proxy;

use super::{deadline::Deadline, socket::Socket, target::Target};

/// Bytes read at a time while the rest is short or unknown: a head and a small body arrive together.
const SMALL_READ: usize = 16 * 1024;

/// Bytes read at a time within a large body.
const LARGE_READ: usize = 128 * 1024;

/// Minimum free bytes of a buffer that justify a read.
const LEAST_READ: usize = 4 * 1024;

/// A connection to one server.
#[derive(Debug)]
pub struct Connection {
    /// The server.
    pub target: Target,
    /// Bytes read but not used yet.
    pub input: BytesMut,
    /// Timeout without progress.
    pub deadline: Deadline,
    /// The proxy for plain requests; `None` for a tunnel or without a proxy.
    pub proxy: Option<Proxy>,
    socket: Socket,
}

impl Connection {
    /// Returns a new connection.
    pub fn new(target: Target, socket: Socket, proxy: Option<Proxy>, deadline: Deadline) -> Self {
        Self { target, input: BytesMut::new(), deadline, proxy, socket }
    }

    /// Returns whether the connection is unusable, as far as can be seen without sending.
    pub fn is_spent(&self) -> bool {
        !self.input.is_empty() || self.socket.is_spent()
    }

    /// Reads more, about `wanted` bytes; zero at the end.
    pub fn poll_read(&mut self, context: &mut Context<'_>, wanted: u64) -> Poll<io::Result<usize>> {
        // Returned bytes share the block: a new one is allocated only when little of it is left.
        if self.input.capacity() - self.input.len() < LEAST_READ {
            self.input.reserve(if wanted >= LARGE_READ as u64 { LARGE_READ } else { SMALL_READ });
        }
        poll_read_buf(Pin::new(&mut self.socket), context, &mut self.input)
    }

    /// Writes from the front of `head`, then of `body`, and removes the written bytes.
    pub fn poll_write(
        &mut self,
        context: &mut Context<'_>,
        head: &mut Bytes,
        body: &mut Bytes,
    ) -> Poll<io::Result<()>> {
        use bytes::Buf;
        let socket = Pin::new(&mut self.socket);
        // A vectored write costs more than a write of one part.
        let writing = match (head.is_empty(), body.is_empty()) {
            (true, _) => socket.poll_write(context, body),
            (_, true) => socket.poll_write(context, head),
            _ => socket.poll_write_vectored(context, &[io::IoSlice::new(head), io::IoSlice::new(body)]),
        };
        let written = std::task::ready!(writing)?;
        if written == 0 {
            return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
        }
        let of_head = written.min(head.len());
        head.advance(of_head);
        body.advance(written - of_head);
        Poll::Ready(Ok(()))
    }

    /// Sends the bytes that an encrypted connection has buffered.
    pub fn poll_flush(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(context)
    }
}

/// A connection that waits for its next exchange.
#[derive(Debug)]
pub struct Idle {
    /// The connection.
    pub connection: Connection,
    /// Start of the wait, by the monotonic clock.
    pub since: Duration,
}
