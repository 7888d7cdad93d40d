//! Records: the bytes in a store. One object each, and one object call for each operation.

use std::sync::Arc;

use crate::{
    clock::Clock,
    storage::{
        self, Attributes, ByteRange, ByteStream, GetOptions, Object, ObjectMeta, ObjectStore, Precondition, PutOptions,
        PutOutcome,
    },
};

use super::{
    activity::{Activity, Use},
    cache::Known,
    documents::Documents,
    error::{Error, Result},
    key::RecordKey,
    key_range::{KeyPage, KeyQuery, KeyRange, ListedKey},
    layout,
    record_attributes::RecordAttributes,
    view::StoreView,
};

/// The records of all stores.
#[derive(Debug)]
pub struct Records {
    objects: Arc<dyn ObjectStore>,
    clock: Arc<dyn Clock>,
    documents: Arc<Documents>,
    activity: Arc<Activity>,
}

impl Records {
    /// The records in `objects`.
    pub(super) fn new(
        objects: Arc<dyn ObjectStore>,
        clock: Arc<dyn Clock>,
        documents: Arc<Documents>,
        activity: Arc<Activity>,
    ) -> Self {
        Self { objects, clock, documents, activity }
    }

    /// Writes a record, in place of the one that is there.
    pub async fn put(
        &self,
        store: &StoreView,
        key: &RecordKey,
        body: ByteStream,
        attributes: RecordAttributes,
        precondition: Precondition,
    ) -> Result<PutOutcome> {
        let body = match &store.document.schema {
            Some(schema) => schema.admit(key, &attributes, body).await?,
            None => body,
        };
        let RecordAttributes { content_type, content_coding } = attributes;
        let content_encoding = content_coding.map(|coding| coding.as_str().to_owned());
        let options = PutOptions { attributes: Attributes { content_type, content_encoding }, precondition };
        let outcome = self.objects.put(&object_key(store, key), body, options).await?;
        self.confirm(store).await?;
        self.activity.count(store.document.id, Use::Wrote);
        Ok(outcome)
    }

    /// A record, its stored bytes still to be read.
    pub async fn get(&self, store: &StoreView, key: &RecordKey, range: Option<ByteRange>) -> Result<Object> {
        let object = self.objects.get(&object_key(store, key), GetOptions { range }).await?;
        self.activity.count(store.document.id, Use::Read);
        Ok(object)
    }

    /// What [`Records::get`] says of a record, without its bytes.
    pub async fn head(&self, store: &StoreView, key: &RecordKey) -> Result<ObjectMeta> {
        let meta = self.objects.head(&object_key(store, key)).await?;
        self.activity.count(store.document.id, Use::Read);
        Ok(meta)
    }

    /// Removes a record, if there is one.
    pub async fn delete(&self, store: &StoreView, key: &RecordKey, precondition: Precondition) -> Result<()> {
        self.objects.delete(&object_key(store, key), precondition).await?;
        self.confirm(store).await?;
        self.activity.count(store.document.id, Use::Deleted);
        Ok(())
    }

    /// A page of a store's keys: one list.
    pub async fn list_keys(&self, store: &StoreView, query: &KeyQuery) -> Result<KeyPage> {
        let document = &store.document;
        let page = match KeyRange::of(query, document.schema.as_ref())? {
            KeyRange::Empty => KeyPage::default(),
            KeyRange::Keys { prefix, after, only } => {
                let records = layout::records(&document.id, &document.place);
                let object = |text: &str| layout::record_prefix(&document.id, &document.place, text);
                let options = storage::ListOptions {
                    prefix: object(&prefix),
                    start_after: after.as_deref().map(object),
                    limit: if only { 1 } else { query.limit },
                };
                let listed = self.objects.list(options).await?;
                let keys = listed.objects.into_iter().filter_map(|object| {
                    let key = layout::record_key(&object.key, &records)?.into_owned();
                    (!only || key == prefix).then_some(ListedKey { key, size: object.size })
                });
                KeyPage { keys: keys.collect(), is_truncated: listed.is_truncated && !only }
            }
        };
        self.activity.count(document.id, Use::Listed);
        Ok(page)
    }

    /// Whether a change that has just been made under `store` counts: only if the store is still where it was.
    ///
    /// ```text
    /// A  reads where the store is; PUT 2 GB begins        B  deletes the store, removes its records
    ///    the object store says 200                           (or moves it elsewhere)
    ///    answered 201, the record would be lost
    /// ```
    ///
    /// Costs nothing unless the change took longer than a view may be old.
    async fn confirm(&self, store: &StoreView) -> Result<()> {
        let cache = self.documents.cache();
        let id = store.document.id;
        let now = self.clock.monotonic();
        let latest = match cache.staleness() {
            Some(bound) if now.saturating_sub(store.read_at) < bound => return Ok(()),
            Some(_) => self.documents.read(id).await?,
            None => match cache.store(&id, now) {
                Some(Known::Store(view)) => Some(view),
                Some(Known::Absent { .. } | Known::Outdated { .. }) | None => self.documents.read(id).await?,
            },
        };
        let latest = latest.filter(|view| view.document.is_visible()).ok_or(Error::StoreNotFound)?;
        if latest.document.place == store.document.place {
            Ok(())
        } else {
            Err(Error::unavailable(format!("store {id} moved while one of its records was written")))
        }
    }
}

fn object_key(store: &StoreView, key: &RecordKey) -> String {
    layout::record(&store.document.id, &store.document.place, key)
}
