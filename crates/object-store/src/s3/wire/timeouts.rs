//! Timeouts of an exchange.

use std::time::Duration;

/// Timeouts of an exchange.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Timeouts {
    /// Timeout for connecting, including TLS.
    pub connect: Duration,
    /// Timeout for the server's answer to `100-continue`; then the body is sent anyway.
    pub continuation: Duration,
    /// Timeout from the end of the request until the head of the response.
    pub answer: Duration,
    /// Timeout for a body in which the server neither sends nor accepts a byte.
    pub stall: Duration,
    /// Maximum idle time of a connection: less than that of servers, so that none closes one just when it is reused.
    /// The shortest seen of an object store is 20 s.
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
