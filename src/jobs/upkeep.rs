//! Job that handles due items of stores.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;

use crate::kv::{self, Catalog};

use super::job::{Job, Report};

/// Interval between runs: the maximum delay before a store is swept, purged or moved if nothing triggers it earlier.
/// One list per run, usually empty.
const INTERVAL: Duration = Duration::from_secs(15);

/// Deletes expired stores, purges deleted ones, and moves records to their proper location.
#[derive(Debug)]
pub struct StoreUpkeep {
    catalog: Arc<Catalog>,
}

impl StoreUpkeep {
    /// Returns a job for the stores of `catalog`.
    pub fn new(catalog: Arc<Catalog>) -> Self {
        Self { catalog }
    }
}

#[async_trait]
impl Job for StoreUpkeep {
    fn name(&self) -> &'static str {
        "store upkeep"
    }

    fn interval(&self) -> Duration {
        INTERVAL
    }

    async fn run_once(&self) -> kv::Result<Report> {
        Ok(Report { worked_on: self.catalog.keep_appointments().await? })
    }
}
