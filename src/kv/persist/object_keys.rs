//! The keys of objects: the only place that builds or reads them. `docs/LAYOUT.md` explains them to operators.
//!
//! ```text
//! larder/format                                                                              storage format and identity of the installation
//! larder/clock                                                                               clock record of the installation
//! larder/stores/{id}                                                                         store document
//! larder/names/{owner}/{name in lower case}                                                  claim of a name
//! larder/permanent/{id}/{generation}/k{record key}                                           permanent records
//! larder/expiring/{days}/{id}/{generation}/k{record key}                                     records under a lifecycle rule
//! larder/store-index/{owner}/{entry time}-{created at}-{id}-{kind}[-{expires at}][.{search text}]  listing index
//! larder/store-usage/{owner}/{id}-{since}-{records}-{bytes}                                  usage entry of a store
//! larder/stores-due/{time}-{id}-{mark}-{reason}[-{owner}-{created at}]                       due item by wall time
//! larder/stores-due-by-uptime/{uptime}-{id}-{mark}-{reason}-{attempts}-{since}               due item by uptime of the installation
//! larder/permanent/canary, larder/expiring/{days}/canary, larder/lifecycle-canaries          canaries of lifecycle rules
//! ```
//!
//! The `k` before a record key keeps HTTP layers from reading `.` and `..` as path segments, and preserves the byte
//! order of keys. Object stores on top of a file system limit a path segment to 255 bytes (`SeaweedFS`, `MinIO`). A
//! longer record key continues in a second segment, `k{the first 250 characters}~/{the rest}`. No record key contains
//! a tilde, so no object collides with a folder, and the order is preserved. A rest that is `.` or `..` is followed
//! by a space, for the same layers: it sorts before every character of keys. Times are milliseconds in 13 digits, so
//! byte order is time order until 2286.

use std::{borrow::Cow, fmt::Write, time::Duration};

use crate::{
    clock::Timestamp,
    kv::model::{
        ids::{StoreId, UserId},
        names::{RecordKey, SearchText},
        retention::LifecycleClass,
    },
};

use super::store_metadata::{Contents, Location};

/// Prefix of everything Larder stores.
const ROOT: &str = "larder/";

/// Precedes every record key.
const KEY_MARK: &str = "k";

/// Characters of a record key in its first segment.
const FIRST_SEGMENT_LENGTH: usize = 250;

/// Separates the two segments of a long record key.
const KEY_SPLIT: &str = "~/";

/// Follows the rest of a long record key that would traverse a path.
const DOT_SEGMENT_GUARD: char = ' ';

/// Returns the prefix of everything.
pub fn root() -> &'static str {
    ROOT
}

/// Returns the prefix of all records of a lifecycle class, and of nothing else.
pub fn class(class: LifecycleClass) -> String {
    format!("{ROOT}expiring/{}/", class.days())
}

/// Capacity for the key of most records.
const TYPICAL_KEY_CAPACITY: usize = 128;

/// Returns the canary object of a lifecycle class; no store has such an id.
pub fn expiring_canary(of: LifecycleClass) -> String {
    format!("{}canary", class(of))
}

/// Returns the canary object among permanent records.
pub fn permanent_canary() -> String {
    format!("{ROOT}permanent/canary")
}

/// Returns the record of both canaries.
pub fn canaries() -> String {
    format!("{ROOT}lifecycle-canaries")
}

/// Returns the key of a store document.
pub fn document(id: &StoreId) -> String {
    format!("{ROOT}stores/{id}")
}

/// Returns the key of the claim of a name, which must be in lower case.
pub fn name(owner: &UserId, folded: &str) -> String {
    format!("{ROOT}names/{owner}/{folded}")
}

/// Returns the prefix of all records of a store in one location.
pub fn records(id: &StoreId, location: &Location) -> String {
    // Every record call comes through here: reserve capacity for the record key.
    let mut path = String::with_capacity(TYPICAL_KEY_CAPACITY);
    path.push_str(ROOT);
    // Writing to a string cannot fail.
    let _ = match location.class {
        None => path.write_str("permanent/"),
        Some(of) => write!(path, "expiring/{}/", of.days()),
    };
    path.extend([id.as_str(), "/", &location.generation, "/"]);
    path
}

