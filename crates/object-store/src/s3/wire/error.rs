//! Errors of the HTTP client, with the part of the request sent by then.

use std::io;

use super::super::super::body::BodyError;

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
pub enum WireError {
    /// Connecting to the server failed.
    #[error("cannot connect to {target}")]
    Connect {
        /// Address of the attempt.
        target: String,
        /// Reason.
        #[source]
        source: io::Error,
    },
    /// The server does not speak TLS.
    #[error(
        "{target} does not speak TLS, but plain http most likely: let the endpoint begin with http://, or give the port that \
         speaks https"
    )]
    NoTls {
        /// Address of the attempt.
        target: String,
    },
    /// The connection broke.
    #[error("the connection broke")]
    Broken {
        /// The sent part of the request.
        phase: Phase,
        /// Error of the connection.
        #[source]
        source: io::Error,
    },
    /// The server sent or accepted nothing for too long.
    #[error("no answer in time")]
    Timeout {
        /// The sent part of the request.
        phase: Phase,
    },
    /// The response is not the HTTP that we support.
    #[error("the answer is malformed: {0}")]
    Malformed(&'static str),
    /// The request's own body broke off; the server has not received all of it.
    #[error("the body broke off")]
    Body(#[source] BodyError),
}

impl WireError {
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
