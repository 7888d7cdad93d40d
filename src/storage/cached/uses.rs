//! How often the cache could answer.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering::Relaxed},
};

/// How often reads found what they wanted in memory; one handle of many to the same figures.
#[derive(Debug, Clone, Default)]
pub struct CacheUses(Arc<[AtomicU64; 3]>);

/// How a read was answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Use {
    /// From memory.
    Hit,
    /// By joining a read that was under way.
    Joined,
    /// By the object store.
    Miss,
}

impl CacheUses {
    pub(super) fn count(&self, answered: Use) {
        self.0[answered as usize].fetch_add(1, Relaxed);
    }

    /// Reads that were answered from memory.
    pub fn hits(&self) -> u64 {
        self.of(Use::Hit)
    }

    /// Reads that were answered by another one that was under way.
    pub fn joined(&self) -> u64 {
        self.of(Use::Joined)
    }

    /// Reads that the object store answered.
    pub fn misses(&self) -> u64 {
        self.of(Use::Miss)
    }

    fn of(&self, answered: Use) -> u64 {
        self.0[answered as usize].load(Relaxed)
    }
}
