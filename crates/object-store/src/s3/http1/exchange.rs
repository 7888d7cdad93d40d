//! One request and the head of its response, over one connection.
//!
//! It sends and receives at the same time: a server may respond before it has received the whole body (to reject it).
//! Then the rest is not sent and the connection is not reused. An error tells which part of the request was sent.

use std::{
    future::poll_fn,
    io,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use futures_util::StreamExt;

use larder_runtime::telemetry::CallCost;

use super::{
    client::{RequestBody, Timeouts},
    connection::Connection,
    response::Head,
};
use crate::{BodyError, body::ContentLengthCheck};

/// Maximum number of interim responses to one request.
const MAX_INTERIM_RESPONSES: usize = 8;

/// An exchange in progress.
pub struct Exchange<'a> {
    connection: &'a mut Connection,
    timeouts: &'a Timeouts,
    /// The unsent rest of the request's head.
    head: Bytes,
    /// The unsent rest of the current chunk of the body.
    piece: Bytes,
    body: &'a mut RequestBody,
    announced: ContentLengthCheck,
    /// The last chunk, held back until the body ends: with it the request is complete, and will be executed.
    held: Option<Bytes>,
    has_body_ended: bool,
    state: State,
    /// True if any byte was sent.
    started: bool,
    interims: usize,
    /// Cost of the call, if it is accounted.
    call_cost: Option<&'a mut CallCost>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// The head is being sent, with `Expect: 100-continue`.
    SendingHead,
    /// The server has not responded to `Expect` yet.
    AwaitingContinue,
    /// The body is being sent.
    Body,
    /// Everything is written, and may still be buffered.
    Flushing,
    /// Everything is sent.
    Sent,
}

impl<'a> Exchange<'a> {
    /// Returns an exchange of `head` and `body`.
    pub fn new(
        connection: &'a mut Connection,
        timeouts: &'a Timeouts,
        head: Bytes,
        body: &'a mut RequestBody,
        awaits_continue: bool,
        call_cost: Option<&'a mut CallCost>,
    ) -> Self {
        let state = if awaits_continue { State::SendingHead } else { State::Body };
        let (piece, announced) = match body {
            RequestBody::Bytes(bytes) if awaits_continue => (Bytes::new(), Some(bytes.len() as u64)),
            RequestBody::Bytes(bytes) => (bytes.clone(), Some(bytes.len() as u64)),
            RequestBody::Stream { stream, .. } => (Bytes::new(), stream.length()),
        };
        connection.deadline.reset(timeouts.stall);
        let announced = ContentLengthCheck::new(announced);
        Self {
            connection,
            timeouts,
            head,
            piece,
            body,
            announced,
            held: None,
            has_body_ended: false,
            state,
            started: false,
            interims: 0,
            call_cost,
        }
    }

