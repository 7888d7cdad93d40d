//! Last uses of tokens, gathered in memory and written periodically.

use std::sync::PoisonError;

use futures_util::{StreamExt, stream};

use super::{
    error::Result,
    tokens::{CONCURRENCY, Tokens, Use},
};

impl Tokens {
    /// Writes the last uses of tokens, and returns their number. Skips revoked tokens. Keeps failed ones for the next
    /// call.
    pub async fn flush_uses(&self) -> Result<usize> {
        let uses = std::mem::take(&mut *self.uses.lock().unwrap_or_else(PoisonError::into_inner));
        let written = stream::iter(uses.into_values()).map(|used| self.write_use(used)).buffer_unordered(CONCURRENCY);
        let written: Vec<Result<bool>> = written.collect().await;
        written.into_iter().try_fold(0, |count, is_written| Ok(count + usize::from(is_written?)))
    }

    /// Writes one last use, unless the token is revoked; returns whether it was written.
    async fn write_use(&self, used: Use) -> Result<bool> {
        let written = async {
            if self.by_hash(&used.hash).await?.is_none() {
                return Ok(false);
            }
            self.objects.write_last_use(&used.user, &used.id, used.at).await.map(|()| true)
        };
        let written = written.await;
        if written.is_err() {
            self.uses.lock().unwrap_or_else(PoisonError::into_inner).entry(used.hash.bytes()).or_insert(used);
        }
        written
    }
}
