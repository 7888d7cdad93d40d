//! In-memory cache of stores and names on one gateway.
//!
//! The age of an entry counts from when the read was sent, by the injected clock; moka only bounds the size.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use foldhash::quality::RandomState;
use moka::{ops::compute::Op, sync::Cache};

use crate::kv::model::ids::{StoreId, UserId};

use super::store_metadata::StoreSnapshot;

/// Maximum age of a negative entry.
const NEGATIVE_TTL: Duration = Duration::from_secs(1);

/// Staleness bound for a store that is being relocated, which keeps the freeze short.
pub const RELOCATION_STALENESS: Duration = Duration::from_secs(1);

/// Maximum number of names for which results for callers other than the owner are cached.
const MAX_FOREIGN_LOOKUPS: u64 = 10_000;

/// Weight of an entry in addition to its document, in bytes.
const ENTRY_WEIGHT: u32 = 512;

/// Options of the cache of stores and names.
#[derive(Debug, Clone)]
pub struct CacheOptions {
    /// Maximum bytes of cached documents.
    pub capacity_bytes: u64,
    /// Maximum number of cached names.
    pub capacity_names: u64,
    /// Staleness bound: the longest time for which another gateway's change may go unseen. `None` if this gateway is
    /// the only writer and so sees every change.
    pub staleness: Option<Duration>,
}

impl CacheOptions {
    /// The staleness bound if several gateways share an object store.
    pub const SHARED_STALENESS: Duration = Duration::from_secs(5);
}

impl Default for CacheOptions {
    fn default() -> Self {
        Self { capacity_bytes: 64 * 1024 * 1024, capacity_names: 100_000, staleness: None }
    }
}

/// Cached result of a store lookup.
#[derive(Debug, Clone)]
pub enum CacheEntry {
    /// The store.
    Store(Arc<StoreSnapshot>),
    /// The store did not exist when the read was sent.
    Absent {
        /// Time of the read.
        read_at: Duration,
    },
    /// Invalidated, since another gateway changed the store on behalf of this one: earlier reads no longer count.
    Invalidated {
        /// Time at which the change was known to be complete.
        since: Duration,
    },
}

impl CacheEntry {
    fn read_at(&self) -> Duration {
        match self {
            Self::Store(snapshot) => snapshot.read_at,
            Self::Absent { read_at } => *read_at,
            Self::Invalidated { since } => *since,
        }
    }

    /// Returns whether this is newer than `other`: a higher version, else a later read.
    fn supersedes(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Store(new), Self::Store(old)) if new.document.version != old.document.version => {
                new.document.version > old.document.version
            }
            _ => self.read_at() >= other.read_at(),
        }
    }
}

/// Result of the last lookup of a name for a caller other than the owner.
#[derive(Debug, Clone, Copy)]
pub struct ForeignLookup {
    /// The store with that name, if any.
    pub store: Option<StoreId>,
    /// Time at which the lookup began.
    read_at: Duration,
}

/// Cached documents by id, and ids by name.
#[derive(Debug)]
pub struct StoreCache {
    stores: Cache<StoreId, CacheEntry, RandomState>,
    /// Without an id: invalidated at that time.
    names: Cache<(UserId, String), (Option<StoreId>, Duration)>,
    /// Results of lookups for callers other than the owner, including negative ones.
    foreign_lookups: Cache<(UserId, String), ForeignLookup>,
    staleness: Option<Duration>,
    /// Reads before this time do not count; nanoseconds of the monotonic clock.
    invalidated_before: AtomicU64,
    /// The same for lookups by other callers. These are invalidated as a whole: rereading one name would reveal that
    /// it changed.
    foreign_lookups_invalidated_before: AtomicU64,
    counters: CacheCounters,
}

/// Hit and miss counters of the cache.
#[derive(Debug, Clone, Default)]
pub struct CacheCounters(Arc<[AtomicU64; 2]>);

impl CacheCounters {
    fn count(&self, is_hit: bool) {
        self.0[usize::from(is_hit)].fetch_add(1, Relaxed);
    }

    /// Returns the number of hits.
    pub fn hits(&self) -> u64 {
        self.0[1].load(Relaxed)
    }

    /// Returns the number of misses.
    pub fn misses(&self) -> u64 {
        self.0[0].load(Relaxed)
    }
}

impl StoreCache {
    /// Returns an empty cache.
    pub fn new(options: &CacheOptions) -> Self {
        let weigh = |_: &StoreId, entry: &CacheEntry| match entry {
            CacheEntry::Store(snapshot) => snapshot.weight.saturating_add(ENTRY_WEIGHT),
            CacheEntry::Absent { .. } | CacheEntry::Invalidated { .. } => ENTRY_WEIGHT,
        };
        Self {
            stores: Cache::builder()
                .weigher(weigh)
                .max_capacity(options.capacity_bytes)
                .build_with_hasher(RandomState::default()),
            names: Cache::new(options.capacity_names),
            foreign_lookups: Cache::new(MAX_FOREIGN_LOOKUPS),
            staleness: options.staleness,
            invalidated_before: AtomicU64::new(0),
            foreign_lookups_invalidated_before: AtomicU64::new(0),
            counters: CacheCounters::default(),
        }
    }

