//! Whether the server is about to stop.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering::Relaxed},
};

/// Whether the server is about to stop: it still serves whoever comes, and tells everybody with the answer not to come back
/// over this connection.
#[derive(Debug, Clone, Default)]
pub struct Leaving(Arc<AtomicBool>);

impl Leaving {
    /// Announces it.
    pub fn announce(&self) {
        self.0.store(true, Relaxed);
    }

    /// Whether it was announced.
    pub fn is_announced(&self) -> bool {
        self.0.load(Relaxed)
    }
}
