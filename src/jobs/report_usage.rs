//! Job that reports the usage of stores to the leader.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use serde::Serialize;

use crate::{
    kv::{self, Catalog, StoreUsage},
    outbound::{LeaderClient, RpcOutcome},
};

use super::scheduler::{Job, JobReport};

/// Interval between reports: the maximum loss of counters by a crash.
const REPORT_INTERVAL: Duration = Duration::from_mins(1);

/// Maximum number of stores per report: an internal call of Larder accepts 64 KiB of JSON, and a store takes some 300
/// bytes.
const MAX_STORES: usize = 150;

/// Path of the leader's endpoint.
const USAGE_PATH: &str = "/larder/v1/activity";

/// Reports usage since the last run to the leader, which alone writes documents. A batch whose response is lost is
/// sent again, and may count twice.
#[derive(Debug)]
pub struct UsageReport {
    catalog: Arc<Catalog>,
    leader_client: Arc<LeaderClient>,
}

#[derive(Serialize)]
struct Batch<'a> {
    stores: &'a [StoreUsage],
}

impl UsageReport {
    /// Returns a job that reports to the leader through `leader_client`.
    pub fn new(catalog: Arc<Catalog>, leader_client: Arc<LeaderClient>) -> Self {
        Self { catalog, leader_client }
    }

    async fn send(&self, stores: &[StoreUsage]) -> kv::Result<()> {
        let batch = serde_json::to_vec(&Batch { stores }).map_err(|error| kv::Error::Corrupt(error.to_string()))?;
        match self.leader_client.post(USAGE_PATH, batch).await.map_err(kv::Error::unavailable)? {
            RpcOutcome::Success => Ok(()),
            RpcOutcome::NotFound => {
                Err(kv::Error::unavailable("the leader does not know the address for counters of stores' use"))
            }
            RpcOutcome::Failed(status) => {
                Err(kv::Error::unavailable(format!("the leader answers {status} to counters of stores' use")))
            }
        }
    }
}

#[async_trait]
impl Job for UsageReport {
    fn name(&self) -> &'static str {
        "usage report"
    }

    fn interval(&self) -> Duration {
        REPORT_INTERVAL
    }

    async fn run_once(&self) -> kv::Result<JobReport> {
        let used = self.catalog.pending_usage();
        for batch in used.chunks(MAX_STORES) {
            self.send(batch).await?;
            self.catalog.ack_usage(batch);
        }
        Ok(JobReport { processed: used.len() })
    }
}
