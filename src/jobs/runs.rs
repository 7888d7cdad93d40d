//! Jobs that handle due items of runs.

use std::{future::Future, sync::Arc, time::Duration};

use async_trait::async_trait;
use futures_util::{StreamExt, stream};

use crate::{
    auth::{AccountsError, TokenRepository},
    kv::{self, Catalog, TokenId, UserId},
    runs::{DueItem, Queue, RunCheck, RunRepository},
};

use super::scheduler::{Job, JobReport};

/// Interval between checks: the maximum delay before a run is ended, and how early its store's expiry is extended.
/// One list per run of the job, usually empty.
const CHECK_INTERVAL: Duration = Duration::from_secs(15);

/// Maximum interval between deletions of finished runs: two lists per run of the job, usually empty.
const MAX_DELETION_INTERVAL: Duration = Duration::from_mins(5);

/// Maximum number of runs that are checked concurrently.
const CONCURRENCY: usize = 8;

/// Maximum number of item lists per run of a job.
const MAX_PAGES: usize = 100;

/// Dependencies of the jobs about runs.
#[derive(Debug)]
struct RunJobs {
    runs: Arc<RunRepository>,
    catalog: Arc<Catalog>,
    tokens: Arc<TokenRepository>,
}

/// Ends runs that have timed out or stopped sending heartbeats, keeps the stores of the others, and revokes the
/// tokens of finished runs.
#[derive(Debug)]
pub struct RunSupervision(Arc<RunJobs>);

/// Deletes finished runs whose retention has ended, together with their dependants.
#[derive(Debug)]
pub struct RunDeletion(Arc<RunJobs>);

impl RunSupervision {
    /// Returns a job for `runs`, whose stores are in `catalog`.
    pub fn new(runs: Arc<RunRepository>, catalog: Arc<Catalog>, tokens: Arc<TokenRepository>) -> Self {
        Self(Arc::new(RunJobs { runs, catalog, tokens }))
    }

    /// Returns the job that deletes the same runs.
    pub fn removal(&self) -> RunDeletion {
        RunDeletion(Arc::clone(&self.0))
    }
}

impl RunJobs {
    /// Checks a run.
    async fn check_run(&self, item: &DueItem) -> kv::Result<()> {
        let checked = self.runs.check_run(item, &self.catalog).await.map_err(kv::Error::unavailable)?;
        if let RunCheck::Finished(run) = &checked {
            self.revoke_tokens(&run.owner_id, &run.tokens).await?;
            self.runs.retire(run).await.map_err(kv::Error::unavailable)?;
        }
        self.runs.ack(item).await.map_err(kv::Error::unavailable)
    }

    /// Makes the first check of a finished run.
    async fn check_retention(&self, item: &DueItem) -> kv::Result<()> {
        self.runs.check_retention(item, &self.catalog).await.map_err(kv::Error::unavailable)
    }

    /// Makes the second check of a finished run, and deletes it if that agrees.
    async fn remove(&self, item: &DueItem) -> kv::Result<()> {
        let removed = self.runs.remove(item, &self.catalog).await.map_err(kv::Error::unavailable)?;
        let Some(rest) = removed else { return Ok(()) };
        self.revoke_tokens(&rest.owner_id, &rest.tokens).await?;
        self.runs.remove_rest(&rest, item).await.map_err(kv::Error::unavailable)
    }

    async fn revoke_tokens(&self, owner: &UserId, tokens: &[TokenId]) -> kv::Result<()> {
        for token in tokens {
            match self.tokens.revoke(owner, token).await {
                Ok(()) | Err(AccountsError::TokenNotFound) => {}
                Err(error) => return Err(kv::Error::unavailable(error)),
            }
        }
        Ok(())
    }

    /// Handles all due items of `queue`. Returns their number. A failed item is moved behind the others, so it delays
    /// none; the first failure is returned at the end.
    async fn process_due<W: Future<Output = kv::Result<()>>>(
        &self,
        queue: Queue,
        work: impl Fn(DueItem) -> W,
    ) -> kv::Result<usize> {
        let (mut processed, mut failure) = (0, None);
        for _ in 0..MAX_PAGES {
            let due = self.runs.due(queue).await.map_err(kv::Error::unavailable)?;
            let outcomes = stream::iter(due).map(|item| {
                let done = work(item.clone());
                async move {
                    let Err(error) = done.await else { return Ok(None) };
                    tracing::warn!(run = %item.id, error = &error as &dyn std::error::Error, "cannot process a run; retrying later");
                    self.runs.postpone(queue, &item).await.map_err(kv::Error::unavailable)?;
                    Ok(Some(error))
                }
            });
            let outcomes: Vec<kv::Result<Option<kv::Error>>> = outcomes.buffer_unordered(CONCURRENCY).collect().await;
            let mut moved = 0;
            for outcome in outcomes {
                match outcome {
                    Ok(None) => (processed, moved) = (processed + 1, moved + 1),
                    Ok(Some(error)) => {
                        moved += 1;
                        failure.get_or_insert(error);
                    }
                    Err(error) => {
                        failure.get_or_insert(error);
                    }
                }
            }
            // More items may follow after this page.
            if moved == 0 {
                break;
            }
        }
        failure.map_or(Ok(processed), Err)
    }
}

#[async_trait]
impl Job for RunSupervision {
    fn name(&self) -> &'static str {
        "run supervision"
    }

    fn interval(&self) -> Duration {
        CHECK_INTERVAL
    }

    async fn run_once(&self) -> kv::Result<JobReport> {
        let jobs = &self.0;
        let processed = jobs.process_due(Queue::Due, |item| async move { jobs.check_run(&item).await }).await?;
        Ok(JobReport { processed })
    }
}

#[async_trait]
impl Job for RunDeletion {
    fn name(&self) -> &'static str {
        "run deletion"
    }

    fn interval(&self) -> Duration {
        (self.0.runs.retention().duration() / 10).clamp(Duration::from_secs(1), MAX_DELETION_INTERVAL)
    }

    async fn run_once(&self) -> kv::Result<JobReport> {
        let jobs = &self.0;
        if !jobs.runs.allows_deletion() {
            return Ok(JobReport::default());
        }
        let checked =
            jobs.process_due(Queue::Finished, |item| async move { jobs.check_retention(&item).await }).await?;
        let removed = jobs.process_due(Queue::Removal, |item| async move { jobs.remove(&item).await }).await?;
        Ok(JobReport { processed: checked + removed })
    }
}
