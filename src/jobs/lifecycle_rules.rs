//! Sees to it that the bucket's lifecycle rules stay what they should be.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;

use crate::{
    kv::{self, LifecycleRules},
    storage::{LifecycleError, Reconciled},
};

use super::job::{Job, Report};

/// How long a rule that somebody took away, or that another writer's write swallowed, may be missing.
const INTERVAL: Duration = Duration::from_hours(1);

/// Makes the lifecycle rules what they should be, should they not be.
#[derive(Debug)]
pub struct RulesReconciliation {
    rules: Arc<LifecycleRules>,
}

impl RulesReconciliation {
    /// A job for these rules.
    pub fn new(rules: Arc<LifecycleRules>) -> Self {
        Self { rules }
    }
}

#[async_trait]
impl Job for RulesReconciliation {
    fn name(&self) -> &'static str {
        "lifecycle rules"
    }

    fn interval(&self) -> Duration {
        INTERVAL
    }

    async fn run_once(&self) -> kv::Result<Report> {
        match self.rules.reconcile().await {
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
