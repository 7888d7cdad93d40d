//! What can go wrong on the wire, and how far a request had got by then.

use std::io;

use super::super::super::body::BodyError;

/// How far a request had got.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// Nothing of it was sent.
    Unsent,
    /// Its end was not sent: no server takes it for a whole request.
    Partial,
    /// All of it was sent: the server may have done what it says.
    Sent,
}

/// An exchange that failed.
#[derive(Debug, thiserror::Error)]
pub enum WireError {
    /// The server could not be connected to.
    #[error("cannot connect to {target}")]
    Connect {
        /// Address of the attempt.
        target: String,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// The server does not speak TLS.
    #[error(
        "{target} does not speak TLS, but plain http most likely: let the endpoint begin with http://, or give the port that \
         speaks https"
    )]
    NoTls {
        /// Where to.
        target: String,
    },
    /// The connection broke.
    #[error("the connection broke")]
    Broken {
        /// How far the request had got.
        phase: Phase,
        /// How it broke.
        #[source]
        source: io::Error,
    },
    /// The server was silent, or took nothing, for too long.
    #[error("no answer in time")]
    Timeout {
        /// How far the request had got.
        phase: Phase,
    },
    /// The server's answer is not HTTP as we know it.
    #[error("the answer is malformed: {0}")]
    Malformed(&'static str),
    /// The request's own body broke off; the server has not got all of it.
    #[error("the body broke off")]
    Body(#[source] BodyError),
}

impl WireError {
    /// How far the request had got.
    pub fn phase(&self) -> Phase {
        match self {
            Self::Connect { .. } | Self::NoTls { .. } => Phase::Unsent,
            Self::Broken { phase, .. } | Self::Timeout { phase } => *phase,
            Self::Malformed(_) => Phase::Sent,
            Self::Body(_) => Phase::Partial,
        }
    }
}
