//! Job that computes the totals of an installation.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;

use crate::kv::{self, Totals};

use super::job::{Job, Report};

/// Interval between runs, and so the maximum age of the totals. A million stores take 2,000 lists, which cost a cent
/// or two where lists are billed.
const INTERVAL: Duration = Duration::from_hours(1);

/// Delay before the first run, and before retries until there are totals.
const FIRST: Duration = Duration::from_mins(1);

/// Computes the totals of an installation, for its metrics.
#[derive(Debug)]
pub struct TotalsSum(Arc<Totals>);

impl TotalsSum {
    /// Returns the job that keeps `totals` current.
    pub fn new(totals: Arc<Totals>) -> Self {
        Self(totals)
    }
}

#[async_trait]
impl Job for TotalsSum {
    fn name(&self) -> &'static str {
        "totals"
    }

    fn interval(&self) -> Duration {
        if self.0.latest().is_some() { INTERVAL } else { FIRST }
    }

    async fn run_once(&self) -> kv::Result<Report> {
        self.0.run().await?;
        Ok(Report::default())
    }
}
