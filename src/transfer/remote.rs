//! Stores of another server: the platform, Larder, or whatever speaks their API.

use crate::kv::RecordKey;

use super::{
    api::{Api, KeyPage, StoreObject},
    error::{Error, Result},
    record::{Record, WrittenKey},
    source::{Source, SourceEntries, SourceEntry, SourceRecord, SourceStore},
};

/// Stores of another server.
#[derive(Debug)]
pub struct Remote {
    api: Api,
    /// Those that are wanted; all if none is named.
    wanted: Vec<String>,
    with_unnamed: bool,
}

impl Remote {
    /// The stores of whoever asks by `api`: those that are named, by id, `~name` or `user~name`, else all; without names, too,
    /// if they are wanted.
    pub fn new(api: Api, wanted: Vec<String>, with_unnamed: bool) -> Self {
        Self { api, wanted, with_unnamed }
    }
}

impl Source for Remote {
    fn identity(&self) -> String {
        self.api.origin().to_owned()
    }

    fn stores(&self) -> Result<Vec<SourceStore>> {
        let find = |store: &String| {
            let found = self.api.store(store)?;
            found.ok_or_else(|| Error::Unusable(format!("there is no store {store} at {}", self.api.origin())))
        };
        let stores = if self.wanted.is_empty() {
            self.api.stores(self.with_unnamed)?
        } else {
            self.wanted.iter().map(find).collect::<Result<Vec<_>>>()?
        };
        // A list need not show everything of a store.
        let whole = |store: StoreObject| Ok(self.api.store(&store.id)?.unwrap_or(store));
        let stores = stores.into_iter().map(whole).collect::<Result<Vec<StoreObject>>>()?;
        Ok(stores.into_iter().map(|StoreObject { id, sheet }| SourceStore { id, sheet, records: None }).collect())
    }

    fn records<'a>(&'a self, store: &SourceStore, after: Option<&RecordKey>) -> Result<SourceEntries<'a>> {
        let listed = Listed {
            api: &self.api,
            store: store.id.clone(),
            page: Vec::new().into_iter(),
            after: after.map(RecordKey::to_string),
            is_over: false,
        };
        Ok(Box::new(listed))
    }

    fn open(&self, store: &SourceStore, record: &SourceRecord) -> Result<Option<Record>> {
        self.api.record(&store.id, &record.key)
    }
}

/// The keys of a store, page by page.
struct Listed<'a> {
    api: &'a Api,
    store: String,
    page: std::vec::IntoIter<super::api::ListedKey>,
    /// Behind which key the next page begins; at the beginning without one.
    after: Option<String>,
    /// Whether there is no next page.
    is_over: bool,
}

impl Iterator for Listed<'_> {
    type Item = Result<SourceEntry>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(listed) = self.page.next() {
                return Some(Ok(match listed.key {
                    WrittenKey::Valid(key) => SourceEntry::Record(SourceRecord {
                        key,
                        size: listed.size,
                        file: None,
                        attributes: None,
                        sha256: None,
                    }),
                    WrittenKey::Invalid(left_out) => SourceEntry::LeftOut(left_out),
                }));
            }
            if self.is_over {
                return None;
            }
            match self.api.keys(&self.store, self.after.as_deref()) {
                Ok(KeyPage { items, next_exclusive_start_key }) => {
                    self.page = items.into_iter();
                    self.is_over = next_exclusive_start_key.is_none();
                    self.after = next_exclusive_start_key;
                }
                Err(error) => {
                    self.is_over = true;
                    return Some(Err(error));
                }
            }
        }
    }
}
