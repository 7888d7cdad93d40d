//! Job that flushes the usage counters of stores.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;

use crate::kv::{self, Catalog};

use super::job::{Job, Report};

/// Interval between flushes: the maximum loss of counters by a crash, and the rate at which an active store's
/// document is written for them.
const INTERVAL: Duration = Duration::from_mins(1);

/// Flushes the usage counters of stores.
#[derive(Debug)]
pub struct ActivityFlush {
    catalog: Arc<Catalog>,
}

impl ActivityFlush {
    /// Returns a job for the stores of `catalog`.
    pub fn new(catalog: Arc<Catalog>) -> Self {
        Self { catalog }
    }
}

#[async_trait]
impl Job for ActivityFlush {
    fn name(&self) -> &'static str {
        "activity flush"
    }

    fn interval(&self) -> Duration {
        INTERVAL
    }

    async fn run_once(&self) -> kv::Result<Report> {
        Ok(Report { worked_on: self.catalog.flush_activity().await? })
    }
}
