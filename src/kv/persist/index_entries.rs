//! Durable entries of the listing index.
//!
//! An entry is one object with all data in its key; the last entry of a store counts. The store document names its
//! entries before they are written ([`append`]), so they are deleted together with it. The reconciler visits a store
//! after a change and rewrites its last entry ([`publish`]). So no crash orphans an entry, or leaves a store without
//! one. The entry of an unnamed store holds a time at which it has surely expired; a later expiry is recorded before
//! the earlier one is reached. So lists omit expired stores without reading documents.

use std::time::Duration;

use crate::{
    clock::Timestamp,
    kv::model::{errors::Result, ids::UserId, retention::Retention, search_text::SearchText},
    storage::{ObjectStore, Precondition},
};

use super::{
    object_keys::{self, EntryKind, IndexEntry},
    repository::put_metadata,
    store_metadata::{Document, Phase},
};

/// Maximum lag of an entry's expiry behind the store's; it limits how often a store in use writes an entry.
const MAX_EXPIRY_LAG: Duration = Duration::from_mins(5);

/// Adds to a document that is about to be written the entry that will list its store, unless the last entry is
/// equal. Returns the entry's name, to be published once the document is written.
pub fn append(document: &mut Document, now: Timestamp) -> Option<String> {
    let (kind, search_text, expires_at) = listing(document)?;
    let last = document.index_entries.last().and_then(|name| object_keys::parse_index_entry_name(name));
    let expiry_lag = expiry_lag(document.retention);
    let is_current = last.as_ref().is_some_and(|last| {
        let is_expiry_current = match (last.expires_at, expires_at) {
            (Some(listed), Some(expires_at)) => listed >= expires_at && listed.since(expires_at) <= expiry_lag,
            (listed, expires_at) => listed == expires_at,
        };
        last.kind == kind && last.search_text == search_text && is_expiry_current
    });
    if is_current {
        return None;
    }
    let at = last.map_or(now, |last| now.max(last.at.plus(Duration::from_millis(1))));
    let expires_at = expires_at.map(|expires_at| expires_at.plus(expiry_lag));
    let entry = IndexEntry { at, created_at: document.created_at, id: document.id, kind, expires_at, search_text };
    let name = object_keys::index_entry_name(&entry);
    document.index_entries.push(name.clone());
    Some(name)
}

/// Writes an entry that its store document names. Idempotent.
pub async fn publish(objects: &dyn ObjectStore, owner: &UserId, name: &str) -> Result<()> {
    let key = object_keys::index(owner) + name;
    put_metadata(objects, &key, Vec::new(), Precondition::None).await?;
    Ok(())
}

/// Deletes entries that a document named.
pub async fn retract(objects: &dyn ObjectStore, owner: &UserId, names: &[String]) -> Result<()> {
    let keys = names.iter().map(|name| object_keys::index(owner) + name).collect();
    Ok(objects.delete_many(keys).await?)
}

/// Returns the kind, search text and expiry to list for a store; `None` to leave its listing unchanged.
pub fn listing(document: &Document) -> Option<(EntryKind, Option<SearchText>, Option<Timestamp>)> {
    let search_text = |name| SearchText::new(name, document.title.as_deref());
    match (&document.phase, &document.name) {
        // Its expiry, once known, already removes it from lists.
        (Phase::Deleted { at, .. }, _) if document.has_expired(*at) => None,
        (Phase::Deleted { .. }, _) => Some((EntryKind::Deleted, None, None)),
        (Phase::Creating, _) => Some((EntryKind::Named, search_text(document.pending_name.as_ref()), None)),
        (_, Some(name)) => Some((EntryKind::Named, search_text(Some(name)), None)),
        (_, None) => Some((EntryKind::Unnamed, search_text(None), document.expires_at)),
    }
}

/// Returns the maximum lag of an entry's expiry behind the store's.
fn expiry_lag(retention: Retention) -> Duration {
    (retention.duration() / 10).min(MAX_EXPIRY_LAG)
}
