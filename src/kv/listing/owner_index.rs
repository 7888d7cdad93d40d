//! The stores of one owner in memory: in order of creation, without expired ones, with their search text. Long
//! operations run on threads of their own, and never hold the lock for long.

use std::{
    collections::{BTreeSet, HashMap, HashSet, VecDeque},
    sync::Arc,
    time::Duration,
};

use parking_lot::{Mutex, MutexGuard};
use tokio::task::spawn_blocking;

use crate::{
    clock::Timestamp,
    kv::{
        model::{
            errors::{Error, Result},
            ids::StoreId,
            names::SearchText,
        },
        persist::object_keys::{EntryKind, IndexEntry},
    },
};

/// Time for which a deleted store stays in memory, so an older entry that is read late does not resurrect it.
const DELETED_TTL: Duration = Duration::from_hours(1);

/// Number of stores that a search or an expiry pass handles per lock acquisition.
const CHUNK_SIZE: usize = 4096;

/// Maximum number of stores for which a search or an expiry pass runs without a thread of its own.
const MAX_INLINE_STORES: usize = 2000;

/// Maximum number of stores that are removed from the order one by one.
const MAX_SINGLE_REMOVALS: usize = 8;

/// Time at which entries were read, by both clocks.
#[derive(Debug, Clone, Copy)]
pub struct ReadTime {
    /// By the monotonic clock.
    pub monotonic: Duration,
    /// By the wall clock.
    pub wall: Timestamp,
}

/// The stores of an owner.
#[derive(Debug, Default)]
pub struct OwnerIndex {
    /// Held while entries are read.
    pub reading: tokio::sync::Mutex<()>,
    listed: Mutex<StoreList>,
}

impl OwnerIndex {
    /// Returns the ids of a page, of all or of named stores only, in order of creation, and the total number.
    pub fn page(&self, named_only: bool, descending: bool, offset: usize, limit: usize) -> (Vec<StoreId>, usize) {
        let listed = self.lock();
        let order = listed.order(named_only);
        let length = order.len();
        let (first, end) = (offset.min(length), offset.saturating_add(limit).min(length));
        let ids = |part: &[(Timestamp, StoreId)]| part.iter().map(|(_, id)| *id).collect::<Vec<_>>();
        let page = if descending {
            let mut page = ids(&order[length - end..length - first]);
            page.reverse();
            page
        } else {
            ids(&order[first..end])
        };
        (page, length)
    }

    /// Returns the number of stores, named or not.
    pub fn count(&self) -> usize {
        self.lock().all.len()
    }

    /// Returns the stores that satisfy `is_wanted`, of all or of the named ones, in order of creation. The predicate
    /// gets the search text of the store, if known.
    pub async fn select(
        self: &Arc<Self>,
        named_only: bool,
        descending: bool,
        is_wanted: impl Fn(&StoreId, Option<&SearchText>) -> bool + Send + 'static,
    ) -> Result<Vec<StoreId>> {
        let is_small = self.lock().order(named_only).len() <= MAX_INLINE_STORES;
        let index = Arc::clone(self);
        let select = move || {
            let mut found = index.select_by_chunks(named_only, is_wanted);
            if descending {
                found.reverse();
            }
            found
        };
        if is_small { Ok(select()) } else { spawn_blocking(select).await.map_err(Error::unavailable) }
    }

    fn select_by_chunks(
        &self,
        named_only: bool,
        is_wanted: impl Fn(&StoreId, Option<&SearchText>) -> bool,
    ) -> Vec<StoreId> {
        let (mut found, mut last) = (Vec::new(), None);
        loop {
            let listed = self.lock();
            let order = listed.order(named_only);
            let first = last.map_or(0, |last| order.partition_point(|position| *position <= last));
            let chunk = &order[first..order.len().min(first + CHUNK_SIZE)];
            let Some(end) = chunk.last() else { return found };
            last = Some(*end);
            let search_text = |id: &StoreId| listed.stores.get(id).and_then(|known| known.search_text.as_ref());
            found.extend(chunk.iter().map(|(_, id)| *id).filter(|id| is_wanted(id, search_text(id))));
        }
    }

    /// Removes exactly the stores that have expired by `now`.
    pub async fn expire_until(self: &Arc<Self>, now: Timestamp) -> Result<()> {
        let is_large = {
            let mut listed = self.lock();
            let is_large = listed.expiring.len() + listed.expired.len() > MAX_INLINE_STORES;
            if !is_large {
                while listed.advance(now) {}
            }
            is_large && listed.is_behind(now)
        };
        if is_large {
            let index = Arc::clone(self);
            let advance = move || while index.lock().advance(now) {};
            spawn_blocking(advance).await.map_err(Error::unavailable)?;
        }
        Ok(())
    }

