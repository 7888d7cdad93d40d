//! Job that deletes expired tokens, and remains of revoked ones.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;

use crate::{auth::Tokens, kv};

use super::job::{Job, Report};

/// Interval between runs: one list call each, usually empty.
const INTERVAL: Duration = Duration::from_mins(5);

/// Deletes expired tokens, and remains of revoked ones.
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
