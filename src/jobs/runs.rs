//! Does what is due about runs.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use futures_util::{StreamExt, stream};

use crate::{
    auth::{AccountsError, Tokens},
    kv::{self, Catalog},
    runs::{Attended, DueRun, Run, Runs},
};

use super::job::{Job, Report};

/// How late a run may be ended, and how much earlier than needed its store is kept: one list a run of the job, mostly empty.
const INTERVAL: Duration = Duration::from_secs(15);

/// Runs that are looked at at the same time.
const CONCURRENCY: usize = 8;

/// The most lists of appointments that one run of the job goes through.
const MAX_PAGES: usize = 100;

/// Ends runs whose time is over or that are silent, keeps the stores of the others, and revokes the tokens of what is over.
#[derive(Debug)]
pub struct RunUpkeep {
    runs: Arc<Runs>,
    catalog: Arc<Catalog>,
    tokens: Arc<Tokens>,
}

impl RunUpkeep {
    /// A job for `runs`, whose stores are in `catalog`.
    pub fn new(runs: Arc<Runs>, catalog: Arc<Catalog>, tokens: Arc<Tokens>) -> Self {
        Self { runs, catalog, tokens }
    }

    /// Keeps an appointment; whether it is done with.
    async fn keep(&self, due: DueRun) -> kv::Result<bool> {
        let attended = self.runs.attend(&due, &self.catalog).await.map_err(kv::Error::unavailable)?;
        if let Attended::Over(run) = &attended {
            self.revoke_tokens(run).await.map_err(kv::Error::unavailable)?;
        }
        self.runs.forget(&due, &attended).await.map_err(kv::Error::unavailable)
    }

    async fn revoke_tokens(&self, run: &Run) -> Result<(), AccountsError> {
        for token in &run.tokens {
            match self.tokens.revoke(&run.owner_id, token).await {
                Ok(()) | Err(AccountsError::TokenNotFound) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

#[async_trait]
impl Job for RunUpkeep {
    fn name(&self) -> &'static str {
        "run upkeep"
    }

    fn interval(&self) -> Duration {
        INTERVAL
    }

    async fn run_once(&self) -> kv::Result<Report> {
        let mut worked_on = 0;
        for _ in 0..MAX_PAGES {
            let due = self.runs.due().await.map_err(kv::Error::unavailable)?;
            let kept: Vec<kv::Result<bool>> =
                stream::iter(due).map(|due| self.keep(due)).buffer_unordered(CONCURRENCY).collect().await;
            let mut done = 0;
            for kept in kept {
                done += usize::from(kept?);
            }
            worked_on += done;
            // A page that is worked on to its end may have another behind it.
            if done == 0 {
                break;
            }
        }
        Ok(Report { worked_on })
    }
}