    /// Returns whether a store is listed.
    pub fn has(&self, id: &StoreId) -> bool {
        self.lock().stores.get(id).is_some_and(|known| known.kind != EntryKind::Deleted)
    }

    /// Removes a store without a document, until an entry lists it again.
    pub fn drop_entry(&self, id: &StoreId) {
        self.lock().remove(id);
    }

    /// Locks and returns the listed stores.
    pub fn lock(&self) -> MutexGuard<'_, StoreList> {
        self.listed.lock()
    }
}

/// Order of two states of a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Revision {
    /// The time of its last entry.
    pub at: Timestamp,
    /// The version of the document; zero if only the entry is known.
    pub version: u64,
}

/// The known state of a store.
#[derive(Debug, Clone)]
pub struct ListedStore {
    /// Order of this state.
    pub revision: Revision,
    /// Creation time of the store.
    pub created_at: Timestamp,
    /// Its kind.
    pub kind: EntryKind,
    /// Time from which it is omitted.
    pub expires_at: Timestamp,
    /// Search text, if known.
    pub search_text: Option<SearchText>,
}

impl ListedStore {
    /// Expiry of a permanent store.
    pub const NEVER: Timestamp = Timestamp::from_millis(i64::MAX);

    fn from_entry(entry: &IndexEntry) -> Self {
        let IndexEntry { at, created_at, kind, expires_at, ref search_text, .. } = *entry;
        let expires_at = expires_at.unwrap_or(Self::NEVER);
        Self { revision: Revision { at, version: 0 }, created_at, kind, expires_at, search_text: search_text.clone() }
    }
}

/// The stores of one owner, and their order.
#[derive(Debug)]
pub struct StoreList {
    /// Time of the last read of entries.
    pub read: Option<ReadTime>,
    stores: HashMap<StoreId, ListedStore>,
    all: Vec<(Timestamp, StoreId)>,
    named: Vec<(Timestamp, StoreId)>,
    /// Unnamed stores that are listed, by expiry.
    expiring: BTreeSet<(Timestamp, StoreId)>,
    /// Unlisted, expired stores, by expiry.
    expired: BTreeSet<(Timestamp, StoreId)>,
    /// Deleted stores, in the order in which the deletions became known.
    deleted: VecDeque<(Timestamp, StoreId)>,
    /// The time that separates `expiring` from `expired`.
    expired_until: Timestamp,
}

impl Default for StoreList {
    fn default() -> Self {
        Self {
            read: None,
            stores: HashMap::new(),
            all: Vec::new(),
            named: Vec::new(),
            expiring: BTreeSet::new(),
            expired: BTreeSet::new(),
            deleted: VecDeque::new(),
            expired_until: Timestamp::from_millis(0),
        }
    }
}

impl StoreList {
    fn order(&self, named_only: bool) -> &Vec<(Timestamp, StoreId)> {
        if named_only { &self.named } else { &self.all }
    }

    /// Lists a store by its entry unless a newer state is known.
    pub fn apply(&mut self, entry: &IndexEntry) {
        self.update(entry.id, ListedStore::from_entry(entry));
    }

    /// Lists a store by this state unless a newer one is known.
    pub fn update(&mut self, id: StoreId, known: ListedStore) {
        if self.is_newer(&id, &known) {
            self.remove(&id);
            self.put(id, known);
        }
    }

    /// Records an entry, for [`StoreList::into_sorted`] to list its store.
    pub fn collect(&mut self, entry: &IndexEntry) {
        let known = ListedStore::from_entry(entry);
        if self.is_newer(&entry.id, &known) {
            self.stores.insert(entry.id, known);
        }
    }

    /// Returns the stores in order, sorted once.
    pub fn into_sorted(mut self) -> Self {
        let positions = |is_listed: fn(EntryKind) -> bool| {
            let listed = self.stores.iter().filter(|(_, known)| is_listed(known.kind));
            let mut positions: Vec<_> = listed.map(|(id, known)| (known.created_at, *id)).collect();
            positions.sort_unstable();
            positions
        };
        (self.all, self.named) =
            (positions(|kind| kind != EntryKind::Deleted), positions(|kind| kind == EntryKind::Named));
        let of_kind = |wanted| self.stores.iter().filter(move |(_, known)| known.kind == wanted);
        self.expiring = of_kind(EntryKind::Unnamed).map(|(id, known)| (known.expires_at, *id)).collect();
        self.deleted = of_kind(EntryKind::Deleted).map(|(id, known)| (known.revision.at, *id)).collect();
        self.deleted.make_contiguous().sort_unstable();
        self
    }

    /// Replaces the known state, except what is newer: deletions, and states known `since` the list began.
    pub fn replace(&mut self, fresh: Self, since: Timestamp, read: ReadTime) {
        let mut old = std::mem::replace(self, fresh);
        for (id, known) in old.stores.drain() {
            let is_recent = known.kind == EntryKind::Deleted || known.revision.at >= since;
            if is_recent || self.stores.contains_key(&id) {
                self.update(id, known);
            }
        }
        self.read = Some(read);
    }

