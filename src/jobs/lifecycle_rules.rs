//! Job that reconciles the bucket's lifecycle rules.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use async_trait::async_trait;

use crate::{
    kv::{self, LifecycleRules},
    storage::{LifecycleError, Reconciled},
};

use super::job::{Job, Report};

/// Interval between reconciliations: the maximum time for which a rule is missing that an operator deleted, or
/// another writer overwrote.
const INTERVAL: Duration = Duration::from_hours(1);

/// Delay before the first reconciliation, and before a retry while the rules cannot be written yet.
const FIRST_INTERVAL: Duration = Duration::from_secs(5);

/// Reconciles the lifecycle rules.
#[derive(Debug)]
pub struct RulesReconciliation {
    rules: LifecycleRules,
    is_settled: AtomicBool,
}

impl RulesReconciliation {
    /// Returns a job for these rules.
    pub fn new(rules: LifecycleRules) -> Self {
        Self { rules, is_settled: AtomicBool::new(false) }
    }
}

#[async_trait]
impl Job for RulesReconciliation {
    fn name(&self) -> &'static str {
        "lifecycle rules"
    }

    fn interval(&self) -> Duration {
        if self.is_settled.load(Ordering::Relaxed) { INTERVAL } else { FIRST_INTERVAL }
    }

    async fn run_once(&self) -> kv::Result<Report> {
        let reconciled = self.rules.reconcile().await;
        let is_settled = matches!(reconciled, Ok(_) | Err(LifecycleError::Unfit(_)));
        self.is_settled.store(is_settled, Ordering::Relaxed);
        match reconciled {
            Ok(Reconciled::Unchanged | Reconciled::Unsupported) => Ok(Report::default()),
            Ok(Reconciled::Written) => {
                tracing::info!("lifecycle rules were not as they should be, and are now");
                Ok(Report { worked_on: 1 })
            }
            Err(LifecycleError::Unfit(unfit)) => {
                // Not retried before a restart; an hourly log line is warranted nevertheless.
                tracing::error!(%unfit, "there are no lifecycle rules");
                Ok(Report::default())
            }
            Err(error) => Err(kv::Error::unavailable(error)),
        }
    }
}