/// Returns the key of a record's object.
pub fn record(id: &StoreId, location: &Location, key: &RecordKey) -> String {
    record_start(id, location, key.as_str())
}

/// Returns the start of all records whose keys are after `key`, which may be any text.
pub fn record_start(id: &StoreId, location: &Location, key: &str) -> String {
    let mut path = record_prefix(id, location, key);
    if key.split_at_checked(FIRST_SEGMENT_LENGTH).is_some_and(|(_, rest)| matches!(rest, "." | "..")) {
        path.push(DOT_SEGMENT_GUARD);
    }
    path
}

/// Returns the prefix of all records whose keys begin with `prefix`.
pub fn record_prefix(id: &StoreId, location: &Location, prefix: &str) -> String {
    let mut path = records(id, location);
    path.push_str(KEY_MARK);
    match prefix.split_at_checked(FIRST_SEGMENT_LENGTH) {
        Some((first, rest)) if !rest.is_empty() => path.extend([first, KEY_SPLIT, rest]),
        Some(_) | None => path.push_str(prefix),
    }
    path
}

/// Returns the record key in an object key below `records`; `None` if it is no record.
pub fn record_key<'a>(object: &'a str, records: &str) -> Option<Cow<'a, str>> {
    let key = object.strip_prefix(records)?.strip_prefix(KEY_MARK)?;
    Some(match key.split_once(KEY_SPLIT) {
        Some((first, rest)) => Cow::Owned([first, rest.trim_end_matches(DOT_SEGMENT_GUARD)].concat()),
        None => Cow::Borrowed(key),
    })
}

/// Returns whether an object is a record of any store.
pub fn is_record(object: &str) -> bool {
    let below = |root: &str| object.strip_prefix(ROOT)?.strip_prefix(root);
    let of_a_store = below("permanent/").or_else(|| Some(below("expiring/")?.split_once('/')?.1));
    let mut parts = of_a_store.unwrap_or_default().splitn(3, '/');
    parts.nth(2).is_some_and(|key| key.starts_with(KEY_MARK))
}

/// Kind of a listing index entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum EntryKind {
    /// The store has a name.
    Named,
    /// It has none.
    Unnamed,
    /// It is deleted.
    Deleted,
}

impl EntryKind {
    fn as_str(self) -> &'static str {
        match self {
            Self::Named => "named",
            Self::Unnamed => "unnamed",
            Self::Deleted => "deleted",
        }
    }

    fn parse(text: &str) -> Option<Self> {
        [Self::Named, Self::Unnamed, Self::Deleted].into_iter().find(|kind| kind.as_str() == text)
    }
}

/// An entry of the listing index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IndexEntry {
    /// Creation time of the entry.
    pub at: Timestamp,
    /// Creation time of the store.
    pub created_at: Timestamp,
    /// The store.
    pub id: StoreId,
    /// Its kind.
    pub kind: EntryKind,
    /// Time at which it has surely expired, if it has no name and no later entry.
    pub expires_at: Option<Timestamp>,
    /// Search text, if short enough.
    pub search_text: Option<SearchText>,
}

/// Returns the prefix of all index entries of an owner.
pub fn index(owner: &UserId) -> String {
    format!("{ROOT}store-index/{owner}/")
}

/// Returns the start of entries created at `at` or later.
pub fn index_from(owner: &UserId, at: Timestamp) -> String {
    format!("{}{}", index(owner), sortable(at))
}

/// Returns the prefix of a store's entries that were written at its creation.
pub fn first_index_entries(owner: &UserId, created_at: Timestamp, id: &StoreId) -> String {
    format!("{}-{}-{id}-", index_from(owner, created_at), sortable(created_at))
}

/// Returns the part of an index entry's key after its owner.
pub fn index_entry_name(entry: &IndexEntry) -> String {
    let IndexEntry { at, created_at, id, kind, expires_at, search_text } = entry;
    let mut key = format!("{}-{}-{id}-{}", sortable(*at), sortable(*created_at), kind.as_str());
    if let Some(expires_at) = expires_at {
        key.extend(["-", &sortable(*expires_at)]);
    }
    if let Some(search_text) = search_text {
        key.extend([".", &search_text.encoded()]);
    }
    key
}

