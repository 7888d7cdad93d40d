//! What Larder says of itself while it runs: lines on standard error, and figures.
//!
//! This room sets up the writing of log lines; what is said stands where it happens. No secret is ever a field or part
//! of a message: that is kept by the types of secrets, whose `Debug` is redacted, and by never logging a URL's query. Likewise
//! for figures: what is counted is counted where it happens.

mod log;
mod metrics;

pub use log::{InvalidFilter, Log, LogFilter, LogFormat, StartError, TelemetryOptions, start};
pub use metrics::{Durations, Kind, Metrics, Sample};
