//! What a process remembers of a bucket's rules.

use std::sync::Arc;

use tokio::sync::{Mutex, MutexGuard};

use crate::storage::lifecycle::UnfitRules;

/// What a process remembers of a bucket's rules from one time to the next.
#[derive(Debug, Clone, Default)]
pub struct Rules {
    refused: Arc<Mutex<Option<UnfitRules>>>,
}

impl Rules {
    /// Why nothing is written any more, if so. To be held while rules are written, so that one process does so once at a time.
    pub async fn lock(&self) -> MutexGuard<'_, Option<UnfitRules>> {
        self.refused.lock().await
    }
}
