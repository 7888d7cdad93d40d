//! Deletes expired tokens, and what is left of revoked ones.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;

use crate::{auth::Tokens, kv};

use super::job::{Job, Report};

/// Time between two runs: one list call each, mostly of nothing.
const INTERVAL: Duration = Duration::from_mins(5);

/// Deletes expired tokens, and what is left of revoked ones.
#[derive(Debug)]
pub struct TokenEnds {
    tokens: Arc<Tokens>,
}

impl TokenEnds {
    /// Returns a job for `tokens`.
    pub fn new(tokens: Arc<Tokens>) -> Self {
        Self { tokens }
    }
}

#[async_trait]
impl Job for TokenEnds {
    fn name(&self) -> &'static str {
        "token ends"
    }

    fn interval(&self) -> Duration {
        INTERVAL
    }

    async fn run_once(&self) -> kv::Result<Report> {
        Ok(Report { worked_on: self.tokens.delete_ended().await.map_err(kv::Error::unavailable)? })
    }
}
