//! Telemetry: log lines on standard error, metrics, traces, and cost attribution.
//!
//! This module sets up the log; messages are written where events happen. No secret is ever a field or part of a
//! message: secret types have a redacted `Debug`, and the query of a URL is never logged. Likewise metrics are
//! counted where events happen.

mod access_log;
mod cost_ledger;
mod costs;
mod log;
mod metrics;
pub mod otlp;
pub mod request_context;
pub mod trace;

pub use access_log::{AccessLine, AccessLog, shown_path};
pub use cost_ledger::{Attribution, CostLedger, CostOwner, OwnerCost, OwnerCosts, Totals};
pub use costs::{CallClass, CallCost, Costs, InvalidPrices, Prices, charge};
pub use log::{
    AccessLogSetting, Colours, InvalidFilter, Log, LogFilter, LogFormat, StartError, TelemetryOptions,
    register_panic_metrics, start,
};
pub use metrics::{DurationHistogram, MetricKind, Metrics, Sample};
pub use request_context::RequestFacts;
