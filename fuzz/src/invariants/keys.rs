//! Invariants of record keys, ids, names and the keys of objects.

use std::str::FromStr;

use larder::{
    clock::Timestamp,
    kv::{
        ActorId, KeyQuery, LifecycleClass, Location, MAX_KEY_LENGTH, RecordKey, RunId, StoreId, StoreName, TokenId,
        UserId,
        internals::{KeyRange, SearchText, object_keys},
    },
};

use super::round_trip::verbatim;

/// A placeholder id.
const ID: &str = "WkzbQMuFYuamGv3YF";

/// Maximum bytes of a path segment in object stores on top of a file system.
const LONGEST_SEGMENT: usize = 255;

/// Checks that the object key of a record contains the record key, in segments that every file system accepts, and in
/// order.
pub fn record_key(bytes: &[u8]) {
    let Some((one, other)) = pair::<RecordKey>(bytes) else { return };
    let id = id();
    for class in std::iter::once(None).chain(LifecycleClass::ALL.into_iter().map(Some)) {
        let location = location(class);
        let records = object_keys::records(&id, &location);
        let objects = [&one, &other].map(|key| object_keys::record(&id, &location, key));
        for (key, object) in [&one, &other].into_iter().zip(&objects) {
            assert!((1..=MAX_KEY_LENGTH).contains(&key.as_str().len()));
            assert_eq!(object_keys::record_key(object, &records).as_deref(), Some(key.as_str()));
            assert!(object_keys::is_record(object));
            assert!(object.split('/').all(|segment| !matches!(segment, "" | "." | "..")), "{object}");
            assert!(object.split('/').all(|segment| segment.len() <= LONGEST_SEGMENT), "{object}");
            for end in 0..=key.as_str().len() {
                assert!(
                    object.starts_with(&object_keys::record_prefix(&id, &location, &key.as_str()[..end])),
                    "{object} {end}"
                );
            }
        }
        assert_eq!(objects[0].cmp(&objects[1]), one.cmp(&other));
    }
}

/// Checks that a key query selects the keys that match by bytes: with a prefix, after a start. Three lines: both, and
/// a key.
pub fn key_range(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let mut lines = text.splitn(3, '\n');
    let (Some(key), Some(prefix)) = (lines.next().and_then(|key| key.parse::<RecordKey>().ok()), lines.next()) else {
        return;
    };
    let start = lines.next().map(str::to_owned);
    let query = KeyQuery { prefix: Some(prefix.to_owned()), exclusive_start_key: start.clone(), ..KeyQuery::default() };
    let is_meant = key.as_str().starts_with(prefix)
        && start.is_none_or(|start| start.is_empty() || key.as_str().as_bytes() > start.as_bytes());
    let (id, location) = (id(), location(None));
    let object = object_keys::record(&id, &location, &key);
    let is_listed = match KeyRange::from_query(&query, None).expect("no collection is asked for") {
        KeyRange::Empty => false,
        KeyRange::Keys { prefix, after, only } => {
            let of = |text: &str| object_keys::record_prefix(&id, &location, text);
            let after = after.map(|after| object_keys::record_start(&id, &location, &after));
            // Requirement of object stores on a start.
            assert!(after.as_deref().is_none_or(|after| after.starts_with(&of(&prefix))), "{prefix:?} {after:?}");
            let is_behind = after.is_none_or(|after| object > after);
            object.starts_with(&of(&prefix)) && is_behind && (!only || key.as_str() == prefix)
        }
    };
    assert_eq!(is_listed, is_meant, "{text:?}");
}

/// Checks that ids and names format to the text they were parsed from.
pub fn names(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    verbatim::<StoreId>(text);
    verbatim::<UserId>(text);
    verbatim::<TokenId>(text);
    verbatim::<RunId>(text);
    verbatim::<ActorId>(text);
    verbatim::<RecordKey>(text);
    verbatim::<StoreName>(text);
    if let Ok(name) = text.parse::<StoreName>() {
        assert!(name.folded().parse::<StoreName>().is_ok_and(|folded| folded == name));
        // It becomes a path segment.
        assert!(!text.contains(['/', '.', '%']) && !text.is_empty());
    }
}

/// Checks that a parsed object key is the key that would be written for the result.
pub fn layout(bytes: &[u8]) {
    let Ok(object) = std::str::from_utf8(bytes) else { return };
    let owner: UserId = ID.parse().expect("an id");
    if let Some(entry) = object_keys::parse_index_entry(object, &object_keys::index(&owner)) {
        let written = object_keys::index(&owner) + &object_keys::index_entry_name(&entry);
        // An unreadable label is equivalent to none.
        assert!(written == object || entry.search_text.is_none() && object.starts_with(&written), "{object}");
        assert_eq!(object_keys::parse_index_entry(&written, &object_keys::index(&owner)), Some(entry));
    }
    if let Some((id, contents)) = object_keys::parse_usage_entry(object, &object_keys::usage_entries(&owner)) {
        assert_eq!(object_keys::usage_entry(&owner, &id, &contents), object);
    }
    if let Some(entry) = object_keys::parse_due_item(object) {
        assert_eq!(object_keys::due_item(&entry), object);
    }
    if let Some((entry, attempts, since)) = object_keys::parse_uptime_due_item(object) {
        assert_eq!(object_keys::uptime_due_item(&entry, attempts, since), object);
    }
    if let Some(id) = object_keys::parse_document(object) {
        assert_eq!(object_keys::document(&id), object);
    }
    if let Some(search_text) = SearchText::decoded(object) {
        assert_eq!(search_text.encoded(), object);
    }
    let _ = (
        object_keys::is_record(object),
        object_keys::record_key(object, &object_keys::records(&id(), &location(None))),
    );
}

/// Parses two lines, each a `T`.
fn pair<T: FromStr>(bytes: &[u8]) -> Option<(T, T)> {
    let text = std::str::from_utf8(bytes).ok()?;
    let (one, other) = text.split_once('\n').unwrap_or((text, text));
    Some((one.parse().ok()?, other.parse().ok()?))
}

fn id() -> StoreId {
    ID.parse().expect("an id")
}

fn location(class: Option<LifecycleClass>) -> Location {
    Location { class, generation: "1".to_owned(), created_at: Timestamp::from_millis(0) }
}
