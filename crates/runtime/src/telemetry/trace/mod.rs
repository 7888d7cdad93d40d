//! Traces: the operations and durations of a request, for a collector.
//!
//! The code that sees an operation end creates its span. Spans wait here until a job sends them; this module does not
//! contact the collector.

mod context;
mod otlp;
mod span;
mod tracer;

pub use context::TRACEPARENT;
pub use otlp::{CONTENT_TYPE, document};
pub use span::{Span, Value};
pub use tracer::{Seen, Trace, Tracer};
