//! Usage counters of stores: counted in memory, flushed periodically.
//!
//! A crash loses the counts since the last flush; only counters and dates shown to users depend on them. Counters are
//! part of the store document, so listing stores reads only the documents. A job flushes them about once a minute; a
//! follower reports them to the leader instead.

use std::{collections::HashMap, hash::BuildHasher, sync::Arc};

use foldhash::quality::RandomState;
use futures_util::{StreamExt, stream};
use parking_lot::{Mutex, MutexGuard};
use serde::{Deserialize, Serialize};

use crate::clock::{Clock, Timestamp};

use super::{
    model::{
        errors::{Error, Result},
        ids::StoreId,
    },
    persist::{
        repository::StoreRepository,
        store_metadata::{Document, Stats},
    },
    usage_totals::Recounter,
};

/// Number of lock shards for the counters.
const SHARDS: usize = 16;

/// Capacity that each shard keeps, used or not.
const MIN_SHARD_CAPACITY: usize = 64;

/// Maximum number of documents written concurrently by a flush.
const FLUSH_CONCURRENCY: usize = 8;

/// Kind of access to a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UsageEvent {
    /// The store itself was read.
    StoreRead,
    /// A record was read or probed.
    RecordRead,
    /// A record was written.
    RecordWritten,
    /// A record was deleted.
    RecordDeleted,
    /// Keys were listed.
    KeysListed,
}

/// Usage of a store so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ActivityCounts {
    /// Number of accesses.
    pub stats: Stats,
    /// Last change of records or settings.
    pub modified_at: Timestamp,
    /// Last use.
    pub accessed_at: Timestamp,
}

impl ActivityCounts {
    fn flushed(document: &Document) -> Self {
        let Document { stats, modified_at, accessed_at, .. } = *document;
        Self { stats, modified_at, accessed_at }
    }

    fn add(&mut self, pending: &Pending) {
        self.stats = add(self.stats, pending.stats);
        self.modified_at = pending.modified_at.map_or(self.modified_at, |at| at.max(self.modified_at));
        self.accessed_at = self.accessed_at.max(pending.accessed_at).max(self.modified_at);
    }
}

/// Unflushed usage of a store, as one gateway reports it to the gateway that flushes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StoreUsage {
    /// The store.
    pub id: StoreId,
    /// The counts.
    #[serde(flatten)]
    pending: Pending,
}

/// Counts that are not flushed yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Pending {
    stats: Stats,
    modified_at: Option<Timestamp>,
    accessed_at: Timestamp,
}

impl Pending {
    /// Adds counts from another gateway, whose clock may be ahead of this one.
    fn add(&mut self, other: &Self, now: Timestamp) {
        self.stats = add(self.stats, other.stats);
        self.modified_at = self.modified_at.max(other.modified_at.map(|at| at.min(now)));
        self.accessed_at = self.accessed_at.max(other.accessed_at.min(now));
    }

    /// Subtracts the counts that have been flushed.
    fn subtract(&mut self, flushed: &Self) {
        self.stats.read_count -= flushed.stats.read_count;
        self.stats.write_count -= flushed.stats.write_count;
        self.stats.delete_count -= flushed.stats.delete_count;
        self.stats.list_count -= flushed.stats.list_count;
    }
}

/// Usage of all stores since the last flush.
#[derive(Debug)]
pub struct UsageCounters {
    clock: Arc<dyn Clock>,
    hasher: RandomState,
    shards: [Mutex<HashMap<StoreId, Pending, RandomState>>; SHARDS],
}

