//! Jobs that maintain stores, tokens and the installation. Each forwards to one operation of the domain, except that of
//! a follower, which reports the usage of stores to the leader.

use std::{
    fmt,
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use futures_util::future::BoxFuture;
use serde::Serialize;

use crate::{
    auth::TokenRepository,
    kv::{self, AbandonedUploads, Catalog, ClockRecords, LifecycleRules, StoreUsage, Totals},
    outbound::{LeaderClient, RpcOutcome},
    storage::{LifecycleError, Reconciled},
};

use super::scheduler::{Job, JobReport};

/// Interval between reconciliations of stores: the maximum delay before a store is swept, purged or relocated if
/// nothing triggers it earlier. One list per run, usually empty.
const STORE_INTERVAL: Duration = Duration::from_secs(15);

/// Interval between recounts: the maximum delay of a count after the last change of a store. If nothing has changed, a
/// run makes no call.
const RECOUNT_INTERVAL: Duration = Duration::from_secs(15);

/// Interval between flushes of usage counters: the maximum loss of counters by a crash, and the rate at which an active
/// store's document is written for them.
const USAGE_INTERVAL: Duration = Duration::from_mins(1);

/// Interval between lists of multipart uploads: a list costs one call per thousand, and there are hardly any.
const UPLOADS_INTERVAL: Duration = Duration::from_hours(1);

/// Interval between checks of the clock, and so the maximum delay before a jump is recorded. Most checks make no call.
const CLOCK_INTERVAL: Duration = Duration::from_secs(10);

/// Interval between deletions of tokens: one list call each, usually empty.
const TOKEN_DELETION_INTERVAL: Duration = Duration::from_mins(5);

/// Interval between writes of last uses, and so the maximum loss by a crash. The dates help users to find unused
/// tokens.
const TOKEN_USE_INTERVAL: Duration = Duration::from_mins(5);

/// Interval between computations of the totals, and so their maximum age. A million stores take 2,000 lists, which cost
/// a cent or two where lists are billed.
const TOTALS_INTERVAL: Duration = Duration::from_hours(1);

/// Delay before the first computation of the totals, and before retries until there are totals.
const FIRST_TOTALS_DELAY: Duration = Duration::from_mins(1);

/// Interval between reconciliations of the lifecycle rules: the maximum time for which a rule is missing that an
/// operator deleted, or another writer overwrote.
const RULES_INTERVAL: Duration = Duration::from_hours(1);

/// Delay before the first reconciliation of the lifecycle rules, and before a retry while they cannot be written yet.
const FIRST_RULES_DELAY: Duration = Duration::from_secs(5);

/// An operation that returns the number of items it processed.
type Operation = Box<dyn Fn() -> BoxFuture<'static, kv::Result<usize>> + Send + Sync>;

/// A job with a fixed interval that forwards to one operation.
pub struct MaintenanceJob {
    name: &'static str,
    interval: Duration,
    operation: Operation,
}

impl fmt::Debug for MaintenanceJob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MaintenanceJob").field("name", &self.name).finish_non_exhaustive()
    }
}

impl MaintenanceJob {
    fn new<T, F>(
        name: &'static str,
        interval: Duration,
        subject: T,
        operation: impl Fn(T) -> F + Send + Sync + 'static,
    ) -> Self
    where
        T: Clone + Send + Sync + 'static,
        F: Future<Output = kv::Result<usize>> + Send + 'static,
    {
        Self { name, interval, operation: Box::new(move || Box::pin(operation(subject.clone()))) }
    }

    /// Returns the job that deletes expired stores, purges deleted ones, and relocates records to their proper location.
    pub fn store_reconciler(catalog: Arc<Catalog>) -> Self {
        Self::new("store reconciler", STORE_INTERVAL, catalog, async |catalog| catalog.reconcile_due().await)
    }

    /// Returns the job that counts the contents of changed stores.
    pub fn usage_recount(catalog: Arc<Catalog>) -> Self {
        Self::new("usage recount", RECOUNT_INTERVAL, catalog, async |catalog| catalog.recount().await)
    }

    /// Returns the job that flushes the usage counters of stores.
    pub fn usage_flush(catalog: Arc<Catalog>) -> Self {
        Self::new("usage flush", USAGE_INTERVAL, catalog, async |catalog| catalog.flush_usage().await)
    }

