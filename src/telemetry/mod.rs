//! What Larder says of itself while it runs: lines on standard error, figures, traces; and who causes what costs.
//!
//! This room sets up the writing of log lines; what is said stands where it happens. No secret is ever a field or part
//! of a message: that is kept by the types of secrets, whose `Debug` is redacted, and by never logging a URL's query. Likewise
//! for figures: what is counted is counted where it happens.

mod access_log;
mod costs;
mod ledger;
mod lines;
mod log;
mod metrics;
mod observed;
mod panics;
mod shown_path;
mod tab;
pub mod trace;
pub mod work;

pub use access_log::{AccessLine, AccessLog};
pub use costs::{CallClass, Costs, InvalidPrices, Prices};
pub use ledger::{Account, Ledger, Parties, Party, Payers, Totals};
pub use log::{
    AccessLogSetting, Colours, InvalidFilter, Log, LogFilter, LogFormat, StartError, TelemetryOptions, start,
};
pub use metrics::{Durations, Kind, Metrics, Sample};
pub use observed::Observed;
pub use panics::show as show_panics;
pub use shown_path::shown_path;
pub use tab::{Tab, charge};
