//! Hit rate of the cache.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering::Relaxed},
};

/// Counters of hits, joins and misses. Clones share the counters.
#[derive(Debug, Clone, Default)]
pub struct CacheUses(Arc<[AtomicU64; 3]>);

/// The source of a read's result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Use {
    /// The cache.
    Hit,
    /// A read that was in flight.
    Joined,
    /// The object store.
    Miss,
}

impl CacheUses {
    pub(super) fn count(&self, answered: Use) {
        self.0[answered as usize].fetch_add(1, Relaxed);
    }

    /// Returns the number of reads answered from memory.
    pub fn hits(&self) -> u64 {
        self.of(Use::Hit)
    }

    /// Returns the number of reads that joined one in flight.
    pub fn joined(&self) -> u64 {
        self.of(Use::Joined)
    }

    /// Returns the number of reads that the object store answered.
    pub fn misses(&self) -> u64 {
        self.of(Use::Miss)
    }

    fn of(&self, answered: Use) -> u64 {
        self.0[answered as usize].load(Relaxed)
    }
}