impl UsageCounters {
    /// Returns empty counters.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, hasher: RandomState::default(), shards: Default::default() }
    }

    /// Counts one use of a store.
    pub fn count(&self, id: StoreId, usage: UsageEvent) {
        let now = self.clock.now();
        let mut shard = self.shard(&id);
        let pending =
            shard.entry(id).or_insert(Pending { stats: Stats::default(), modified_at: None, accessed_at: now });
        pending.accessed_at = now;
        match usage {
            UsageEvent::StoreRead => {}
            UsageEvent::RecordRead => pending.stats.read_count += 1,
            UsageEvent::KeysListed => pending.stats.list_count += 1,
            UsageEvent::RecordWritten => {
                pending.stats.write_count += 1;
                pending.modified_at = Some(now);
            }
            UsageEvent::RecordDeleted => {
                pending.stats.delete_count += 1;
                pending.modified_at = Some(now);
            }
        }
    }

    /// Returns the usage of a store, including unflushed counts.
    pub fn counts(&self, document: &Document) -> ActivityCounts {
        let mut counts = ActivityCounts::flushed(document);
        if let Some(pending) = self.shard(&document.id).get(&document.id) {
            counts.add(pending);
        }
        counts
    }

    /// Returns the unflushed counts of this gateway.
    pub fn pending(&self) -> Vec<StoreUsage> {
        let shards = self.shards.iter();
        shards
            .flat_map(|shard| {
                lock(shard).iter().map(|(id, report)| StoreUsage { id: *id, pending: *report }).collect::<Vec<_>>()
            })
            .collect()
    }

    /// Drops counts that the flushing gateway has received.
    pub fn ack(&self, report: &StoreUsage) {
        self.subtract_flushed(report.id, &report.pending);
    }

    /// Adds counts reported by another gateway.
    pub fn merge(&self, report: &StoreUsage) {
        let now = self.clock.now();
        let mut shard = self.shard(&report.id);
        let nothing =
            Pending { stats: Stats::default(), modified_at: None, accessed_at: report.pending.accessed_at.min(now) };
        shard.entry(report.id).or_insert(nothing).add(&report.pending, now);
    }

    /// Flushes the counts: one write for each store that was used. Returns the number of stores written. Counts that
    /// could not be written are kept, and the first failure is returned. `recounter` recounts the contents of changed
    /// stores.
    pub async fn flush(&self, repository: &StoreRepository, recounter: &Recounter) -> Result<usize> {
        let results: Vec<Result<()>> = stream::iter(self.pending())
            .map(|StoreUsage { id, pending }| self.flush_one(repository, recounter, id, pending))
            .buffer_unordered(FLUSH_CONCURRENCY)
            .collect()
            .await;
        let stores = results.len();
        results.into_iter().collect::<Result<()>>().map(|()| stores)
    }

    async fn flush_one(
        &self,
        repository: &StoreRepository,
        recounter: &Recounter,
        id: StoreId,
        pending: Pending,
    ) -> Result<()> {
        let flushed = repository
            .update(id, |document| {
                let mut counts = ActivityCounts::flushed(document);
                counts.add(&pending);
                ActivityCounts {
                    stats: document.stats,
                    modified_at: document.modified_at,
                    accessed_at: document.accessed_at,
                } = counts;
                Ok(document.exists())
            })
            .await;
        match flushed {
            Ok(snapshot) => recounter.mark_dirty(&snapshot.document),
            Err(Error::StoreNotFound) => {}
            Err(error) => return Err(error),
        }
        self.subtract_flushed(id, &pending);
        Ok(())
    }

    /// Drops flushed counts, and the store's entry if it was not used meanwhile.
    fn subtract_flushed(&self, id: StoreId, flushed: &Pending) {
        let mut shard = self.shard(&id);
        if let Some(pending) = shard.get_mut(&id) {
            pending.subtract(flushed);
            if pending.stats == Stats::default() && pending.accessed_at == flushed.accessed_at {
                shard.remove(&id);
                // Release the capacity that very many stores took, in steps that cost no more than the removals did.
                if shard.capacity() > 4 * shard.len() + MIN_SHARD_CAPACITY {
                    let room = 2 * shard.len();
                    shard.shrink_to(room);
                }
            }
        }
    }

    fn shard(&self, id: &StoreId) -> MutexGuard<'_, HashMap<StoreId, Pending, RandomState>> {
        let hash = self.hasher.hash_one(id);
        lock(&self.shards[usize::try_from(hash % SHARDS as u64).unwrap_or(0)])
    }
}

fn add(stats: Stats, more: Stats) -> Stats {
    Stats {
        read_count: stats.read_count.saturating_add(more.read_count),
        write_count: stats.write_count.saturating_add(more.write_count),
        delete_count: stats.delete_count.saturating_add(more.delete_count),
        list_count: stats.list_count.saturating_add(more.list_count),
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock()
}
