//! The interface of periodic jobs.

use std::{fmt::Debug, time::Duration};

use async_trait::async_trait;

use crate::kv;

/// Result of a run of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Report {
    /// Number of items it worked on; usually zero.
    pub worked_on: usize,
}

/// A periodic job.
#[async_trait]
pub trait Job: Debug + Send + Sync + 'static {
    /// The job's name in logs.
    fn name(&self) -> &'static str;

    /// Time from the end of one run to the beginning of the next.
    fn interval(&self) -> Duration;

    /// Runs the job once. The next run retries failures; concurrent runs are harmless.
    async fn run_once(&self) -> kv::Result<Report>;
}
