//! Telemetry: log lines on standard error, metrics, traces, and cost attribution.
//!
//! This module sets up the log; messages are written where events happen. No secret is ever a field or part of a
//! message: secret types have a redacted `Debug`, and the query of a URL is never logged. Likewise metrics are counted
//! where events happen. Nothing here learns what a store or a run is: cost owners are opaque names.
//!
//! All of it uses the task-local [`request_context`], which lower layers read implicitly.
//!
//! 1. The API begins a context with the request id and, if sampled, a trace. It sets the cost owners once they are
//!    known.
//! 2. Each call of an object store adds its cost. S3 requests are charged for each exchange on the wire ([`CallCost`]),
//!    the embedded engine for the calls of the trait ([`charge`]). The same calls become spans.
//! 3. A log line gets the request id when it is written, and the access log its [`RequestFacts`], which exist only
//!    while the access log is on.
//! 4. At the end of the request, its costs are charged to the [`CostLedger`] once. A request without an object call
//!    never touches the ledger. Calls outside of a request are charged to background work.
//! 5. Spans wait in [`trace`] until a job sends them. A thread writes the access log; requests never wait for it.
//!
//! Spawned tasks and streaming bodies do not inherit the context. They must propagate it by
//! [`request_context::current`] and [`request_context::with_context`]. Reasons: `docs/decisions/0012`.

mod access_log;
mod costs;
mod log;
mod metrics;
pub mod request_context;
pub mod trace;

pub use access_log::{AccessLog, AccessLogEntry, redacted_path};
pub use costs::{
    Attribution, CallClass, CallCost, CostLedger, CostOwner, Costs, InvalidPrices, OwnerCost, OwnerCosts, Prices,
    Totals, charge,
};
pub use log::{
    AccessLogSetting, Colours, InvalidFilter, Log, LogFilter, LogFormat, StartError, TelemetryOptions,
    register_panic_metrics, start,
};
pub use metrics::{DurationHistogram, MetricKind, Metrics, Sample};
pub use request_context::RequestFacts;
