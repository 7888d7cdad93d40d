//! Writes down when tokens were used last.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;

use crate::{auth::Tokens, kv};

use super::job::{Job, Report};

/// How much of that a crash forgets: it is for people who look for tokens that nobody needs any more.
const INTERVAL: Duration = Duration::from_mins(5);

/// Writes down when tokens were used last.
#[derive(Debug)]
pub struct TokenUses {
    tokens: Arc<Tokens>,
}

impl TokenUses {
    /// A job for `tokens`.
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
