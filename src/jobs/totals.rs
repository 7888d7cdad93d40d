//! Sums what an installation has.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;

use crate::kv::{self, Totals};

use super::job::{Job, Report};

/// The age that sums reach. A million stores take 2,000 lists, which costs a cent or two where lists are paid for.
const INTERVAL: Duration = Duration::from_hours(1);

/// The pause before the first sums, and before the next attempt until there are any.
const FIRST: Duration = Duration::from_mins(1);

/// Sums what an installation has, for its metrics.
#[derive(Debug)]
pub struct TotalsSum(Arc<Totals>);

impl TotalsSum {
    /// Returns the job that keeps `totals` young.
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
