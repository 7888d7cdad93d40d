//! The stores of one owner in memory: in order of creation, without expired ones, with their search text. Long
//! operations run on threads of their own, and never hold the lock for long.

use std::{
    collections::{BTreeSet, HashMap, HashSet, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::task::spawn_blocking;

use crate::{
    clock::Timestamp,
    kv::{
        model::{
            errors::{Error, Result},
            ids::StoreId,
            search_text::SearchText,
        },
        persist::object_keys::{EntryKind, IndexEntry},
    },
};

/// Time for which a deleted store is remembered, so an older entry that is read late does not resurrect it.
const MEMORY: Duration = Duration::from_hours(1);

/// Number of stores that a search or an expiry pass handles per lock acquisition.
const CHUNK: usize = 4096;

/// Maximum number of stores for which a search or an expiry pass runs without a thread of its own.
const FEW: usize = 2000;

/// Maximum number of stores that are removed from the order one by one.
const FEW_REMOVALS: usize = 8;

/// Time at which entries were read, by both clocks.
#[derive(Debug, Clone, Copy)]
pub struct ReadMark {
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
    listed: Mutex<Listed>,
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
        let is_short = self.lock().order(named_only).len() <= FEW;
        let index = Arc::clone(self);
        let select = move || {
            let mut found = index.select_by_chunks(named_only, is_wanted);
            if descending {
                found.reverse();
            }
            found
        };
        if is_short { Ok(select()) } else { spawn_blocking(select).await.map_err(Error::unavailable) }
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
            let chunk = &order[first..order.len().min(first + CHUNK)];
            let Some(end) = chunk.last() else { return found };
            last = Some(*end);
            let search_text = |id: &StoreId| listed.stores.get(id).and_then(|known| known.search_text.as_ref());
            found.extend(chunk.iter().map(|(_, id)| *id).filter(|id| is_wanted(id, search_text(id))));
        }
    }

    /// Removes exactly the stores that have expired by `now`.
    pub async fn settle(self: &Arc<Self>, now: Timestamp) -> Result<()> {
        let is_much = {
            let mut listed = self.lock();
            let is_much = listed.ends.len() + listed.passed.len() > FEW;
            if !is_much {
                while listed.advance(now) {}
            }
            is_much && listed.is_behind(now)
        };
        if is_much {
            let index = Arc::clone(self);
            let advance = move || while index.lock().advance(now) {};
            spawn_blocking(advance).await.map_err(Error::unavailable)?;
        }
        Ok(())
    }

    /// Returns whether a store is listed.
    pub fn has(&self, id: &StoreId) -> bool {
        self.lock().stores.get(id).is_some_and(|known| known.kind != EntryKind::Gone)
    }

    /// Removes a store without a document, until an entry lists it again.
    pub fn drop_entry(&self, id: &StoreId) {
        self.lock().remove(id);
    }

    /// Locks and returns the listed stores.
    pub fn lock(&self) -> MutexGuard<'_, Listed> {
        self.listed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Order of two states of a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Latest {
    /// The time of its last entry.
    pub at: Timestamp,
    /// The version of the document; zero if only the entry is known.
    pub version: u64,
}

/// The known state of a store.
#[derive(Debug, Clone)]
pub struct Known {
    /// Order of this state.
    pub latest: Latest,
    /// Creation time of the store.
    pub created_at: Timestamp,
    /// Its kind.
    pub kind: EntryKind,
    /// Time from which it is omitted.
    pub end: Timestamp,
    /// Search text, if known.
    pub search_text: Option<SearchText>,
}

impl Known {
    /// Expiry of a permanent store.
    pub const NEVER: Timestamp = Timestamp::from_millis(i64::MAX);

    fn of(entry: &IndexEntry) -> Self {
        let IndexEntry { at, created_at, kind, expires_at, ref search_text, .. } = *entry;
        let end = expires_at.unwrap_or(Self::NEVER);
        Self { latest: Latest { at, version: 0 }, created_at, kind, end, search_text: search_text.clone() }
    }
}

/// The stores of one owner, and their order.
#[derive(Debug)]
pub struct Listed {
    /// Time of the last read of entries.
    pub read: Option<ReadMark>,
    stores: HashMap<StoreId, Known>,
    all: Vec<(Timestamp, StoreId)>,
    named: Vec<(Timestamp, StoreId)>,
    /// Unnamed stores that are listed, by their ends.
    ends: BTreeSet<(Timestamp, StoreId)>,
    /// Unlisted, expired stores, by their ends.
    passed: BTreeSet<(Timestamp, StoreId)>,
    /// Deleted stores, in the order in which the deletions were learnt.
    gone: VecDeque<(Timestamp, StoreId)>,
    /// The time that separates `ends` from `passed`.
    shown_at: Timestamp,
}

impl Default for Listed {
    fn default() -> Self {
        Self {
            read: None,
            stores: HashMap::new(),
            all: Vec::new(),
            named: Vec::new(),
            ends: BTreeSet::new(),
            passed: BTreeSet::new(),
            gone: VecDeque::new(),
            shown_at: Timestamp::from_millis(0),
        }
    }
}

impl Listed {
    fn order(&self, named_only: bool) -> &Vec<(Timestamp, StoreId)> {
        if named_only { &self.named } else { &self.all }
    }

    /// Lists a store by its entry unless a newer state is known.
    pub fn apply(&mut self, entry: &IndexEntry) {
        self.learn(entry.id, Known::of(entry));
    }

    /// Lists a store by this state unless a newer one is known.
    pub fn learn(&mut self, id: StoreId, known: Known) {
        if self.is_news(&id, &known) {
            self.remove(&id);
            self.put(id, known);
        }
    }

    /// Records an entry, for [`Listed::ordered`] to list its store.
    pub fn note(&mut self, entry: &IndexEntry) {
        let known = Known::of(entry);
        if self.is_news(&entry.id, &known) {
            self.stores.insert(entry.id, known);
        }
    }

    /// Returns the stores in order, sorted once.
    pub fn ordered(mut self) -> Self {
        let positions = |is_listed: fn(EntryKind) -> bool| {
            let listed = self.stores.iter().filter(|(_, known)| is_listed(known.kind));
            let mut positions: Vec<_> = listed.map(|(id, known)| (known.created_at, *id)).collect();
            positions.sort_unstable();
            positions
        };
        (self.all, self.named) = (positions(|kind| kind != EntryKind::Gone), positions(|kind| kind == EntryKind::Kept));
        let of_kind = |wanted| self.stores.iter().filter(move |(_, known)| known.kind == wanted);
        self.ends = of_kind(EntryKind::Passing).map(|(id, known)| (known.end, *id)).collect();
        self.gone = of_kind(EntryKind::Gone).map(|(id, known)| (known.latest.at, *id)).collect();
        self.gone.make_contiguous().sort_unstable();
        self
    }

    /// Replaces the known state, except what is newer: deletions, and states learnt `since` the list began.
    pub fn replace(&mut self, fresh: Self, since: Timestamp, read: ReadMark) {
        let mut old = std::mem::replace(self, fresh);
        for (id, known) in old.stores.drain() {
            let is_relocation_overdue = known.kind == EntryKind::Gone || known.latest.at >= since;
            if is_relocation_overdue || self.stores.contains_key(&id) {
                self.learn(id, known);
            }
        }
        self.read = Some(read);
    }

    /// Returns whether the state is new. A deleted store is never resurrected, whatever arrives late.
    fn is_news(&self, id: &StoreId, known: &Known) -> bool {
        let is_later = |before: &Known| known.kind == EntryKind::Gone || known.latest > before.latest;
        self.stores.get(id).is_none_or(|before| before.kind != EntryKind::Gone && is_later(before))
    }

    fn put(&mut self, id: StoreId, known: Known) {
        let position = (known.created_at, id);
        match known.kind {
            EntryKind::Gone => self.gone.push_back((known.latest.at.max(self.shown_at), id)),
            EntryKind::Passing if known.end <= self.shown_at => {
                self.passed.insert((known.end, id));
            }
            EntryKind::Passing => {
                insert(&mut self.all, position);
                self.ends.insert((known.end, id));
            }
            EntryKind::Kept => {
                insert(&mut self.all, position);
                insert(&mut self.named, position);
            }
        }
        self.stores.insert(id, known);
    }

    fn remove(&mut self, id: &StoreId) {
        let Some(known) = self.stores.remove(id) else { return };
        if self.passed.remove(&(known.end, *id)) {
            return;
        }
        self.ends.remove(&(known.end, *id));
        let position = (known.created_at, *id);
        for order in [&mut self.all, &mut self.named] {
            if let Ok(at) = order.binary_search(&position) {
                order.remove(at);
            }
        }
    }

    /// Returns whether expiry by `now` would change the listing of any store.
    fn is_behind(&self, now: Timestamp) -> bool {
        self.ends.first().is_some_and(|(end, _)| *end <= now) || self.passed.last().is_some_and(|(end, _)| *end > now)
    }

    /// Omits stores that have expired by `now`, and lists those again that have not: a clock may go back. Returns
    /// whether there are more.
    fn advance(&mut self, now: Timestamp) -> bool {
        self.shown_at = now;
        let mut over = HashSet::new();
        while over.len() < CHUNK * 16
            && let Some((end, id)) = self.ends.first().copied().filter(|(end, _)| *end <= now)
        {
            self.ends.remove(&(end, id));
            self.passed.insert((end, id));
            over.insert(id);
        }
        if over.len() <= FEW_REMOVALS {
            for id in &over {
                let created_at = self.stores.get(id).map(|known| known.created_at);
                let position = created_at.and_then(|created_at| self.all.binary_search(&(created_at, *id)).ok());
                position.map(|position| self.all.remove(position));
            }
        } else {
            self.all.retain(|(_, id)| !over.contains(id));
        }
        let early = self.passed.last().copied().filter(|(end, _)| *end > now);
        if let Some((end, id)) = early {
            self.passed.remove(&(end, id));
            self.ends.insert((end, id));
            if let Some(known) = self.stores.get(&id) {
                insert(&mut self.all, (known.created_at, id));
            }
        }
        self.is_behind(now)
    }

    /// Forgets deleted stores after a while; expired ones, too, if `may_forget`, i.e. the clock is trusted.
    pub fn prune(&mut self, now: Timestamp, may_forget: bool) {
        let before = now.minus(MEMORY);
        while let Some((_, id)) = self.gone.pop_front_if(|(at, _)| *at < before) {
            if self.stores.get(&id).is_some_and(|known| known.kind == EntryKind::Gone) {
                self.stores.remove(&id);
            }
        }
        while may_forget && self.passed.first().is_some_and(|(end, _)| *end < before) {
            if let Some((_, id)) = self.passed.pop_first() {
                self.stores.remove(&id);
            }
        }
        if self.stores.capacity() > 4 * self.stores.len() + 1024 {
            self.stores.shrink_to_fit();
            self.gone.shrink_to_fit();
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