/// Parses an object key below `index` as an entry; `None` if it is none.
pub fn parse_index_entry(object: &str, index: &str) -> Option<IndexEntry> {
    parse_index_entry_name(object.strip_prefix(index)?)
}

/// Parses the part of an entry's key after its owner; `None` if it is none.
pub fn parse_index_entry_name(name: &str) -> Option<IndexEntry> {
    let (entry, search_text) =
        name.split_once('.').map_or((name, None), |(entry, search_text)| (entry, SearchText::decoded(search_text)));
    let mut parts = entry.split('-');
    let entry = IndexEntry {
        at: parse_sortable(parts.next()?)?,
        created_at: parse_sortable(parts.next()?)?,
        id: parts.next()?.parse().ok()?,
        kind: EntryKind::parse(parts.next()?)?,
        expires_at: match parts.next() {
            Some(digits) => Some(parse_sortable(digits)?),
            None => None,
        },
        search_text,
    };
    parts.next().is_none().then_some(entry)
}

/// Returns the prefix of all size entries of an owner.
pub fn usage_entries(owner: &UserId) -> String {
    format!("{ROOT}store-usage/{owner}/")
}

/// Returns the prefix of a store's size entries.
pub fn usage_entries_of_store(owner: &UserId, id: &StoreId) -> String {
    format!("{}{id}-", usage_entries(owner))
}

/// Returns the key of a size entry of a store. Entries of one store sort by creation time.
pub fn usage_entry(owner: &UserId, id: &StoreId, contents: &Contents) -> String {
    let Contents { records, bytes, unchanged_since, .. } = contents;
    format!("{}{id}-{}-{records}-{bytes}", usage_entries(owner), sortable(*unchanged_since))
}

/// Returns the prefix of all size entries of all owners.
pub fn all_usage_entries() -> String {
    format!("{ROOT}store-usage/")
}

/// Parses an object key below `prefix` as a size entry; `None` if it is none.
pub fn parse_usage_entry(object: &str, prefix: &str) -> Option<(StoreId, Contents)> {
    let mut parts = object.strip_prefix(prefix)?.split('-');
    let (id, since) = (parts.next()?.parse().ok()?, parse_sortable(parts.next()?)?);
    let (records, bytes) = (parse_number(parts.next()?)?, parse_number(parts.next()?)?);
    parts.next().is_none().then_some((id, Contents { records, bytes, counted_at: since, unchanged_since: since }))
}

/// The format object.
pub const FORMAT: &str = "larder/format";

/// The clock record of the installation.
pub const CLOCK: &str = "larder/clock";

/// Returns the prefix of all store documents.
pub fn documents() -> String {
    format!("{ROOT}stores/")
}

/// Returns the store of a document's key; `None` if it is none.
pub fn parse_document(object: &str) -> Option<StoreId> {
    object.strip_prefix(&documents())?.parse().ok()
}

/// Returns milliseconds since the epoch in 13 digits.
pub fn sortable(at: Timestamp) -> String {
    format!("{:013}", at.as_millis())
}

/// Parses a time of 13 digits.
pub fn parse_sortable(digits: &str) -> Option<Timestamp> {
    let is_time = digits.len() == 13 && digits.bytes().all(|byte| byte.is_ascii_digit());
    is_time.then(|| digits.parse().ok().map(Timestamp::from_millis))?
}

/// Parses a number in its canonical form.
pub fn parse_number(digits: &str) -> Option<u64> {
    digits.parse().ok().filter(|number: &u64| number.to_string() == digits)
}

/// Returns the prefix of all due items by wall time.
pub fn due_items() -> String {
    format!("{}stores-due/", root())
}

/// Returns the prefix of all due items by uptime.
pub fn uptime_due_items() -> String {
    format!("{}stores-due-by-uptime/", root())
}

/// Returns the start of due items at that uptime or later.
pub fn uptime_due_items_from(uptime: Duration) -> String {
    uptime_due_items() + &sortable(Timestamp::from_millis(0).plus(uptime))
}

/// Reason of a due item.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DueReason {
    /// The document names something that is due then.
    Scheduled,
    /// Intent: a change of the store follows, and may not have been written yet.
    Intent,
    /// The store was found expired, which is to be confirmed.
    Expired,
    /// The store was deleted, and late writes are to be purged.
    Deleted,
}

