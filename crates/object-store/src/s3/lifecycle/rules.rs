//! State of a process about a bucket's rules.

use std::sync::Arc;

use tokio::sync::{Mutex, MutexGuard};

use crate::lifecycle::UnfitRules;

/// State of a process about a bucket's rules between two reconciliations.
#[derive(Debug, Clone, Default)]
pub struct Rules {
    refused: Arc<Mutex<Option<UnfitRules>>>,
}

impl Rules {
    /// Returns the reason why rules are no longer written, if there is one. Held while rules are written, so that one
    /// process does so once at a time.
    pub async fn lock(&self) -> MutexGuard<'_, Option<UnfitRules>> {
        self.refused.lock().await
    }
}