    /// Returns whether the state is new. A deleted store is never resurrected, whatever arrives late.
    fn is_newer(&self, id: &StoreId, known: &ListedStore) -> bool {
        let is_later = |before: &ListedStore| known.kind == EntryKind::Deleted || known.revision > before.revision;
        self.stores.get(id).is_none_or(|before| before.kind != EntryKind::Deleted && is_later(before))
    }

    fn put(&mut self, id: StoreId, known: ListedStore) {
        let position = (known.created_at, id);
        match known.kind {
            EntryKind::Deleted => self.deleted.push_back((known.revision.at.max(self.expired_until), id)),
            EntryKind::Unnamed if known.expires_at <= self.expired_until => {
                self.expired.insert((known.expires_at, id));
            }
            EntryKind::Unnamed => {
                insert(&mut self.all, position);
                self.expiring.insert((known.expires_at, id));
            }
            EntryKind::Named => {
                insert(&mut self.all, position);
                insert(&mut self.named, position);
            }
        }
        self.stores.insert(id, known);
    }

    fn remove(&mut self, id: &StoreId) {
        let Some(known) = self.stores.remove(id) else { return };
        if self.expired.remove(&(known.expires_at, *id)) {
            return;
        }
        self.expiring.remove(&(known.expires_at, *id));
        let position = (known.created_at, *id);
        for order in [&mut self.all, &mut self.named] {
            if let Ok(at) = order.binary_search(&position) {
                order.remove(at);
            }
        }
    }

    /// Returns whether expiry by `now` would change the listing of any store.
    fn is_behind(&self, now: Timestamp) -> bool {
        self.expiring.first().is_some_and(|(expires_at, _)| *expires_at <= now)
            || self.expired.last().is_some_and(|(expires_at, _)| *expires_at > now)
    }

    /// Omits stores that have expired by `now`, and lists those again that have not: a clock may go back. Returns
    /// whether there are more.
    fn advance(&mut self, now: Timestamp) -> bool {
        self.expired_until = now;
        let mut newly_expired = HashSet::new();
        while newly_expired.len() < CHUNK_SIZE * 16
            && let Some((expires_at, id)) = self.expiring.first().copied().filter(|(expires_at, _)| *expires_at <= now)
        {
            self.expiring.remove(&(expires_at, id));
            self.expired.insert((expires_at, id));
            newly_expired.insert(id);
        }
        if newly_expired.len() <= MAX_SINGLE_REMOVALS {
            for id in &newly_expired {
                let created_at = self.stores.get(id).map(|known| known.created_at);
                let position = created_at.and_then(|created_at| self.all.binary_search(&(created_at, *id)).ok());
                position.map(|position| self.all.remove(position));
            }
        } else {
            self.all.retain(|(_, id)| !newly_expired.contains(id));
        }
        let early = self.expired.last().copied().filter(|(expires_at, _)| *expires_at > now);
        if let Some((expires_at, id)) = early {
            self.expired.remove(&(expires_at, id));
            self.expiring.insert((expires_at, id));
            if let Some(known) = self.stores.get(&id) {
                insert(&mut self.all, (known.created_at, id));
            }
        }
        self.is_behind(now)
    }

    /// Drops deleted stores after a while; expired ones, too, if `may_drop_expired`, i.e. the clock is trusted.
    pub fn prune(&mut self, now: Timestamp, may_drop_expired: bool) {
        let before = now.minus(DELETED_TTL);
        while let Some((_, id)) = self.deleted.pop_front_if(|(at, _)| *at < before) {
            if self.stores.get(&id).is_some_and(|known| known.kind == EntryKind::Deleted) {
                self.stores.remove(&id);
            }
        }
        while may_drop_expired && self.expired.first().is_some_and(|(expires_at, _)| *expires_at < before) {
            if let Some((_, id)) = self.expired.pop_first() {
                self.stores.remove(&id);
            }
        }
        if self.stores.capacity() > 4 * self.stores.len() + 1024 {
            self.stores.shrink_to_fit();
            self.deleted.shrink_to_fit();
            self.all.shrink_to_fit();
            self.named.shrink_to_fit();
        }
    }

    /// Returns whether everything known was read before `since`, by the monotonic clock.
    pub fn is_idle(&self, since: Duration) -> bool {
        self.stores.is_empty() && self.read.is_none_or(|read| read.monotonic < since)
    }
}

fn insert(order: &mut Vec<(Timestamp, StoreId)>, position: (Timestamp, StoreId)) {
    if let Err(at) = order.binary_search(&position) {
        order.insert(at, position);
    }
}
