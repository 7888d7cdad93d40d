//! Time-driven work.
//!
//! A job does the work that is due ([`Job::run_once`]); [`schedule`] runs it periodically. Jobs contain no rules of
//! their own: the domain decides what may be deleted, and what is worth writing. Concurrent runs of a job are harmless.
//! Each run is counted in metrics; a failure is logged, and the next run retries it.
//!
//! * Every gateway runs the jobs of its own state: usage counters, last use of tokens, the clock record, the readiness
//!   check, traces.
//! * A gateway that writes conditionally also runs the jobs of the installation: reconciler, recounts, totals,
//!   lifecycle rules, abandoned uploads, runs, ended tokens. Several such gateways may run them at the same time.
//! * A follower runs none of these. It reports its usage counters to the leader.

mod maintenance;
mod runs;
mod scheduler;
mod span_export;

pub use maintenance::{LifecycleRulesJob, MaintenanceJob, TotalsJob, UsageReport};
pub use runs::{RunDeletion, RunSupervision};
pub use scheduler::{Job, JobMetrics, JobReport, schedule};
pub use span_export::{CollectorAddress, SpanExport};
