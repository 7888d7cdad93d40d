//! Keyed locks: one writer of a key at a time.
//!
//! The table holds only the keys that are being written or waited for: its size is the number of calls under way. Every
//! key has its own lock instead of a stripe, since it may be held as long as a call to the object store, and no key
//! should wait for another.

use std::{
    collections::HashMap,
    hash::{BuildHasher, RandomState},
    sync::Arc,
};

use parking_lot::{Mutex, MutexGuard};
use tokio::sync::{Mutex as AsyncMutex, OwnedMutexGuard};

/// Number of shards of the table, so that calls for different keys seldom contend for its lock.
const SHARDS: usize = 64;

type Shard = HashMap<String, Arc<AsyncMutex<()>>>;

/// The locks of all keys.
#[derive(Debug)]
pub struct KeyLocks {
    hasher: RandomState,
    shards: [Mutex<Shard>; SHARDS],
}

/// The lock of a key, held until this is dropped.
#[derive(Debug)]
pub struct KeyGuard {
    // Dropped before the entry, which leaves the table only if no other writer holds or waits for the lock.
    _lock: OwnedMutexGuard<()>,
    entry: TableEntry,
}

impl KeyGuard {
    /// Returns the locked key.
    pub fn key(&self) -> &str {
        &self.entry.key
    }
}

impl Default for KeyLocks {
    fn default() -> Self {
        Self { hasher: RandomState::new(), shards: std::array::from_fn(|_| Mutex::default()) }
    }
}

impl KeyLocks {
    /// Locks `key`, in the order of calls.
    pub async fn lock(self: &Arc<Self>, key: &str) -> KeyGuard {
        let lock = Arc::clone(self.shard(key).entry(key.to_owned()).or_default());
        // From here on dropping this future leaves nothing in the table.
        let entry = TableEntry { locks: Arc::clone(self), key: key.to_owned(), lock: Some(Arc::clone(&lock)) };
        KeyGuard { _lock: lock.lock_owned().await, entry }
    }

    /// Locks many keys. They are locked in one order, so that two calls for the same keys cannot deadlock.
    pub async fn lock_all(self: &Arc<Self>, mut keys: Vec<String>) -> Vec<KeyGuard> {
        keys.sort_unstable();
        keys.dedup();
        let mut locks = Vec::with_capacity(keys.len());
        for key in keys {
            locks.push(self.lock(&key).await);
        }
        locks
    }

    fn shard(&self, key: &str) -> MutexGuard<'_, Shard> {
        let index = usize::try_from(self.hasher.hash_one(key) % SHARDS as u64).unwrap_or(0);
        self.shards[index].lock()
    }

    #[cfg(test)]
    fn len(&self) -> usize {
        self.shards.iter().map(|shard| shard.lock().len()).sum()
    }
}

/// An entry in the table, held by the writer that has the lock or waits for it.
#[derive(Debug)]
struct TableEntry {
    locks: Arc<KeyLocks>,
    key: String,
    lock: Option<Arc<AsyncMutex<()>>>,
}

impl Drop for TableEntry {
    fn drop(&mut self) {
        let mut shard = self.locks.shard(&self.key);
        // Locks are cloned and dropped only under the shard's lock, so that their count is exact.
        self.lock = None;
        if shard.get(&self.key).is_some_and(|lock| Arc::strong_count(lock) == 1) {
            shard.remove(&self.key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;

    #[tokio::test]
    async fn one_has_the_lock_and_keys_do_not_wait_for_each_other() {
        let locks = Arc::new(KeyLocks::default());
        let first = locks.lock("a").await;
        assert_eq!(first.key(), "a");
        assert!(locks.lock("a").now_or_never().is_none());
        for other in 0..SHARDS {
            assert!(locks.lock(&format!("b{other}")).now_or_never().is_some());
        }
        drop(first);
        assert!(locks.lock("a").now_or_never().is_some());
    }

    #[tokio::test]
    async fn the_table_holds_nothing_but_calls_in_progress() {
        let locks = Arc::new(KeyLocks::default());
        let first = locks.lock("a").await;
        let mut second = Box::pin(locks.lock("a"));
        assert!((&mut second).now_or_never().is_none());
        assert_eq!(locks.len(), 1);
        drop(second);
        assert_eq!(locks.len(), 1);
        let mut third = Box::pin(locks.lock("a"));
        assert!((&mut third).now_or_never().is_none());
        drop(first);
        drop(third.await);
        assert_eq!(locks.len(), 0);
        drop(locks.lock_all(vec!["b".to_owned(), "a".to_owned(), "b".to_owned()]).await);
        assert_eq!(locks.len(), 0);
    }
}
