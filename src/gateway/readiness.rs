//! Background checks of readiness, shown in metrics.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;

use crate::{
    jobs::{Job, Report},
    kv,
    telemetry::{Kind, Metrics, Sample},
};

use super::health::Health;

/// Interval between two checks.
const INTERVAL: Duration = Duration::from_secs(10);

/// A job that checks readiness even if no load balancer does: a lost installation must be detected while clients
/// write.
#[derive(Debug)]
pub(super) struct ReadinessCheck(Arc<Health>);

impl ReadinessCheck {
    /// Returns a job that checks `health`.
    pub(super) fn new(health: Arc<Health>) -> Self {
        Self(health)
    }
}

#[async_trait]
impl Job for ReadinessCheck {
    fn name(&self) -> &'static str {
        "readiness"
    }

    fn interval(&self) -> Duration {
        INTERVAL
    }

    async fn run_once(&self) -> kv::Result<Report> {
        self.0.check().await;
        Ok(Report::default())
    }
}

/// Shows in `metrics` whether the gateway is ready.
pub(super) fn show(health: &Arc<Health>, metrics: &Metrics) {
    let health = Arc::clone(health);
    let help = "1 while the gateway is ready to serve, as it was found within the last ten seconds, else 0.";
    metrics.watch("larder_ready", help, Kind::Gauge, move || vec![Sample::plain(u64::from(health.is_ready()))]);
}
