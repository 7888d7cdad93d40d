//! Spans: what took how long, as part of what.

use std::time::Duration;

use super::context::{SpanId, TraceId};

/// What a span is to others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SpanKind {
    /// A request that was answered here.
    Server,
    /// A call of another server.
    Client,
}

/// The value of an attribute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// A text.
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

/// Something that took time.
#[derive(Debug, Clone)]
pub struct Span {
    /// The trace it belongs to.
    pub trace: TraceId,
    /// Identifies it.
    pub id: SpanId,
    /// What it is a part of.
    pub parent: Option<SpanId>,
    /// What it is.
    pub name: &'static str,
    /// What it is to others.
    pub kind: SpanKind,
    /// When it began, since 1970-01-01T00:00:00Z.
    pub began: Duration,
    /// When it ended.
    pub ended: Duration,
    /// What else is known of it. Never a secret, and no key of a record.
    pub attributes: Vec<(&'static str, Value)>,
    /// Whether it failed, through no fault of whoever asked.
    pub has_failed: bool,
}