    /// Returns the job that aborts abandoned multipart uploads.
    pub fn abandoned_uploads(uploads: AbandonedUploads) -> Self {
        Self::new("abandoned uploads", UPLOADS_INTERVAL, Arc::new(uploads), async |uploads| {
            let aborted = uploads.abort().await?;
            if aborted > 0 {
                tracing::info!(uploads = aborted, "aborted abandoned uploads");
            }
            Ok(aborted)
        })
    }

    /// Returns the job that records the time of the installation, and merges what other gateways recorded.
    pub fn clock_record(records: Arc<ClockRecords>) -> Self {
        Self::new("clock record", CLOCK_INTERVAL, records, async |records| Ok(usize::from(records.sync().await?)))
    }

    /// Returns the job that deletes expired tokens, and remains of revoked ones.
    pub fn token_deletion(tokens: Arc<TokenRepository>) -> Self {
        Self::new("token deletion", TOKEN_DELETION_INTERVAL, tokens, async |tokens| {
            tokens.delete_ended().await.map_err(kv::Error::unavailable)
        })
    }

    /// Returns the job that records when tokens were last used.
    pub fn token_last_use(tokens: Arc<TokenRepository>) -> Self {
        Self::new("token last use", TOKEN_USE_INTERVAL, tokens, async |tokens| {
            tokens.flush_uses().await.map_err(kv::Error::unavailable)
        })
    }
}

#[async_trait]
impl Job for MaintenanceJob {
    fn name(&self) -> &'static str {
        self.name
    }

    fn interval(&self) -> Duration {
        self.interval
    }

    async fn run_once(&self) -> kv::Result<JobReport> {
        Ok(JobReport { processed: (self.operation)().await? })
    }
}

/// Job that computes the totals of an installation, for its metrics.
#[derive(Debug)]
pub struct TotalsJob(Arc<Totals>);

impl TotalsJob {
    /// Returns the job that keeps `totals` current.
    pub fn new(totals: Arc<Totals>) -> Self {
        Self(totals)
    }
}

#[async_trait]
impl Job for TotalsJob {
    fn name(&self) -> &'static str {
        "totals"
    }

    fn interval(&self) -> Duration {
        if self.0.latest().is_some() { TOTALS_INTERVAL } else { FIRST_TOTALS_DELAY }
    }

    async fn run_once(&self) -> kv::Result<JobReport> {
        self.0.run().await?;
        Ok(JobReport::default())
    }
}

/// Job that reconciles the bucket's lifecycle rules.
#[derive(Debug)]
pub struct LifecycleRulesJob {
    rules: LifecycleRules,
    is_reconciled: AtomicBool,
}

impl LifecycleRulesJob {
    /// Returns a job for these rules.
    pub fn new(rules: LifecycleRules) -> Self {
        Self { rules, is_reconciled: AtomicBool::new(false) }
    }
}

#[async_trait]
impl Job for LifecycleRulesJob {
    fn name(&self) -> &'static str {
        "lifecycle rules"
    }

    fn interval(&self) -> Duration {
        if self.is_reconciled.load(Ordering::Relaxed) { RULES_INTERVAL } else { FIRST_RULES_DELAY }
    }

    async fn run_once(&self) -> kv::Result<JobReport> {
        let reconciled = self.rules.reconcile().await;
        let is_reconciled = matches!(reconciled, Ok(_) | Err(LifecycleError::Unfit(_)));
        self.is_reconciled.store(is_reconciled, Ordering::Relaxed);
        match reconciled {
            Ok(Reconciled::Unchanged | Reconciled::Unsupported) => Ok(JobReport::default()),
            Ok(Reconciled::Written) => {
                tracing::info!("lifecycle rules repaired");
                Ok(JobReport { processed: 1 })
            }
            Err(LifecycleError::Unfit(unfit)) => {
                // Not retried before a restart; an hourly log line is warranted nevertheless.
                tracing::error!(%unfit, "there are no lifecycle rules");
                Ok(JobReport::default())
            }
            Err(error) => Err(kv::Error::unavailable(error)),
        }
    }
}

/// Interval between reports of usage: the maximum loss of counters by a crash.
const REPORT_INTERVAL: Duration = Duration::from_mins(1);

/// Maximum number of stores per report: an internal call of Larder accepts 64 KiB of JSON, and a store takes some 300
/// bytes.
const MAX_STORES: usize = 150;

/// Path of the leader's endpoint for usage.
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
