//! Time-driven work.
//!
//! A job does the work that is due ([`Job::run_once`]); [`schedule`] runs it periodically. Jobs contain no rules of
//! their own: the domain decides what may be deleted, and what is worth writing.

mod abandoned_uploads;
mod activity;
mod clock_recording;
mod contents_count;
mod job;
mod lifecycle_rules;
mod meter;
mod runs;
mod scheduler;
mod span_export;
mod token_ends;
mod token_uses;
mod told_activity;
mod totals;
mod upkeep;

pub use abandoned_uploads::UploadAbortion;
pub use activity::ActivityFlush;
pub use clock_recording::ClockRecording;
pub use contents_count::ContentsCount;
pub use job::{Job, Report};
pub use lifecycle_rules::RulesReconciliation;
pub use meter::JobMeter;
pub use runs::{RunRemoval, RunUpkeep};
pub use scheduler::schedule;
pub use span_export::{CollectorAddress, SpanExport};
pub use token_ends::TokenEnds;
pub use token_uses::TokenUses;
pub use told_activity::ToldActivity;
pub use totals::TotalsSum;
pub use upkeep::StoreUpkeep;
