//! How long the steps of an exchange may take.

use std::time::Duration;

/// How long the steps of an exchange may take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Timeouts {
    /// To connect, TLS included.
    pub connect: Duration,
    /// Until the server says whether it wants a body, when asked; then it gets the body anyhow.
    pub continuation: Duration,
    /// From the end of the request until the head of the answer.
    pub answer: Duration,
    /// Without the server taking or giving a byte in the middle of a body.
    pub stall: Duration,
    /// Without an exchange until a connection is closed: less than servers wait themselves, so that none closes just
    /// when it is used again. The shortest seen of an object store is 20 s.
    pub idle: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(5),
            continuation: Duration::from_secs(1),
            answer: Duration::from_mins(1),
            stall: Duration::from_secs(30),
            idle: Duration::from_secs(15),
        }
    }
}
