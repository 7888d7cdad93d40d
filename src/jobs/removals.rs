//! Removes what deleted stores leave behind.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;

use crate::kv::{self, Catalog};

use super::job::{Job, Report};

/// How long a deleted store's records may keep their space before their removal begins: one list a run, mostly empty.
const INTERVAL: Duration = Duration::from_secs(15);

/// Removes the records of deleted stores, and an hour later what came late and the stores themselves.
#[derive(Debug)]
pub struct StoreRemovals {
    catalog: Arc<Catalog>,
}

impl StoreRemovals {
    /// A job for the stores of `catalog`.
    pub fn new(catalog: Arc<Catalog>) -> Self {
        Self { catalog }
    }
}

#[async_trait]
impl Job for StoreRemovals {
    fn name(&self) -> &'static str {
        "store removals"
    }

    fn interval(&self) -> Duration {
        INTERVAL
    }

    async fn run_once(&self) -> kv::Result<Report> {
        Ok(Report { worked_on: self.catalog.remove_due().await? })
    }
}
