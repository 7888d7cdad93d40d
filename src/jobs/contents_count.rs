//! Job that counts the contents of stores.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;

use crate::kv::{self, Catalog};

use super::job::{Job, Report};

/// Interval between runs: the maximum delay of a count after a store's rest. If nothing has changed, a run makes no
/// call.
const INTERVAL: Duration = Duration::from_secs(15);

/// Counts the contents of changed stores.
#[derive(Debug)]
pub struct ContentsCount {
    catalog: Arc<Catalog>,
}

impl ContentsCount {
    /// Returns a job for the stores of `catalog`.
    pub fn new(catalog: Arc<Catalog>) -> Self {
        Self { catalog }
    }
}

#[async_trait]
impl Job for ContentsCount {
    fn name(&self) -> &'static str {
        "contents count"
    }

    fn interval(&self) -> Duration {
        INTERVAL
    }

    async fn run_once(&self) -> kv::Result<Report> {
        Ok(Report { worked_on: self.catalog.count_contents().await? })
    }
}
