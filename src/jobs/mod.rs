//! Time-driven work.
//!
//! A job does the work that is due ([`Job::run_once`]); [`schedule`] runs it periodically. Jobs contain no rules of
//! their own: the domain decides what may be deleted, and what is worth writing.

mod maintenance;
mod report_usage;
mod runs;
mod scheduler;
mod span_export;

pub use maintenance::{LifecycleRulesJob, MaintenanceJob, TotalsJob};
pub use report_usage::UsageReport;
pub use runs::{RunDeletion, RunSupervision};
pub use scheduler::{Job, JobMetrics, JobReport, schedule};
pub use span_export::{CollectorAddress, SpanExport};
