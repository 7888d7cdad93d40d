//! The drain signal of the server.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering::Relaxed},
};

/// The drain signal: a draining server still serves requests, and each response tells its client to close the
/// connection.
#[derive(Debug, Clone, Default)]
pub struct Leaving(Arc<AtomicBool>);

impl Leaving {
    /// Starts the drain.
    pub fn announce(&self) {
        self.0.store(true, Relaxed);
    }

    /// Returns whether the drain has started.
    pub fn is_announced(&self) -> bool {
        self.0.load(Relaxed)
    }
}
