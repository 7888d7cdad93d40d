//! Faults of a request or its response.

use std::time::Duration;

use super::refusal::Refusal;

/// Fault of a request. Where a fault lets the request come to the object store whole, it is done there even if the
/// gateway has left by then: bytes that a network holds back arrive nevertheless.
#[derive(Debug, Clone)]
pub(crate) enum Fault {
    /// It waits before it goes on to the object store.
    DelayRequest(Duration),
    /// Its response waits before it goes on to the gateway.
    DelayAnswer(Duration),
    /// Only its beginning comes to the object store; then both connections end. If the request is cut after its last
    /// byte, the object store decides whether it is done.
    CutRequest(Place, Ending),
    /// Only the beginning of its response comes to the gateway; then both connections end.
    CutAnswer(Place, Ending),
    /// It is done, but the connection to the gateway ends without an answer.
    LoseAnswer(Ending),
    /// The proxy responds; the object store does not see the request.
    Refuse(Refusal),
    /// Its response comes to the gateway bit by bit.
    TrickleAnswer(Pace),
    /// It is read whole, and never gets a response; the object store does not see it.
    NeverAnswer,
}

/// Number of bytes that pass before a cut.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Place {
    /// Counted from the first of the head.
    Head(u64),
    /// Counted from the first of the body, as it is on the wire: the frames of chunks count.
    Body(u64),
}

/// End of a connection to the gateway.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    /// In good order, as after a server's time limit (FIN).
    Close,
    /// At once, as after a crash or at a router that has forgotten the connection (RST).
    Reset,
}

/// Throttle for bytes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pace {
    /// So many at a time;
    pub(crate) bytes: usize,
    /// this long one after the other.
    pub(crate) every: Duration,
}
