//! Use of stores: counted in memory, written down now and then.
//!
//! What has been counted since the last flush is lost in a crash; nothing but counters and dates for people depends on
//! it. Counters ride in the store's document, so that a list of stores needs no read but the documents.

use std::{
    collections::HashMap,
    hash::BuildHasher,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use foldhash::quality::RandomState;
use futures_util::{StreamExt, stream};
use serde::{Deserialize, Serialize};

use crate::clock::{Clock, Timestamp};

use super::{
    counting::Counting,
    document::{Document, Stats},
    documents::Documents,
    error::{Error, Result},
    id::StoreId,
};

/// Locks that share the work of counting.
const SHARDS: usize = 16;

/// Stores for which each lock keeps room, used or not.
const FEW: usize = 64;

/// Documents that are written at the same time by a flush.
const FLUSH_CONCURRENCY: usize = 8;

/// What was done with a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Use {
    /// The store was looked at.
    Looked,
    /// A record was read or probed.
    Read,
    /// A record was written.
    Wrote,
    /// A record was deleted.
    Deleted,
    /// Keys were listed.
    Listed,
}

/// Use of a store so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ActivityCounts {
    /// How often.
    pub stats: Stats,
    /// Last change of records or settings.
    pub modified_at: Timestamp,
    /// Last use.
    pub accessed_at: Timestamp,
}

impl ActivityCounts {
    fn written(document: &Document) -> Self {
        let Document { stats, modified_at, accessed_at, .. } = *document;
        Self { stats, modified_at, accessed_at }
    }

    fn add(&mut self, pending: &Pending) {
        self.stats = add(self.stats, pending.stats);
        self.modified_at = pending.modified_at.map_or(self.modified_at, |at| at.max(self.modified_at));
        self.accessed_at = self.accessed_at.max(pending.accessed_at).max(self.modified_at);
    }
}

/// Use of a store that is not written down yet, as one gateway tells it to the one that writes it down.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StoreUse {
    /// The store.
    pub id: StoreId,
    /// What was counted.
    #[serde(flatten)]
    pending: Pending,
}

/// What is not written down yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Pending {
    stats: Stats,
    modified_at: Option<Timestamp>,
    accessed_at: Timestamp,
}

impl Pending {
    /// Adds what was counted elsewhere, by a clock that may be ahead of this one.
    fn add(&mut self, other: &Self, now: Timestamp) {
        self.stats = add(self.stats, other.stats);
        self.modified_at = self.modified_at.max(other.modified_at.map(|at| at.min(now)));
        self.accessed_at = self.accessed_at.max(other.accessed_at.min(now));
    }

    /// Takes out what has been written down.
    fn subtract(&mut self, written: &Self) {
        self.stats.read_count -= written.stats.read_count;
        self.stats.write_count -= written.stats.write_count;
        self.stats.delete_count -= written.stats.delete_count;
        self.stats.list_count -= written.stats.list_count;
    }
}

/// Use of all stores since the last flush.
#[derive(Debug)]
pub struct Activity {
    clock: Arc<dyn Clock>,
    hasher: RandomState,
    shards: [Mutex<HashMap<StoreId, Pending, RandomState>>; SHARDS],
}

impl Activity {
    /// Nothing counted yet.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, hasher: RandomState::default(), shards: Default::default() }
    }

    /// Counts one use of a store.
    pub fn count(&self, id: StoreId, usage: Use) {
        let now = self.clock.now();
        let mut shard = self.shard(&id);
        let pending =
            shard.entry(id).or_insert(Pending { stats: Stats::default(), modified_at: None, accessed_at: now });
        pending.accessed_at = now;
        match usage {
            Use::Looked => {}
            Use::Read => pending.stats.read_count += 1,
            Use::Listed => pending.stats.list_count += 1,
            Use::Wrote => {
                pending.stats.write_count += 1;
                pending.modified_at = Some(now);
            }
            Use::Deleted => {
                pending.stats.delete_count += 1;
                pending.modified_at = Some(now);
            }
        }
    }

    /// Use of a store, what is not written down yet included.
    pub fn of(&self, document: &Document) -> ActivityCounts {
        let mut counts = ActivityCounts::written(document);
        if let Some(pending) = self.shard(&document.id).get(&document.id) {
            counts.add(pending);
        }
        counts
    }

    /// What has been counted here and is not written down.
    pub fn pending(&self) -> Vec<StoreUse> {
        let shards = self.shards.iter();
        shards
            .flat_map(|shard| {
                lock(shard).iter().map(|(id, used)| StoreUse { id: *id, pending: *used }).collect::<Vec<_>>()
            })
            .collect()
    }

    /// Forgets what the gateway that writes it down has been told.
    pub fn told(&self, used: &StoreUse) {
        self.settle(used.id, &used.pending);
    }

    /// Counts what was counted elsewhere.
    pub fn absorb(&self, used: &StoreUse) {
        let now = self.clock.now();
        let mut shard = self.shard(&used.id);
        let nothing =
            Pending { stats: Stats::default(), modified_at: None, accessed_at: used.pending.accessed_at.min(now) };
        shard.entry(used.id).or_insert(nothing).add(&used.pending, now);
    }

    /// Writes down what has been counted: one write for each store that was used. Returns how many stores that were;
    /// what could not be written stays counted, and the first reason is the error. What is in the stores that have changed
    /// is for `counting` to find out.
    pub async fn flush(&self, documents: &Documents, counting: &Counting) -> Result<usize> {
        let results: Vec<Result<()>> = stream::iter(self.pending())
            .map(|StoreUse { id, pending }| self.flush_one(documents, counting, id, pending))
            .buffer_unordered(FLUSH_CONCURRENCY)
            .collect()
            .await;
        let stores = results.len();
        results.into_iter().collect::<Result<()>>().map(|()| stores)
    }

    async fn flush_one(&self, documents: &Documents, counting: &Counting, id: StoreId, pending: Pending) -> Result<()> {
        let written = documents
            .update(id, |document| {
                let mut counts = ActivityCounts::written(document);
                counts.add(&pending);
                ActivityCounts {
                    stats: document.stats,
                    modified_at: document.modified_at,
                    accessed_at: document.accessed_at,
                } = counts;
                Ok(document.is_there())
            })
            .await;
        match written {
            Ok(view) => counting.saw(&view.document),
            Err(Error::StoreNotFound) => {}
            Err(error) => return Err(error),
        }
        self.settle(id, &pending);
        Ok(())
    }

    /// Forgets what has been written down, and the store with it if it was not used meanwhile.
    fn settle(&self, id: StoreId, written: &Pending) {
        let mut shard = self.shard(&id);
        if let Some(pending) = shard.get_mut(&id) {
            pending.subtract(written);
            if pending.stats == Stats::default() && pending.accessed_at == written.accessed_at {
                shard.remove(&id);
                // The room that very many stores took is given back, in steps that cost no more than the removals did.
                if shard.capacity() > 4 * shard.len() + FEW {
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
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