impl DueReason {
    const ALL: [Self; 4] = [Self::Scheduled, Self::Intent, Self::Expired, Self::Deleted];

    fn as_str(self) -> &'static str {
        match self {
            Self::Intent => "intent",
            Self::Scheduled => "scheduled",
            Self::Expired => "expired",
            Self::Deleted => "deleted",
        }
    }

    fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.as_str() == text)
    }
}

/// A due item, as encoded in its key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DueKey {
    /// Due time: wall time, or uptime since zero.
    pub at: Timestamp,
    /// The store.
    pub id: StoreId,
    /// The reason.
    pub reason: DueReason,
    /// Distinguishes it from others at the same time.
    pub mark: u32,
    /// Owner and creation time of a store whose document is written after it.
    pub creation: Option<(UserId, Timestamp)>,
}

/// Returns the key of a due item by wall time.
pub fn due_item(entry: &DueKey) -> String {
    let DueKey { at, id, reason, mark, creation } = entry;
    let mut key = format!("{}{}-{id}-{mark:08x}-{}", due_items(), sortable(*at), reason.as_str());
    if let Some((owner, created_at)) = creation {
        key.extend(["-", owner.as_str(), "-", &sortable(*created_at)]);
    }
    key
}

/// Returns the key of a due item by uptime, with its number of failed attempts and `since`, the wall time at which it
/// was first due.
pub fn uptime_due_item(entry: &DueKey, attempts: u32, since: Timestamp) -> String {
    let DueKey { at, id, reason, mark, .. } = entry;
    let (at, since) = (sortable(*at), sortable(since));
    format!("{}{at}-{id}-{mark:08x}-{}-{attempts}-{since}", uptime_due_items(), reason.as_str())
}

/// Parses the key of a due item by wall time; `None` if the object is none.
pub fn parse_due_item(object: &str) -> Option<DueKey> {
    let mut parts = object.strip_prefix(&due_items())?.split('-');
    let entry = parse_due(&mut parts)?;
    let creation = match parts.next() {
        Some(owner) => Some((owner.parse().ok()?, parse_sortable(parts.next()?)?)),
        None => None,
    };
    parts.next().is_none().then_some(DueKey { creation, ..entry })
}

/// Parses the key of a due item by uptime: the item, its failed attempts, and the wall time at which it was first
/// due; `None` if the object is none.
pub fn parse_uptime_due_item(object: &str) -> Option<(DueKey, u32, Timestamp)> {
    let mut parts = object.strip_prefix(&uptime_due_items())?.split('-');
    let entry = parse_due(&mut parts)?;
    let attempts = u32::try_from(parse_number(parts.next()?)?).ok()?;
    let since = parse_sortable(parts.next()?)?;
    parts.next().is_none().then_some((entry, attempts, since))
}

