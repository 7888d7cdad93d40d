//! Job that records the time of the installation.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;

use crate::kv::{self, ClockRecords};

use super::job::{Job, Report};

/// Interval between checks of the clock, and so the maximum delay before a jump is recorded. Most checks make no
/// call.
const INTERVAL: Duration = Duration::from_secs(10);

/// Records the time of the installation, and merges what other gateways recorded.
#[derive(Debug)]
pub struct ClockRecording {
    records: Arc<ClockRecords>,
}

impl ClockRecording {
    /// Returns a job that keeps `records` current.
    pub fn new(records: Arc<ClockRecords>) -> Self {
        Self { records }
    }
}

#[async_trait]
impl Job for ClockRecording {
    fn name(&self) -> &'static str {
        "clock record"
    }

    fn interval(&self) -> Duration {
        INTERVAL
    }

    async fn run_once(&self) -> kv::Result<Report> {
        Ok(Report { worked_on: usize::from(self.records.sync().await?) })
    }
}