    /// Returns the maximum age of this snapshot.
    fn lifetime(&self, snapshot: &StoreSnapshot) -> Option<Duration> {
        let moving = snapshot.document.relocation().map(|_| RELOCATION_STALENESS);
        self.staleness.map(|bound| moving.map_or(bound, |moving| bound.min(moving)))
    }

    /// Returns whether a snapshot is fresh at `now` by its age alone. `None` if this gateway sees every change itself, so
    /// age does not matter.
    pub fn is_fresh(&self, snapshot: &StoreSnapshot, now: Duration) -> Option<bool> {
        self.lifetime(snapshot).map(|lifetime| now.saturating_sub(snapshot.read_at) < lifetime)
    }

    /// Returns the hit and miss counters.
    pub fn counters(&self) -> &CacheCounters {
        &self.counters
    }

    /// Returns the entry of a store that is fresh at `now`.
    pub fn store(&self, id: &StoreId, now: Duration) -> Option<CacheEntry> {
        let entry = self.fresh_entry(id, now);
        self.counters.count(entry.is_some());
        entry
    }

    fn fresh_entry(&self, id: &StoreId, now: Duration) -> Option<CacheEntry> {
        let entry = self.stores.get(id)?;
        let lifetime = match entry {
            CacheEntry::Store(ref snapshot) => self.lifetime(snapshot),
            CacheEntry::Absent { .. } => Some(NEGATIVE_TTL),
            CacheEntry::Invalidated { .. } => return None,
        };
        self.is_current(entry.read_at(), lifetime, now).then_some(entry)
    }

    /// Inserts the result of a read unless a newer one is cached: a read that began before a local write returns what
    /// was there before it.
    pub fn insert(&self, id: StoreId, new: &CacheEntry) {
        self.stores.entry(id).and_compute_with(|entry| match entry {
            Some(entry) if !new.supersedes(entry.value()) => Op::Nop,
            _ => Op::Put(new.clone()),
        });
    }

    /// Invalidates what was read of a store before `since`.
    pub fn invalidate(&self, id: StoreId, since: Duration) {
        self.insert(id, &CacheEntry::Invalidated { since });
        self.invalidate_foreign_lookups(since);
    }

    /// Invalidates what was read of a name before `since`.
    pub fn invalidate_name(&self, owner: UserId, folded: String, since: Duration) {
        self.insert_latest(owner, folded, None, since);
        self.invalidate_foreign_lookups(since);
    }

    /// Invalidates everything that was read before `since`.
    pub fn invalidate_all(&self, since: Duration) {
        self.invalidated_before.fetch_max(nanos(since), Relaxed);
        self.invalidate_foreign_lookups(since);
    }

    fn invalidate_foreign_lookups(&self, since: Duration) {
        self.foreign_lookups_invalidated_before.fetch_max(nanos(since), Relaxed);
    }

    /// Returns the result of the last lookup of a name for a caller other than the owner, including a negative one;
    /// `None` if there is no fresh one. Positive and negative results are fresh for the same time, which is never
    /// longer than for the store document itself.
    pub fn foreign_lookup(&self, owner: UserId, folded: &str, now: Duration) -> Option<ForeignLookup> {
        let lookup = self.foreign_lookups.get(&(owner, folded.to_owned()))?;
        let lifetime = self.staleness.unwrap_or(CacheOptions::SHARED_STALENESS);
        let is_fresh = now.saturating_sub(lookup.read_at) < lifetime;
        (is_fresh && nanos(lookup.read_at) >= self.foreign_lookups_invalidated_before.load(Relaxed)).then_some(lookup)
    }

    /// Caches the result of a name lookup for a caller other than the owner, including a negative one.
    pub fn insert_foreign_lookup(&self, owner: UserId, folded: String, store: Option<StoreId>, read_at: Duration) {
        self.foreign_lookups.entry((owner, folded)).and_compute_with(|entry| match entry {
            Some(entry) if entry.value().read_at > read_at => Op::Nop,
            _ => Op::Put(ForeignLookup { store, read_at }),
        });
    }

    /// Returns the store that had a name at its last lookup. The store document is authoritative.
    pub fn name(&self, owner: UserId, folded: &str, now: Duration) -> Option<StoreId> {
        let (id, read_at) = self.names.get(&(owner, folded.to_owned()))?;
        id.filter(|_| self.is_current(read_at, self.staleness, now))
    }

    /// Caches which store has a name.
    pub fn insert_name(&self, owner: UserId, folded: String, id: StoreId, read_at: Duration) {
        self.insert_latest(owner, folded, Some(id), read_at);
    }

    fn insert_latest(&self, owner: UserId, folded: String, id: Option<StoreId>, at: Duration) {
        self.names.entry((owner, folded)).and_compute_with(|entry| match entry {
            Some(entry) if entry.value().1 > at => Op::Nop,
            _ => Op::Put((id, at)),
        });
    }

    fn is_current(&self, read_at: Duration, lifetime: Option<Duration>, now: Duration) -> bool {
        nanos(read_at) >= self.invalidated_before.load(Relaxed)
            && lifetime.is_none_or(|lifetime| now.saturating_sub(read_at) < lifetime)
    }
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
