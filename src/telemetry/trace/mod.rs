//! Traces: what was done for a request, and how long it took, told to a collector.
//!
//! Spans are made by whoever sees something end, and wait here until somebody sends them away; nothing here speaks to a
//! collector.

mod context;
mod otlp;
mod span;
mod tracer;

pub use context::TRACEPARENT;
pub use otlp::{CONTENT_TYPE, document};
pub use span::{Span, Value};
pub use tracer::{Seen, Trace, Tracer};
