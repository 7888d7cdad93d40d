//! A response: its head, and its body, still to be read.

use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use futures_util::Stream;

use larder_runtime::{clock::Clock, telemetry::CallCost};

use super::{
    connection::{Connection, Pool},
    exchange::{Http1Error, Phase},
    head::{Framing, Head},
};
use crate::{BodyError, ByteStream};

/// A response.
#[derive(Debug)]
pub struct Response {
    /// The head.
    pub head: Head,
    body: ResponseBody,
}

/// The body of a response. When it has been read to its end, the connection goes back to the pool; when it is dropped
/// before, the connection is closed, since unread bytes may still come.
#[derive(Debug)]
struct ResponseBody {
    connection: Option<Connection>,
    framing: Framing,
    is_kept: bool,
    stall_limit: Duration,
    pool: Arc<Pool>,
    clock: Arc<dyn Clock>,
    /// Cost of the call, if it is accounted.
    call_cost: Option<CallCost>,
}

impl Response {
    /// Returns the response whose head has come over `connection`; `is_kept` unless the connection must not be reused.
    pub(super) fn new(
        head: Head,
        framing: Framing,
        mut connection: Connection,
        is_kept: bool,
        stall_limit: Duration,
        (pool, clock): (&Arc<Pool>, &Arc<dyn Clock>),
        call_cost: Option<CallCost>,
    ) -> Self {
        let (pool, clock) = (Arc::clone(pool), Arc::clone(clock));
        connection.deadline.reset(stall_limit);
        let connection = Some(connection);
        let mut body = ResponseBody { connection, framing, is_kept, stall_limit, pool, clock, call_cost };
        body.end_if_over();
        Self { head, body }
    }

    /// Returns the body as a stream.
    pub fn into_stream(mut self) -> ByteStream {
        let length = self.body.framing.length();
        // A complete body needs no stream.
        match self.body.whole() {
            Some(bytes) => ByteStream::from(bytes),
            None => ByteStream::new(length, self.body),
        }
    }

    /// Reads the whole body, at most `limit` bytes.
    pub async fn into_bytes(self, limit: u64) -> Result<Bytes, Http1Error> {
        if self.body.connection.is_none() {
            return Ok(Bytes::new());
        }
        self.into_stream().into_bytes(limit).await.map_err(|error| match error {
            BodyError::TooLarge { .. } => Http1Error::Malformed("its body is too long"),
            BodyError::Aborted
            | BodyError::Stalled
            | BodyError::TooSlow
            | BodyError::NoMemory
            | BodyError::Malformed(_)
            | BodyError::Storage(_) => Http1Error::Broken { phase: Phase::Sent, source: io::Error::other(error) },
        })
    }
}

impl ResponseBody {
    /// Returns the whole body, if it has come together with its head.
    fn whole(&mut self) -> Option<Bytes> {
        let Some(connection) = &mut self.connection else {
            return Some(Bytes::new());
        };
        let length = usize::try_from(self.framing.length()?).ok()?;
        if length > connection.input.len() {
            return None;
        }
        let bytes = self.framing.take(&mut connection.input).ok()??;
        self.count(bytes.len());
        self.end_if_over();
        Some(bytes)
    }

    fn count(&mut self, bytes: usize) {
        if let Some(call_cost) = &mut self.call_cost {
            call_cost.add_received(bytes);
        }
    }

    fn end_if_over(&mut self) {
        if self.framing.is_over()
            && let Some(mut connection) = self.connection.take()
            && self.is_kept
            && connection.input.is_empty()
        {
            // The block belongs to the returned bytes; an idle connection needs none.
            connection.input = BytesMut::new();
            self.pool.put(connection, self.clock.monotonic());
        }
    }

    fn poll_chunk(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, Http1Error>>> {
        loop {
            let Some(connection) = &mut self.connection else { return Poll::Ready(None) };
            match self.framing.take(&mut connection.input) {
                Ok(Some(bytes)) => {
                    self.count(bytes.len());
                    self.end_if_over();
                    return Poll::Ready(Some(Ok(bytes)));
                }
                Ok(None) => {}
                Err(error) => return self.fail(error),
            }
            self.end_if_over();
            let Some(connection) = &mut self.connection else { return Poll::Ready(None) };
            match connection.poll_read(context, self.framing.wanted()) {
                Poll::Ready(Ok(0)) if self.framing.may_close() => {
                    self.connection = None;
                    return Poll::Ready(None);
                }
                Poll::Ready(Ok(0)) => return self.fail(broken(io::ErrorKind::UnexpectedEof.into())),
                Poll::Ready(Ok(_)) => connection.deadline.reset(self.stall_limit),
                Poll::Ready(Err(error)) => return self.fail(broken(error)),
                Poll::Pending => {
                    ready!(connection.deadline.poll_expired(context));
                    return self.fail(Http1Error::Timeout { phase: Phase::Sent });
                }
            }
        }
    }

    fn fail(&mut self, error: Http1Error) -> Poll<Option<Result<Bytes, Http1Error>>> {
        self.connection = None;
        Poll::Ready(Some(Err(error)))
    }
}

fn broken(source: io::Error) -> Http1Error {
    Http1Error::Broken { phase: Phase::Sent, source }
}

impl Stream for ResponseBody {
    type Item = Result<Bytes, BodyError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let chunk = ready!(self.poll_chunk(context));
        Poll::Ready(chunk.map(|chunk| chunk.map_err(|error| BodyError::Storage(error.into()))))
    }
}
