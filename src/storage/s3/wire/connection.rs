//! A connection, and what has been read of it and not yet been used.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use tokio::io::AsyncWrite;
use tokio_util::io::poll_read_buf;

use crate::network::Proxy;

use super::{deadline::Deadline, socket::Socket, target::Target};

/// Bytes read at once while the rest is short or unknown: a head and a small body come in one piece.
const SMALL_READ: usize = 16 * 1024;

/// Bytes read at once in the middle of a large body.
const LARGE_READ: usize = 128 * 1024;

/// Room for fewer bytes than this is not worth a call.
const LEAST_READ: usize = 4 * 1024;

/// A connection to one server.
#[derive(Debug)]
pub struct Connection {
    /// The server.
    pub target: Target,
    /// What was read and not yet used.
    pub input: BytesMut,
    /// How long it may stand still.
    pub deadline: Deadline,
    /// The proxy that requests are sent to, where it is not a tunnel.
    pub proxy: Option<Proxy>,
    socket: Socket,
}

impl Connection {
    /// A new connection.
    pub fn new(target: Target, socket: Socket, proxy: Option<Proxy>, deadline: Deadline) -> Self {
        Self { target, input: BytesMut::new(), deadline, proxy, socket }
    }

    /// Whether nothing can be sent over it any more, as far as can be seen without sending.
    pub fn is_spent(&self) -> bool {
        !self.input.is_empty() || self.socket.is_spent()
    }

    /// Reads more, about as much as `wanted` says is to come; zero at the end.
    pub fn poll_read(&mut self, context: &mut Context<'_>, wanted: u64) -> Poll<io::Result<usize>> {
        // What was handed out shares the block: a new one is only made when little of it is left.
        if self.input.capacity() - self.input.len() < LEAST_READ {
            self.input.reserve(if wanted >= LARGE_READ as u64 { LARGE_READ } else { SMALL_READ });
        }
        poll_read_buf(Pin::new(&mut self.socket), context, &mut self.input)
    }

    /// Writes from the front of `head`, then of `body`, and takes off what was written.
    pub fn poll_write(
        &mut self,
        context: &mut Context<'_>,
        head: &mut Bytes,
        body: &mut Bytes,
    ) -> Poll<io::Result<()>> {
        use bytes::Buf;
        let socket = Pin::new(&mut self.socket);
        // The call for several parts costs more than that for one.
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

    /// Sends what an encrypted connection has gathered.
    pub fn poll_flush(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(context)
    }
}

/// A connection that waits for its next exchange.
#[derive(Debug)]
pub struct Idle {
    /// The connection.
    pub connection: Connection,
    /// Since when, by the monotonic clock.
    pub since: Duration,
}
