//! Writes down how stores have been used.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;

use crate::kv::{self, Catalog};

use super::job::{Job, Report};

/// What a crash may cost of counters, and how often an active store's document is written for them.
const INTERVAL: Duration = Duration::from_mins(1);

/// Writes down how stores have been used since the last run.
#[derive(Debug)]
pub struct ActivityFlush {
    catalog: Arc<Catalog>,
}

impl ActivityFlush {
    /// A job for the stores of `catalog`.
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