    /// Sends everything and returns the response head, and whether everything was sent: otherwise the connection is out
    /// of step.
    pub async fn run(mut self) -> Result<(Head, bool), Http1Error> {
        poll_fn(|context| self.poll(context)).await
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Result<(Head, bool), Http1Error>> {
        let sending = self.poll_send(context);
        // A response may have arrived although sending failed: it says why.
        if let Poll::Ready(outcome) = self.poll_response(context)
            && (outcome.is_ok() || sending.is_pending() || matches!(sending, Poll::Ready(Ok(()))))
        {
            return Poll::Ready(outcome.map(|head| (head, self.state == State::Sent)));
        }
        match sending {
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            // The source of the body may be slow: other code limits that.
            Poll::Pending if self.waits_for_body() => Poll::Pending,
            Poll::Ready(Ok(())) | Poll::Pending => {
                ready!(self.connection.deadline.poll_expired(context));
                if self.state == State::AwaitingContinue {
                    // A server that does not know `Expect` sends nothing. (RFC 9110, section 10.1.1.)
                    self.begin_body();
                    return self.poll(context);
                }
                Poll::Ready(Err(Http1Error::Timeout { phase: self.phase() }))
            }
        }
    }

    fn waits_for_body(&self) -> bool {
        self.state == State::Body && self.head.is_empty() && self.piece.is_empty()
    }

    fn phase(&self) -> Phase {
        match self.state {
            State::Sent | State::Flushing => Phase::Sent,
            State::SendingHead | State::AwaitingContinue | State::Body if self.started => Phase::Partial,
            State::SendingHead | State::AwaitingContinue | State::Body => Phase::Unsent,
        }
    }

    fn begin_body(&mut self) {
        self.state = State::Body;
        self.connection.deadline.reset(self.timeouts.stall);
        if let RequestBody::Bytes(bytes) = self.body {
            self.piece = bytes.clone();
        }
    }

    /// Sends as much as there is and the connection accepts; ready once everything was sent.
    fn poll_send(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Http1Error>> {
        loop {
            if !self.head.is_empty() || !self.piece.is_empty() {
                let left = self.piece.len();
                let written = ready!(self.connection.poll_write(context, &mut self.head, &mut self.piece));
                if let Some(call_cost) = &mut self.call_cost {
                    call_cost.add_sent(left - self.piece.len());
                }
                if let Err(source) = written {
                    return Poll::Ready(Err(Http1Error::Broken { phase: self.phase(), source }));
                }
                self.started = true;
                self.connection.deadline.reset(self.timeouts.stall);
                continue;
            }
            match self.state {
                State::SendingHead => {
                    ready!(self.poll_flush(context))?;
                    self.state = State::AwaitingContinue;
                    self.connection.deadline.reset(self.timeouts.expect_continue);
                }
                State::AwaitingContinue => return Poll::Pending,
                State::Body => match ready!(self.poll_piece(context)) {
                    Some(piece) => self.piece = piece?,
                    None => self.state = State::Flushing,
                },
                State::Flushing => {
                    ready!(self.poll_flush(context))?;
                    self.state = State::Sent;
                    self.connection.deadline.reset(self.timeouts.response);
                }
                State::Sent => return Poll::Ready(Ok(())),
            }
        }
    }

    fn poll_flush(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Http1Error>> {
        let flushed = ready!(self.connection.poll_flush(context));
        Poll::Ready(flushed.map_err(|source| Http1Error::Broken { phase: self.phase(), source }))
    }

    fn poll_piece(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, Http1Error>>> {
        let RequestBody::Stream { stream, started } = self.body else { return Poll::Ready(None) };
        *started = true;
        while !self.has_body_ended {
            let next = ready!(stream.poll_next_unpin(context)).transpose();
            match next.and_then(|piece| check_length(&mut self.announced, piece)) {
                Ok(Some(piece)) if self.announced.is_complete() => self.held = Some(piece),
                Ok(Some(piece)) => return Poll::Ready(Some(Ok(piece))),
                Ok(None) => self.has_body_ended = true,
                Err(error) => return Poll::Ready(Some(Err(Http1Error::Body(error)))),
            }
        }
        Poll::Ready(self.held.take().map(Ok))
    }

    fn poll_response(&mut self, context: &mut Context<'_>) -> Poll<Result<Head, Http1Error>> {
        loop {
            if let Some(head) = Head::take(&mut self.connection.input)? {
                if !head.is_interim() {
                    return Poll::Ready(Ok(head));
                }
                self.interims += 1;
                if head.status == 101 || self.interims > MAX_INTERIM_RESPONSES {
                    return Poll::Ready(Err(Http1Error::Malformed("it is an unexpected interim response")));
                }
                if head.status == 100 && self.state == State::AwaitingContinue {
                    self.begin_body();
                    // Nothing else would wake this task to send it.
                    context.waker().wake_by_ref();
                }
                continue;
            }
            let phase = self.phase();
            let broken = |source| Poll::Ready(Err(Http1Error::Broken { phase, source }));
            match ready!(self.connection.poll_read(context, 0)) {
                Ok(0) => return broken(io::ErrorKind::UnexpectedEof.into()),
                Ok(_) => {}
                Err(error) => return broken(error),
            }
        }
    }
}

/// Returns a chunk of a body, or its end, if it is allowed here.
fn check_length(announced: &mut ContentLengthCheck, piece: Option<Bytes>) -> Result<Option<Bytes>, BodyError> {
    match &piece {
        Some(piece) => announced.add(piece.len())?,
        None => announced.finish()?,
    }
    Ok(piece)
}

/// The sent part of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// Nothing.
    Unsent,
    /// Not its end: no server treats it as a complete request.
    Partial,
    /// All of it: the server may have executed it.
    Sent,
}

/// An exchange that failed.
#[derive(Debug, thiserror::Error)]
pub enum Http1Error {
    /// Connecting to the server failed.
    #[error("cannot connect to {endpoint}")]
    Connect {
        /// Address of the attempt.
        endpoint: String,
        /// Reason.
        #[source]
        source: io::Error,
    },
    /// The server does not speak TLS.
    #[error(
        "cannot connect to {endpoint}: the server does not speak TLS, but most likely plain HTTP; let the endpoint begin \
         with http://, or give the HTTPS port"
    )]
    NoTls {
        /// Address of the attempt.
        endpoint: String,
    },
    /// The connection broke.
    #[error("the connection was lost")]
    Broken {
        /// The sent part of the request.
        phase: Phase,
        /// Error of the connection.
        #[source]
        source: io::Error,
    },
    /// The server sent or accepted nothing for too long.
    #[error("timeout: the server sent or accepted nothing")]
    Timeout {
        /// The sent part of the request.
        phase: Phase,
    },
    /// The response is not the HTTP that we support.
    #[error("cannot read the response: {0}")]
    Malformed(&'static str),
    /// The request's own body broke off; the server has not received all of it.
    #[error("the request body ended early")]
    Body(#[source] BodyError),
}

impl Http1Error {
    /// Returns the sent part of the request.
    pub fn phase(&self) -> Phase {
        match self {
            Self::Connect { .. } | Self::NoTls { .. } => Phase::Unsent,
            Self::Broken { phase, .. } | Self::Timeout { phase } => *phase,
            Self::Malformed(_) => Phase::Sent,
            Self::Body(_) => Phase::Partial,
        }
    }
}
