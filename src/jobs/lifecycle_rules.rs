//! Sees to it that the bucket's lifecycle rules are what they should be.

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

/// How long a rule that somebody took away, or that another writer's write swallowed, may be missing.
const INTERVAL: Duration = Duration::from_hours(1);

/// How soon after a start the rules are looked at, and again while they cannot be written yet.
const FIRST_INTERVAL: Duration = Duration::from_secs(5);

/// Makes the lifecycle rules what they should be, should they not be.
#[derive(Debug)]
pub struct RulesReconciliation {
    rules: LifecycleRules,
    is_settled: AtomicBool,
}

impl RulesReconciliation {
    /// A job for these rules.
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
                // Nothing is tried again before a restart; it is worth a line an hour all the same.
                tracing::error!(%unfit, "there are no lifecycle rules");
                Ok(Report::default())
            }
            Err(error) => Err(kv::Error::unavailable(error)),
        }
    }
}
