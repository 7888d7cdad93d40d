//! What a gateway remembers of stores and names.
//!
//! Ages are counted by the injected clock from when a read was sent; moka only bounds how much is remembered.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use foldhash::quality::RandomState;
use moka::{ops::compute::Op, sync::Cache};

use super::{
    id::{StoreId, UserId},
    view::StoreView,
};

/// How long it may be believed that something is not there.
const ABSENCE: Duration = Duration::from_secs(1);

/// How old a view of a store may be that is being moved, so that nobody has to be waited for long.
pub const MOVING_STALENESS: Duration = Duration::from_secs(1);

/// The most names of which it is remembered what callers other than the owner were told.
const MAX_TOLD: u64 = 10_000;

/// What an entry weighs beside the document it holds.
const ENTRY_WEIGHT: u32 = 512;

/// Options of the cache of stores and names.
#[derive(Debug, Clone)]
pub struct CacheOptions {
    /// The most bytes of documents remembered.
    pub capacity_bytes: u64,
    /// The most names remembered.
    pub capacity_names: u64,
    /// How old a view of a store may be: how long another gateway's change may go unseen. `None` where this gateway
    /// alone writes, and so sees every change by itself.
    pub staleness: Option<Duration>,
}

impl CacheOptions {
    /// The staleness bound where several gateways share an object store.
    pub const SHARED_STALENESS: Duration = Duration::from_secs(5);
}

impl Default for CacheOptions {
    fn default() -> Self {
        Self { capacity_bytes: 64 * 1024 * 1024, capacity_names: 100_000, staleness: None }
    }
}

/// What was found when a store was looked up.
#[derive(Debug, Clone)]
pub enum Known {
    /// The store.
    Store(Arc<StoreView>),
    /// That it is not there, as of when the read was sent.
    Absent {
        /// When that was.
        read_at: Duration,
    },
    /// Nothing, since it was changed by another gateway on this one's behalf: what was read before counts no more.
    Outdated {
        /// When the change was known to be done.
        since: Duration,
    },
}

impl Known {
    fn read_at(&self) -> Duration {
        match self {
            Self::Store(view) => view.read_at,
            Self::Absent { read_at } => *read_at,
            Self::Outdated { since } => *since,
        }
    }

    /// Whether this is later knowledge than `other`: a higher version, else a later read.
    fn outdates(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Store(new), Self::Store(old)) if new.document.version != old.document.version => {
                new.document.version > old.document.version
            }
            _ => self.read_at() >= other.read_at(),
        }
    }
}

/// What the last look-up of a name for a caller other than the owner has found.
#[derive(Debug, Clone, Copy)]
pub struct Told {
    /// The store that had the name, if there was one.
    pub store: Option<StoreId>,
    /// When the look-up began.
    read_at: Duration,
}

/// Views of stores by id, and ids by name.
#[derive(Debug)]
pub struct ViewCache {
    stores: Cache<StoreId, Known, RandomState>,
    /// Without an id, nothing is known since that time.
    names: Cache<(UserId, String), (Option<StoreId>, Duration)>,
    /// What look-ups for callers other than the owner have found, be it nothing.
    told: Cache<(UserId, String), Told>,
    staleness: Option<Duration>,
    /// Nothing that was read before counts; nanoseconds of the monotonic clock.
    outdated_before: AtomicU64,
    /// The same for what others were told, which is outdated as a whole: to read one name again would tell that it was changed.
    told_outdated_before: AtomicU64,
    uses: CacheUses,
}

/// How often what was asked for was there, and how often it had to be read.
#[derive(Debug, Clone, Default)]
pub struct CacheUses(Arc<[AtomicU64; 2]>);

impl CacheUses {
    fn count(&self, was_there: bool) {
        self.0[usize::from(was_there)].fetch_add(1, Relaxed);
    }

    /// How often it was there.
    pub fn hits(&self) -> u64 {
        self.0[1].load(Relaxed)
    }

    /// How often it was not.
    pub fn misses(&self) -> u64 {
        self.0[0].load(Relaxed)
    }
}

impl ViewCache {
    /// An empty cache.
    pub fn new(options: &CacheOptions) -> Self {
        let weigh = |_: &StoreId, known: &Known| match known {
            Known::Store(view) => view.weight.saturating_add(ENTRY_WEIGHT),
            Known::Absent { .. } | Known::Outdated { .. } => ENTRY_WEIGHT,
        };
        Self {
            stores: Cache::builder()
                .weigher(weigh)
                .max_capacity(options.capacity_bytes)
                .build_with_hasher(RandomState::default()),
            names: Cache::new(options.capacity_names),
            told: Cache::new(MAX_TOLD),
            staleness: options.staleness,
            outdated_before: AtomicU64::new(0),
            told_outdated_before: AtomicU64::new(0),
            uses: CacheUses::default(),
        }
    }

