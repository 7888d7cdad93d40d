//! Keyed locks: one writer of a key at a time.
//!
//! The table holds only the keys that are being written or waited for: its size is the number of calls under way. Every
//! key has its own lock instead of a stripe, since it may be held as long as a call to the object store, and no key
//! should wait for another.

use std::{
    collections::HashMap,
    hash::{BuildHasher, RandomState},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::{Mutex as AsyncMutex, OwnedMutexGuard};

/// Number of shards of the table, so that calls for different keys seldom contend for its lock.
const SHARDS: usize = 64;

type Shard = HashMap<String, Arc<AsyncMutex<()>>>;

/// The locks of all keys.
#[derive(Debug)]
pub struct Turns {
    hasher: RandomState,
    shards: [Mutex<Shard>; SHARDS],
}

/// The lock of a key, held until this is dropped.
#[derive(Debug)]
pub struct Turn {
    // Dropped before the seat, which leaves the table only if no other writer holds or waits for the lock.
    _guard: OwnedMutexGuard<()>,
    seat: Seat,
}

impl Turn {
    /// Returns the locked key.
    pub fn key(&self) -> &str {
        &self.seat.key
    }
}

impl Default for Turns {
    fn default() -> Self {
        Self { hasher: RandomState::new(), shards: std::array::from_fn(|_| Mutex::default()) }
    }
}

impl Turns {
    /// Locks `key`, in the order of calls.
    pub async fn take(self: &Arc<Self>, key: &str) -> Turn {
        let lock = Arc::clone(self.shard(key).entry(key.to_owned()).or_default());
        // From here on dropping this future leaves nothing in the table.
        let seat = Seat { turns: Arc::clone(self), key: key.to_owned(), lock: Some(Arc::clone(&lock)) };
        Turn { _guard: lock.lock_owned().await, seat }
    }

    /// Locks many keys. They are locked in one order, so that two calls for the same keys cannot deadlock.
    pub async fn take_all(self: &Arc<Self>, mut keys: Vec<String>) -> Vec<Turn> {
        keys.sort_unstable();
        keys.dedup();
        let mut turns = Vec::with_capacity(keys.len());
        for key in keys {
            turns.push(self.take(&key).await);
        }
        turns
    }

    fn shard(&self, key: &str) -> MutexGuard<'_, Shard> {
        let at = usize::try_from(self.hasher.hash_one(key) % SHARDS as u64).unwrap_or(0);
        self.shards[at].lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[cfg(test)]
    fn len(&self) -> usize {
        self.shards.iter().map(|shard| shard.lock().unwrap_or_else(PoisonError::into_inner).len()).sum()
    }
}

/// An entry in the table, held by the writer that has the lock or waits for it.
#[derive(Debug)]
struct Seat {
    turns: Arc<Turns>,
    key: String,
    lock: Option<Arc<AsyncMutex<()>>>,
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut shard = self.turns.shard(&self.key);
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
    async fn one_has_the_turn_and_keys_do_not_wait_for_each_other() {
        let turns = Arc::new(Turns::default());
        let first = turns.take("a").await;
        assert_eq!(first.key(), "a");
        assert!(turns.take("a").now_or_never().is_none());
        for other in 0..SHARDS {
            assert!(turns.take(&format!("b{other}")).now_or_never().is_some());
        }
        drop(first);
        assert!(turns.take("a").now_or_never().is_some());
    }

    #[tokio::test]
    async fn the_table_holds_nothing_but_calls_under_way() {
        let turns = Arc::new(Turns::default());
        let first = turns.take("a").await;
        let mut second = Box::pin(turns.take("a"));
        assert!((&mut second).now_or_never().is_none());
        assert_eq!(turns.len(), 1);
        drop(second);
        assert_eq!(turns.len(), 1);
        let mut third = Box::pin(turns.take("a"));
        assert!((&mut third).now_or_never().is_none());
        drop(first);
        drop(third.await);
        assert_eq!(turns.len(), 0);
        drop(turns.take_all(vec!["b".to_owned(), "a".to_owned(), "b".to_owned()]).await);
        assert_eq!(turns.len(), 0);
    }
}
