//! The listing index: which stores an owner has, in the order of their making.
//!
//! Durable as an append-only list of entries, one object each: the last entry of a store wins. In memory as two sorted
//! lists, so that any page is found without a scan, and with what stores are searched by. The documents have the last word: whoever reads one and finds that
//! the index is wrong says so ([`OwnerIndex::correct`], [`OwnerIndex::drop_entry`]).

use std::{
    collections::{BTreeSet, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use crate::{
    clock::{Clock, Timestamp},
    storage::{ListOptions, MAX_LIST_KEYS, ObjectStore, Precondition},
};

use super::{
    document::Document,
    documents::put_control,
    error::Result,
    id::{StoreId, UserId},
    label::Label,
    layout::{self, EntryKind, IndexEntry},
};

/// How far before the last entry seen a refresh begins to read: clocks of gateways differ, and an entry is in the list
/// only when its write has ended.
const OVERLAP: Duration = Duration::from_mins(5);

/// How many entries are listed one by one.
const FEW_ENTRIES: usize = 256;

/// What of an owner's entries has to be read.
enum Unread {
    /// Nothing: what is known is fresh enough.
    Nothing,
    /// All behind a key, or all there are.
    From(Option<String>),
}

/// The index of every owner.
#[derive(Debug)]
pub struct Index {
    objects: Arc<dyn ObjectStore>,
    clock: Arc<dyn Clock>,
    staleness: Option<Duration>,
    /// What was read before is to be read again.
    outdated_before: Mutex<Duration>,
    owners: Mutex<HashMap<UserId, Arc<OwnerIndex>>>,
}

impl Index {
    /// The index in `objects`; read again when what is known is older than `staleness`, if that is a bound.
    pub fn new(objects: Arc<dyn ObjectStore>, clock: Arc<dyn Clock>, staleness: Option<Duration>) -> Self {
        Self { objects, clock, staleness, outdated_before: Mutex::default(), owners: Mutex::default() }
    }

    /// Writes an entry for a store. What is listed from memory changes only by [`Index::announce`], once the document
    /// is there.
    pub async fn write(&self, document: &Document, kind: EntryKind) -> Result<IndexEntry> {
        let owner = self.of(document.owner_id);
        let at = owner.lock().next_entry_time(&document.id, self.clock.now());
        let expires_at = document.expires_at.filter(|_| kind == EntryKind::Passing);
        // Who is about to have a name is listed by it: the entry comes before the document says so.
        let name = document.pending_name.as_ref().or(document.name.as_ref());
        let label = match kind {
            EntryKind::Kept => Label::of(name, document.title.as_deref()),
            EntryKind::Passing => Label::of(None, document.title.as_deref()),
            EntryKind::Gone => None,
        };
        let entry = IndexEntry { at, created_at: document.created_at, id: document.id, kind, expires_at, label };
        let key = layout::index_entry(&document.owner_id, &entry);
        put_control(self.objects.as_ref(), &key, Vec::new(), Precondition::None).await?;
        Ok(entry)
    }

    /// Lists a store from now on as its entry says.
    pub fn announce(&self, owner: UserId, entry: &IndexEntry) {
        self.of(owner).lock().apply(entry);
    }

    /// Reads again what was read before `since`, whoever asks for it next.
    pub fn outdate(&self, since: Duration) {
        let mut before = self.outdated_before.lock().unwrap_or_else(PoisonError::into_inner);
        *before = since.max(*before);
    }

    /// What an owner has, read as far as that is needed.
    pub async fn read(&self, owner: UserId) -> Result<Arc<OwnerIndex>> {
        let index = self.of(owner);
        let one_at_a_time = index.reading.lock().await;
        let now = self.clock.monotonic();
        match self.unread(&owner, &index, now) {
            Unread::Nothing => {}
            Unread::From(start) => {
                self.read_entries(owner, &index, start).await?;
                index.lock().read_at = Some(now);
            }
        }
        drop(one_at_a_time);
        Ok(index)
    }

    /// What has to be read at `now`.
    fn unread(&self, owner: &UserId, index: &OwnerIndex, now: Duration) -> Unread {
        let outdated_before = *self.outdated_before.lock().unwrap_or_else(PoisonError::into_inner);
        let listed = index.lock();
        match (listed.read_at, self.staleness) {
            (None, _) => Unread::From(None),
            (Some(_), None) => Unread::Nothing,
            (Some(read_at), Some(bound)) if read_at >= outdated_before && now.saturating_sub(read_at) < bound => {
                Unread::Nothing
            }
            (Some(_), Some(_)) => Unread::From(Some(layout::index_from(owner, listed.last_at.minus(OVERLAP)))),
        }
    }

    async fn read_entries(&self, owner: UserId, index: &OwnerIndex, mut start_after: Option<String>) -> Result<()> {
        let prefix = layout::index(&owner);
        let mut entries = Vec::new();
        loop {
            let options = ListOptions { prefix: prefix.clone(), start_after, limit: MAX_LIST_KEYS };
            let page = self.objects.list(options).await?;
            entries.extend(page.objects.iter().filter_map(|object| layout::parse_index_entry(&object.key, &prefix)));
            start_after = page.objects.into_iter().next_back().map(|object| object.key);
            if !page.is_truncated || start_after.is_none() {
                index.lock().apply_all(&entries);
                return Ok(());
            }
        }
    }

    fn of(&self, owner: UserId) -> Arc<OwnerIndex> {
        let mut owners = self.owners.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(owners.entry(owner).or_default())
    }
}

/// What one owner has.
#[derive(Debug, Default)]
pub struct OwnerIndex {
    reading: tokio::sync::Mutex<()>,
    listed: Mutex<Listed>,
}

impl OwnerIndex {
    /// All ids, or those of named stores only, in the order of the stores' making; and how many there are.
    pub fn page(&self, named_only: bool, descending: bool, offset: usize, limit: usize) -> (Vec<StoreId>, usize) {
        let listed = self.lock();
        let order = if named_only { &listed.named } else { &listed.all };
        let ids = order.iter().map(|(_, id)| *id);
        let page = if descending {
            ids.rev().skip(offset).take(limit).collect()
        } else {
            ids.skip(offset).take(limit).collect()
        };
        (page, order.len())
    }

    /// The stores of which `is_wanted` holds, of all or of the named ones, in the order of their making. It is told what a
    /// store is searched by, as far as that is known.
    pub fn select(
        &self,
        named_only: bool,
        descending: bool,
        mut is_wanted: impl FnMut(&StoreId, Option<&Label>) -> bool,
    ) -> Vec<StoreId> {
        let listed = self.lock();
        let order = if named_only { &listed.named } else { &listed.all };
        let label = |id: &StoreId| listed.stores.get(id).and_then(|known| known.label.as_ref());
        let mut ids: Vec<_> = order.iter().map(|(_, id)| *id).filter(|id| is_wanted(id, label(id))).collect();
        if descending {
            ids.reverse();
        }
        ids
    }

    /// Puts right what the index says of a store, whose document says otherwise: what it is called, or until when it lives.
    pub fn correct(&self, document: &Document) {
        let mut listed = self.lock();
        if let Some(Known { at, created_at, .. }) = listed.stores.get(&document.id) {
            let (at, created_at) = (*at, *created_at);
            let kind = if document.name.is_some() { EntryKind::Kept } else { EntryKind::Passing };
            let label = Label::of(document.name.as_ref(), document.title.as_deref());
            listed.apply(&IndexEntry { at, created_at, id: document.id, kind, expires_at: document.expires_at, label });
        }
    }

    /// Unnamed stores that may have expired by now, as far as is known here; at most `limit`.
    pub fn suspects(&self, now: Timestamp, limit: usize) -> Vec<StoreId> {
        let listed = self.lock();
        listed.ends.iter().take_while(|(end, _)| *end <= now).take(limit).map(|(_, id)| *id).collect()
    }

    /// Whether a store is listed.
    pub fn has(&self, id: &StoreId) -> bool {
        self.lock().stores.get(id).is_some_and(|known| known.kind != EntryKind::Gone)
    }

    /// Leaves out a store that has no document, until an entry says otherwise.
    pub fn drop_entry(&self, id: &StoreId) {
        self.lock().remove(id);
    }

    fn lock(&self) -> MutexGuard<'_, Listed> {
        self.listed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The last entry of a store.
#[derive(Debug, PartialEq)]
struct Known {
    at: Timestamp,
    created_at: Timestamp,
    kind: EntryKind,
    /// Until when it need not be asked whether it has expired.
    lives_until: Timestamp,
    label: Option<Label>,
}

/// The entries of one owner, and the order that follows from them.
#[derive(Debug)]
struct Listed {
    stores: HashMap<StoreId, Known>,
    all: Vec<(Timestamp, StoreId)>,
    named: Vec<(Timestamp, StoreId)>,
    /// Unnamed stores by when they are to be asked whether they have expired.
    ends: BTreeSet<(Timestamp, StoreId)>,
    last_at: Timestamp,
    read_at: Option<Duration>,
}

impl Default for Listed {
    fn default() -> Self {
        Self {
            stores: HashMap::new(),
            all: Vec::new(),
            named: Vec::new(),
            ends: BTreeSet::new(),
            last_at: Timestamp::from_millis(0),
            read_at: None,
        }
    }
}

impl Listed {
    /// Lists a store as an entry says, unless that is known to be over.
    fn apply(&mut self, entry: &IndexEntry) {
        if let Some(known) = self.news(entry) {
            let (id, place) = (entry.id, (known.created_at, entry.id));
            self.remove(&id);
            match known.kind {
                EntryKind::Gone => {}
                EntryKind::Passing => {
                    insert(&mut self.all, place);
                    self.ends.insert((known.lives_until, id));
                }
                EntryKind::Kept => {
                    insert(&mut self.all, place);
                    insert(&mut self.named, place);
                }
            }
            self.stores.insert(id, known);
        }
    }

    /// The same for many, whose places in the order are found by sorting once: to make room for each would take a time that
    /// grows with the square of their number.
    fn apply_all(&mut self, entries: &[IndexEntry]) {
        if entries.len() <= FEW_ENTRIES {
            return entries.iter().for_each(|entry| self.apply(entry));
        }
        for entry in entries {
            if let Some(known) = self.news(entry) {
                self.stores.insert(entry.id, known);
            }
        }
        let places = |is_listed: fn(EntryKind) -> bool| {
            let listed = self.stores.iter().filter(|(_, known)| is_listed(known.kind));
            let mut places: Vec<_> = listed.map(|(id, known)| (known.created_at, *id)).collect();
            places.sort_unstable();
            places
        };
        (self.all, self.named) = (places(|kind| kind != EntryKind::Gone), places(|kind| kind == EntryKind::Kept));
        let passing = self.stores.iter().filter(|(_, known)| known.kind == EntryKind::Passing);
        self.ends = passing.map(|(id, known)| (known.lives_until, *id)).collect();
    }

    /// What an entry says of its store, if that is not known already and not known to be over.
    fn news(&mut self, entry: &IndexEntry) -> Option<Known> {
        self.last_at = self.last_at.max(entry.at);
        let IndexEntry { at, created_at, kind, expires_at, ref label, .. } = *entry;
        let lives_until = expires_at.unwrap_or(Timestamp::from_millis(0));
        let said = Known { at, created_at, kind, lives_until, label: label.clone() };
        // A deleted store never comes back, whatever else arrives late.
        let is_over = |known: &Known| known.at > at || known.kind == EntryKind::Gone || *known == said;
        (!self.stores.get(&entry.id).is_some_and(is_over)).then_some(said)
    }

    fn remove(&mut self, id: &StoreId) {
        if let Some(known) = self.stores.remove(id) {
            self.ends.remove(&(known.lives_until, *id));
            let place = (known.created_at, *id);
            for order in [&mut self.all, &mut self.named] {
                if let Ok(at) = order.binary_search(&place) {
                    order.remove(at);
                }
            }
        }
    }

    /// A time for a store's next entry: now, but behind its last one, also when both fall into one millisecond.
    fn next_entry_time(&self, id: &StoreId, now: Timestamp) -> Timestamp {
        self.stores.get(id).map_or(now, |known| now.max(known.at.plus(Duration::from_millis(1))))
    }
}

fn insert(order: &mut Vec<(Timestamp, StoreId)>, place: (Timestamp, StoreId)) {
    if let Err(at) = order.binary_search(&place) {
        order.insert(at, place);
    }
}
