//! Does what is due about stores.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;

use crate::kv::{self, Catalog};

use super::job::{Job, Report};

/// How late a store may be swept, removed or moved, where nothing hurries it: one list a run, mostly empty.
const INTERVAL: Duration = Duration::from_secs(15);

/// Sweeps expired stores, removes deleted ones, and moves those whose records are to stand elsewhere.
#[derive(Debug)]
pub struct StoreUpkeep {
    catalog: Arc<Catalog>,
}

impl StoreUpkeep {
    /// A job for the stores of `catalog`.
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
