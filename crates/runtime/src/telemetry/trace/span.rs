//! Spans: timed operations, nested.

use std::time::Duration;

use super::context::{SpanId, TraceId};

/// Kind of a span.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SpanKind {
    /// A request that this server answered.
    Server,
    /// A call to another server.
    Client,
}

/// The value of an attribute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// A string.
    Text(String),
    /// A number.
    Number(i64),
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<u64> for Value {
    fn from(number: u64) -> Self {
        Self::Number(i64::try_from(number).unwrap_or(i64::MAX))
    }
}

/// A timed operation.
#[derive(Debug, Clone)]
pub struct Span {
    /// The trace it belongs to.
    pub trace: TraceId,
    /// Identifies it.
    pub id: SpanId,
    /// Its parent.
    pub parent: Option<SpanId>,
    /// Its name.
    pub name: &'static str,
    /// Its kind.
    pub kind: SpanKind,
    /// Its start, since 1970-01-01T00:00:00Z.
    pub began: Duration,
    /// Its end.
    pub ended: Duration,
    /// Its attributes. Never a secret, and no record key.
    pub attributes: Vec<(&'static str, Value)>,
    /// True if it failed for a reason other than the caller's fault.
    pub has_failed: bool,
}
