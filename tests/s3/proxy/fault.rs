//! What can be done to a request or its answer.

use std::time::Duration;

use super::refusal::Refusal;

/// What happens to a request. Where a fault lets the request come to the object store whole, it is done there even if the
/// gateway has left by then: bytes that a network holds back arrive nevertheless.
#[derive(Debug, Clone)]
pub(crate) enum Fault {
    /// It waits before it goes on to the object store.
    DelayRequest(Duration),
    /// Its answer waits before it goes on to the gateway.
    DelayAnswer(Duration),
    /// Only its beginning comes to the object store; then both connections end. Whether a request is done that is cut behind
    /// its last byte is up to the object store.
    CutRequest(Place, Ending),
    /// Only the beginning of its answer comes to the gateway; then both connections end.
    CutAnswer(Place, Ending),
    /// It is done, but the connection to the gateway ends without an answer.
    LoseAnswer(Ending),
    /// The proxy answers; the object store hears nothing of it.
    Refuse(Refusal),
    /// Its answer comes to the gateway bit by bit.
    TrickleAnswer(Pace),
    /// It is read whole, and nothing is ever said about it; the object store hears nothing of it.
    NeverAnswer,
}

/// How many bytes pass before a cut.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Place {
    /// Counted from the first of the head.
    Head(u64),
    /// Counted from the first of the body, as it is on the wire: the frames of chunks count.
    Body(u64),
}

/// How a connection to the gateway ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    /// In good order, as after a server's time limit (FIN).
    Close,
    /// At once, as after a crash or at a router that has forgotten the connection (RST).
    Reset,
}

/// How slowly bytes come.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pace {
    /// So many at a time;
    pub(crate) bytes: usize,
    /// this long one after the other.
    pub(crate) every: Duration,
}
