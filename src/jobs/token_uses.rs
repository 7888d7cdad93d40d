//! Job that records when tokens were last used.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;

use crate::{auth::Tokens, kv};

use super::job::{Job, Report};

/// Interval between writes, and so the maximum loss by a crash. The dates help users to find unused tokens.
const INTERVAL: Duration = Duration::from_mins(5);

/// Records when tokens were last used.
#[derive(Debug)]
pub struct TokenUses {
    tokens: Arc<Tokens>,
}

impl TokenUses {
    /// Returns a job for `tokens`.
    pub fn new(tokens: Arc<Tokens>) -> Self {
        Self { tokens }
    }
}

#[async_trait]
impl Job for TokenUses {
    fn name(&self) -> &'static str {
        "token uses"
    }

    fn interval(&self) -> Duration {
        INTERVAL
    }

    async fn run_once(&self) -> kv::Result<Report> {
        Ok(Report { worked_on: self.tokens.flush_uses().await.map_err(kv::Error::unavailable)? })
    }
}
