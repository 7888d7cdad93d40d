//! Import from another server: the platform, Larder, or any other server with their API. References to its stores.

use crate::kv::{RecordKey, StoreId};

use super::{
    api::{Api, KeyPage, StoreObject},
    error::{Error, Finding, Result},
    record::{RawKey, Record},
    source::{Contents, Size, Source, SourceEntries, SourceEntry, SourceRecord, SourceStore},
};

/// Stores of another server.
#[derive(Debug)]
pub struct Remote {
    api: Api,
    /// Requested stores; empty for all.
    selected: Vec<String>,
    with_unnamed: bool,
}

impl Remote {
    /// Returns the stores of the caller of `api`: the requested ones, by name, `user~name` or id, else all; with
    /// `with_unnamed` also those without names.
    pub fn new(api: Api, selected: Vec<String>, with_unnamed: bool) -> Self {
        Self { api, selected, with_unnamed }
    }

    fn place(&self, store: &str) -> String {
        format!("{}, store {store}", self.api.origin())
    }

    /// Finds a store by its reference.
    fn find(&self, store: &str) -> Result<StoreObject> {
        for address in store_addresses(store) {
            if let Some(found) = self.api.store(&address)? {
                return Ok(found);
            }
        }
        Err(Error::Invalid(store_not_found(store)))
    }

    /// Reads the settings of a store, and counts its records by its list of keys.
    fn examine(&self, store: &str, contents: &mut Contents) -> Result<SourceStore> {
        // A list of stores need not show every setting of a store.
        let StoreObject { id, manifest } = self.find(store)?;
        let mut store = SourceStore { place: self.place(&id), id, manifest, size: Size::default() };
        for entry in self.records(&store, None)? {
            match entry? {
                SourceEntry::Record(record) => store.size.add(record.size),
                SourceEntry::LeftOut(finding) => contents.report.leave_out(finding),
            }
        }
        Ok(store)
    }
}

impl Source for Remote {
    fn identity(&self) -> String {
        self.api.origin().to_owned()
    }

    fn contents(&self) -> Result<Contents> {
        let mut contents = Contents::default();
        let stores = if self.selected.is_empty() {
            self.api.stores(self.with_unnamed)?.into_iter().map(|store| store.id).collect()
        } else {
            self.selected.clone()
        };
        for store in stores {
            match self.examine(&store, &mut contents) {
                Ok(found) => contents.stores.push(found),
                Err(error) if error.is_fatal() => return Err(error),
                Err(error) => contents.report.leave_out(Finding::from_error(self.place(&store), &error)),
            }
        }
        Ok(contents)
    }

    fn records<'a>(&'a self, store: &SourceStore, after: Option<&RecordKey>) -> Result<SourceEntries<'a>> {
        let keys = KeyIterator {
            api: &self.api,
            store: store.id.clone(),
            place: store.place.clone(),
            page: Vec::new().into_iter(),
            after: after.map(RecordKey::to_string),
            is_finished: false,
        };
        Ok(Box::new(keys))
    }

    fn open(&self, store: &SourceStore, record: &SourceRecord) -> Result<Option<Record>> {
        self.api.record(&store.id, &record.key)
    }

    fn place_of(&self, store: &SourceStore, record: &SourceRecord) -> String {
        format!("{}, key {}", store.place, record.key)
    }

    fn check_reachable(&self, store: &SourceStore) -> Result<()> {
        self.api.check_reachable(&store.id)
    }
}

/// Iterator over the keys of a store, page by page.
struct KeyIterator<'a> {
    api: &'a Api,
    store: String,
    place: String,
    page: std::vec::IntoIter<super::api::ListedKey>,
    /// The key after which the next page begins; `None` at the beginning.
    after: Option<String>,
    /// True if no further page is to be read.
    is_finished: bool,
}

impl Iterator for KeyIterator<'_> {
    type Item = Result<SourceEntry>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(listed) = self.page.next() {
                return Some(Ok(match listed.key {
                    RawKey::Valid(key) => SourceEntry::Record(SourceRecord {
                        key,
                        size: listed.size,
                        file: None,
                        attributes: None,
                        sha256: None,
                    }),
                    RawKey::Invalid(invalid) => {
                        let place = format!("{}, key {}", self.place, invalid.text);
                        SourceEntry::LeftOut(Finding::new(place, invalid.reason))
                    }
                }));
            }
            if self.is_finished {
                return None;
            }
            match self.api.keys(&self.store, self.after.as_deref()) {
                Ok(KeyPage { items, next_exclusive_start_key }) => {
                    self.page = items.into_iter();
                    // A list that continues where it began would have no end.
                    self.is_finished = next_exclusive_start_key.is_none() || next_exclusive_start_key == self.after;
                    self.after = next_exclusive_start_key;
                }
                Err(error) => {
                    self.is_finished = true;
                    return Some(Err(error));
                }
            }
        }
    }
}

/// Returns the possible addresses of the store that `text` refers to, in the order of the attempts. An id has 17
/// letters and digits, and so may a name: such a text is tried as an id first. With `~` it is always a name.
pub fn store_addresses(text: &str) -> Vec<String> {
    let (as_written, as_name) = (text.to_owned(), format!("~{text}"));
    if text.contains(['~', '/']) {
        vec![as_written]
    } else if text.parse::<StoreId>().is_ok() {
        vec![as_written, as_name]
    } else {
        vec![as_name]
    }
}

/// Describes the missing store, for an error: `no store has the name "pantry"`.
pub fn store_not_found(text: &str) -> String {
    match text.split_once('~') {
        Some(("", name)) => format!("no store has the name {name:?}"),
        Some((user, name)) => format!("user {user:?} has no store with the name {name:?} that this token opens"),
        None if text.parse::<StoreId>().is_ok() => format!("no store has the id or the name {text:?}"),
        None => format!("no store has the name {text:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_a_name_and_what_looks_like_an_id_is_tried_as_one_first() {
        assert_eq!(store_addresses("pantry"), ["~pantry"]);
        assert_eq!(store_addresses("~pantry"), ["~pantry"]);
        assert_eq!(store_addresses("baker~pantry"), ["baker~pantry"]);
        assert_eq!(store_addresses("A2345678901234567"), ["A2345678901234567", "~A2345678901234567"]);
        assert_eq!(store_addresses("~A2345678901234567"), ["~A2345678901234567"]);
        assert_eq!(store_addresses("A234567890123456-"), ["~A234567890123456-"]);
    }

    #[test]
    fn an_error_says_what_was_looked_for() {
        for (text, said) in [
            ("pantry", "no store has the name \"pantry\""),
            ("~pantry", "no store has the name \"pantry\""),
            ("baker~pantry", "user \"baker\" has no store with the name \"pantry\" that this token opens"),
            ("A2345678901234567", "no store has the id or the name \"A2345678901234567\""),
        ] {
            assert_eq!(store_not_found(text), said);
        }
    }
}
