//! Telemetry: log lines on standard error, metrics, traces, and cost attribution.
//!
//! This module sets up the log; messages are written where events happen. No secret is ever a field or part of a
//! message: secret types have a redacted `Debug`, and the query of a URL is never logged. Likewise metrics are
//! counted where events happen.

mod access_log;
mod costs;
mod ledger;
mod log;
mod metrics;
pub mod otlp;
pub mod trace;
pub mod work;

pub use access_log::{AccessLine, AccessLog, shown_path};
pub use costs::{CallClass, Costs, InvalidPrices, Prices, Tab, charge};
pub use ledger::{Account, Ledger, Parties, Party, Payers, Totals};
pub use log::{
    AccessLogSetting, Colours, InvalidFilter, Log, LogFilter, LogFormat, StartError, TelemetryOptions,
    show as show_panics, start,
};
pub use metrics::{Durations, Kind, Metrics, Sample};
pub use work::Observed;