fn parse_due<'a>(parts: &mut impl Iterator<Item = &'a str>) -> Option<DueKey> {
    let (at, id) = (parse_sortable(parts.next()?)?, parts.next()?.parse().ok()?);
    let mark = parts.next()?;
    let is_mark = mark.len() == 8 && mark.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    let mark = u32::from_str_radix(mark, 16).ok().filter(|_| is_mark)?;
    Some(DueKey { at, id, reason: DueReason::parse(parts.next()?)?, mark, creation: None })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::SeededRandom;

    fn location(class: Option<LifecycleClass>) -> Location {
        Location { class, generation: "1".to_owned(), created_at: Timestamp::from_millis(0) }
    }

    #[test]
    fn no_record_key_is_a_path_segment_of_its_own() {
        let id = StoreId::generate(&SeededRandom::new(1));
        let location = location(LifecycleClass::ALL.first().copied());
        for text in [".", "..", "a'(b)!"] {
            let key: RecordKey = text.parse().expect("a valid key");
            let object = record(&id, &location, &key);
            assert!(object.ends_with(&format!("/k{text}")), "{object}");
            assert_eq!(record_key(&object, &records(&id, &location)).as_deref(), Some(text));
        }
    }

    #[test]
    fn nothing_but_a_record_looks_like_one() {
        let (id, key) = (StoreId::generate(&SeededRandom::new(1)), "k".repeat(256).parse().expect("a valid key"));
        for class in std::iter::once(None).chain(LifecycleClass::ALL.into_iter().map(Some)) {
            assert!(is_record(&record(&id, &location(class), &key)), "{class:?}");
            assert!(!is_record(&records(&id, &location(class))));
            assert!(!class.is_some_and(|class| is_record(&expiring_canary(class))));
        }
        for other in [permanent_canary(), canaries(), document(&id), "permanent/a/1/k".to_owned(), String::new()] {
            assert!(!is_record(&other), "{other}");
        }
    }

    #[test]
    fn long_record_keys_fit_into_segments_and_keep_their_order() {
        let (id, location) = (StoreId::generate(&SeededRandom::new(1)), location(None));
        let long = |length: usize, end: &str| "a".repeat(length - end.len()) + end;
        let keys = [
            long(249, ""),
            long(250, ""),
            long(251, "-"),
            long(251, "."),
            long(252, ".!"),
            long(252, ".."),
            long(253, "..!"),
            long(251, ""),
            long(256, "!"),
            long(256, ""),
            long(251, "z"),
            long(250, "z"),
        ];
        let objects = keys.clone().map(|key| record(&id, &location, &key.parse().expect("a valid key")));
        assert!(objects.is_sorted(), "{objects:?}");
        for (key, object) in keys.iter().zip(&objects) {
            assert!(
                object.split('/').all(|segment| segment.len() <= 255 && !matches!(segment, "." | "..")),
                "{object}"
            );
            assert_eq!(record_key(object, &records(&id, &location)).as_deref(), Some(key.as_str()));
        }
    }

    #[test]
    fn a_usage_entry_reads_back_as_it_was_written() {
        let random = SeededRandom::new(3);
        let (owner, id, since) = (UserId::generate(&random), StoreId::generate(&random), Timestamp::from_millis(7));
        let contents = Contents { records: 3, bytes: u64::MAX, counted_at: since, unchanged_since: since };
        let entry = usage_entry(&owner, &id, &contents);
        assert_eq!(parse_usage_entry(&entry, &usage_entries(&owner)), Some((id, contents)));
        assert_eq!(parse_usage_entry(&format!("{entry}-1"), &usage_entries(&owner)), None);
        for otherwise in [entry.replace("-3-", "-+3-"), entry.replace("-3-", "-03-")] {
            assert_eq!(parse_usage_entry(&otherwise, &usage_entries(&owner)), None, "{otherwise}");
        }
    }

    #[test]
    fn an_index_entry_reads_back_as_it_was_written() {
        let random = SeededRandom::new(2);
        let owner = UserId::generate(&random);
        for kind in [EntryKind::Named, EntryKind::Unnamed, EntryKind::Deleted] {
            let at = Timestamp::from_millis(1_767_225_600_000);
            let longest = format!("{}-", "a".repeat(67)).repeat(2);
            for (expires_at, search_text) in [(None, None), (Some(at), SearchText::new(None, Some(&longest[..134])))] {
                let entry =
                    IndexEntry { at, created_at: at, id: StoreId::generate(&random), kind, expires_at, search_text };
                let key = index(&owner) + &index_entry_name(&entry);
                assert!(key.rsplit('/').next().is_some_and(|segment| segment.len() <= 255), "{key}");
                assert_eq!(parse_index_entry(&key, &index(&owner)), Some(entry));
            }
        }
        assert_eq!(parse_index_entry(&format!("{}rubbish", index(&owner)), &index(&owner)), None);
        let signed = format!("{}+767225600000-1767225600000-WkzbQMuFYuamGv3YF-deleted", index(&owner));
        assert_eq!(parse_index_entry(&signed, &index(&owner)), None);
    }

    #[test]
    fn a_due_item_reads_back_as_it_was_written() {
        let random = SeededRandom::new(4);
        let (id, owner, at) = (StoreId::generate(&random), UserId::generate(&random), Timestamp::from_millis(7));
        for reason in DueReason::ALL {
            for creation in [None, Some((owner, at))] {
                let entry = DueKey { at, id, reason, mark: 0xAB, creation };
                assert_eq!(parse_due_item(&due_item(&entry)), Some(entry));
            }
            let entry = DueKey { at, id, reason, mark: 1, creation: None };
            assert_eq!(parse_uptime_due_item(&uptime_due_item(&entry, 12, at)), Some((entry, 12, at)));
        }
    }
}
