//! A request: a serialized head, and a body of known length.

use bytes::Bytes;

use larder_runtime::telemetry::CallClass;

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
        /// True if some of it was taken already.
        is_begun: bool,
    },
}

impl Outgoing {
    /// Returns an empty body.
    pub fn empty() -> Self {
        Self::Bytes(Bytes::new())
    }

    /// Returns whether it can be sent from its beginning.
    pub fn is_whole(&self) -> bool {
        match self {
            Self::Bytes(_) => true,
            Self::Stream { is_begun, .. } => !is_begun,
        }
    }
}

/// A request as it is sent.
#[derive(Debug)]
pub struct WireRequest {
    /// The request line and all header fields up to the empty line.
    pub head: Bytes,
    /// The body; the head announces its length.
    pub body: Outgoing,
    /// True if the head asks for `100 Continue`, so that only a server that wants the body gets it.
    pub awaits_continue: bool,
    /// True if the response has no body regardless of its head, because the request is a HEAD.
    pub is_head: bool,
    /// Billing class; `None` for calls to other servers than the object store.
    pub class: Option<CallClass>,
    /// Number of the attempt, from 1.
    pub attempt: u32,
}
