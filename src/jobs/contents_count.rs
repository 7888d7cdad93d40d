//! Counts what is in stores.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;

use crate::kv::{self, Catalog};

use super::job::{Job, Report};

/// How late a store may be counted that has rested. Where nothing has changed, a run asks for nothing.
const INTERVAL: Duration = Duration::from_secs(15);

/// Counts what is in the stores that have changed.
#[derive(Debug)]
pub struct ContentsCount {
    catalog: Arc<Catalog>,
}

impl ContentsCount {
    /// A job for the stores of `catalog`.
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
