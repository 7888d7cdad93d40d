//! What a job is.

use std::{fmt::Debug, time::Duration};

use async_trait::async_trait;

use crate::kv;

/// What a run of a job did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Report {
    /// Things it worked on; none is the ordinary case.
    pub worked_on: usize,
}

/// Work that comes back.
#[async_trait]
pub trait Job: Debug + Send + Sync + 'static {
    /// The job's name in logs.
    fn name(&self) -> &'static str;

    /// Time from the end of one run to the beginning of the next.
    fn interval(&self) -> Duration;

    /// Does what there is to do now. What fails is tried again by the next run; two runs at once do no harm.
    async fn run_once(&self) -> kv::Result<Report>;
}