    /// How old this view may be.
    fn lifetime(&self, view: &StoreView) -> Option<Duration> {
        let moving = view.document.movement().map(|_| MOVING_STALENESS);
        self.staleness.map(|bound| moving.map_or(bound, |moving| bound.min(moving)))
    }

    /// Whether a view is still to be believed at `now` by its age alone; `None` where this gateway sees every change by
    /// itself, so that age says nothing.
    pub fn is_young(&self, view: &StoreView, now: Duration) -> Option<bool> {
        self.lifetime(view).map(|lifetime| now.saturating_sub(view.read_at) < lifetime)
    }

    /// How it is used.
    pub fn uses(&self) -> &CacheUses {
        &self.uses
    }

    /// What is known of a store and still to be believed at `now`.
    pub fn store(&self, id: &StoreId, now: Duration) -> Option<Known> {
        let known = self.believed(id, now);
        self.uses.count(known.is_some());
        known
    }

    fn believed(&self, id: &StoreId, now: Duration) -> Option<Known> {
        let known = self.stores.get(id)?;
        let lifetime = match known {
            Known::Store(ref view) => self.lifetime(view),
            Known::Absent { .. } => Some(ABSENCE),
            Known::Outdated { .. } => return None,
        };
        self.is_fresh(known.read_at(), lifetime, now).then_some(known)
    }

    /// Remembers what a read found, unless something later is known: a read that began before a local write brings
    /// back what was before it.
    pub fn remember(&self, id: StoreId, known: &Known) {
        self.stores.entry(id).and_compute_with(|entry| match entry {
            Some(entry) if !known.outdates(entry.value()) => Op::Nop,
            _ => Op::Put(known.clone()),
        });
    }

    /// Believes nothing of a store that was read before `since`.
    pub fn outdate(&self, id: StoreId, since: Duration) {
        self.remember(id, &Known::Outdated { since });
        self.outdate_told(since);
    }

    /// Believes nothing of a name that was read before `since`.
    pub fn outdate_name(&self, owner: UserId, folded: String, since: Duration) {
        self.remember_latest(owner, folded, None, since);
        self.outdate_told(since);
    }

    /// Believes nothing at all that was read before `since`.
    pub fn outdate_all(&self, since: Duration) {
        self.outdated_before.fetch_max(nanos(since), Relaxed);
        self.outdate_told(since);
    }

    fn outdate_told(&self, since: Duration) {
        self.told_outdated_before.fetch_max(nanos(since), Relaxed);
    }

    /// Returns what the last look-up of a name for a caller other than the owner has found, be it nothing; `None` if there was
    /// no look-up of late. Both are believed for the same time, which is never longer than the store's own document is.
    pub fn told(&self, owner: UserId, folded: &str, now: Duration) -> Option<Told> {
        let told = self.told.get(&(owner, folded.to_owned()))?;
        let lifetime = self.staleness.unwrap_or(CacheOptions::SHARED_STALENESS);
        let is_young = now.saturating_sub(told.read_at) < lifetime;
        (is_young && nanos(told.read_at) >= self.told_outdated_before.load(Relaxed)).then_some(told)
    }

    /// Remembers what a look-up of a name for a caller other than the owner has found, be it nothing.
    pub fn tell(&self, owner: UserId, folded: String, store: Option<StoreId>, read_at: Duration) {
        self.told.entry((owner, folded)).and_compute_with(|entry| match entry {
            Some(entry) if entry.value().read_at > read_at => Op::Nop,
            _ => Op::Put(Told { store, read_at }),
        });
    }

    /// The store that had a name when it was last looked up. The store's own document has the last word on that.
    pub fn name(&self, owner: UserId, folded: &str, now: Duration) -> Option<StoreId> {
        let (id, read_at) = self.names.get(&(owner, folded.to_owned()))?;
        id.filter(|_| self.is_fresh(read_at, self.staleness, now))
    }

    /// Remembers which store has a name.
    pub fn remember_name(&self, owner: UserId, folded: String, id: StoreId, read_at: Duration) {
        self.remember_latest(owner, folded, Some(id), read_at);
    }

    fn remember_latest(&self, owner: UserId, folded: String, id: Option<StoreId>, at: Duration) {
        self.names.entry((owner, folded)).and_compute_with(|entry| match entry {
            Some(entry) if entry.value().1 > at => Op::Nop,
            _ => Op::Put((id, at)),
        });
    }

    fn is_fresh(&self, read_at: Duration, lifetime: Option<Duration>, now: Duration) -> bool {
        nanos(read_at) >= self.outdated_before.load(Relaxed)
            && lifetime.is_none_or(|lifetime| now.saturating_sub(read_at) < lifetime)
    }
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
