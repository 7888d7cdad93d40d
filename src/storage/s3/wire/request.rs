//! A request: a head that is ready to be sent, and a body whose length is known.

use bytes::Bytes;

use crate::telemetry::CallClass;

use super::super::super::body::ByteStream;

/// The body of a request.
#[derive(Debug)]
pub enum Outgoing {
    /// Bytes, perhaps none, which can be sent again.
    Bytes(Bytes),
    /// A stream of known length, which can be sent once.
    Stream {
        /// The stream.
        stream: ByteStream,
        /// Whether some of it was taken already.
        is_begun: bool,
    },
}

impl Outgoing {
    /// No body.
    pub fn empty() -> Self {
        Self::Bytes(Bytes::new())
    }

    /// Whether it can be sent from its beginning.
    pub fn is_whole(&self) -> bool {
        match self {
            Self::Bytes(_) => true,
            Self::Stream { is_begun, .. } => !is_begun,
        }
    }
}

/// A request as it goes over the wire.
#[derive(Debug)]
pub struct WireRequest {
    /// The request line and all header fields up to the empty line.
    pub head: Bytes,
    /// The body; the head announces its length.
    pub body: Outgoing,
    /// Whether the head asks for `100 Continue`, so that the body is only sent to a server that wants it.
    pub awaits_continue: bool,
    /// Whether the answer has no body whatever its head says, because the request is a HEAD.
    pub is_head: bool,
    /// As what it is billed; `None` for what is not asked of the object store.
    pub class: Option<CallClass>,
    /// Number of the attempt, from 1.
    pub attempt: u32,
}
