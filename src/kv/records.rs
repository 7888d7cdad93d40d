//! Records: the bytes in a store. One object each, and one object call for each operation.
//!
//! A change is made where the store's records are as far as this gateway knows, and counts only if they were still there when
//! the object store answered:
//!
//! ```text
//! A  reads where the store is; PUT 2 GB begins        B  deletes the store, removes its records
//!    the object store says 200                           (or moves it elsewhere)
//!    answered 201, the record would be lost
//! ```

use std::{sync::Arc, time::Duration};

use crate::{
    clock::Clock,
    storage::{
        self, Attributes, ByteRange, ByteStream, GetOptions, MemoryBudget, Object, ObjectMeta, ObjectStore,
        Precondition, PutOptions, PutOutcome,
    },
};

use super::{
    activity::{Activity, Use},
    cache::Known,
    document::Document,
    documents::Documents,
    error::{Error, Result},
    id::StoreId,
    key::RecordKey,
    key_range::{KeyPage, KeyQuery, KeyRange, ListedKey},
    layout,
    life::LifeRules,
    record_attributes::RecordAttributes,
    renewals::Renewals,
    view::StoreView,
};

/// How long a change waits for records that are just arriving in another place.
const LONGEST_WAIT: Duration = Duration::from_secs(20);

/// How often a change that waits looks whether it may go on.
const POLL: Duration = Duration::from_millis(100);

/// The records of all stores.
#[derive(Debug)]
pub struct Records {
    objects: Arc<dyn ObjectStore>,
    clock: Arc<dyn Clock>,
    documents: Arc<Documents>,
    activity: Arc<Activity>,
    renewals: Renewals,
    rules: Arc<LifeRules>,
    memory: Arc<MemoryBudget>,
}

impl Records {
    /// The records in `objects`.
    pub(super) fn new(
        objects: Arc<dyn ObjectStore>,
        clock: Arc<dyn Clock>,
        documents: Arc<Documents>,
        activity: Arc<Activity>,
        renewals: Renewals,
        rules: Arc<LifeRules>,
    ) -> Self {
        Self { objects, clock, documents, activity, renewals, rules, memory: Arc::default() }
    }

    /// The same records; what has to be in memory of them as a whole is held in `memory`.
    #[must_use]
    pub fn held_in(self, memory: Arc<MemoryBudget>) -> Self {
        Self { memory, ..self }
    }

    /// Writes a record, in place of the one that is there; not under a key that is reserved in the store.
    pub async fn put(
        &self,
        store: &StoreView,
        key: &RecordKey,
        body: ByteStream,
        attributes: RecordAttributes,
        precondition: Precondition,
    ) -> Result<PutOutcome> {
        if key.is_reserved_in(&store.document.id) {
            return Err(Error::ReservedKey);
        }
        let body = match &store.document.schema {
            Some(schema) => schema.admit(key, &attributes, body, &self.memory).await?,
            None => body,
        };
        let RecordAttributes { content_type, content_coding } = attributes;
        let content_encoding = content_coding.map(|coding| coding.as_str().to_owned());
        let options = PutOptions { attributes: Attributes { content_type, content_encoding }, precondition };
        let opened = self.opened(store).await?;
        let store = opened.as_deref().unwrap_or(store);
        let change = async {
            let outcome = self.objects.put(&object_key(store, key), body, options).await?;
            if let Some(view) = self.confirm(store).await? {
                let carried = self.objects.head(&object_key(&view, key)).await;
                carried_along(&view, matches!(carried, Ok(meta) if meta.etag == outcome.etag))?;
            }
            Ok(outcome)
        };
        let outcome = self.renewals.during(store, change).await?;
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
        let opened = self.opened(store).await?;
        let store = opened.as_deref().unwrap_or(store);
        let change = async {
            self.objects.delete(&object_key(store, key), precondition).await?;
            if let Some(view) = self.confirm(store).await? {
                let carried = self.objects.head(&object_key(&view, key)).await;
                carried_along(&view, matches!(carried, Err(storage::Error::NotFound)))?;
            }
            Ok(())
        };
        self.renewals.during(store, change).await?;
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
                    start_after: after.as_deref().map(|key| layout::record_start(&document.id, &document.place, key)),
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

    /// The store as it takes changes now: at once, unless its records are just arriving in another place; then that is waited
    /// for. `None` when that is what `store` says already.
    async fn opened(&self, store: &StoreView) -> Result<Option<Arc<StoreView>>> {
        if self.takes_writes(&store.document) {
            return Ok(None);
        }
        self.settled(store.document.id).await.map(Some)
    }

    /// The store, read afresh until it takes changes.
    async fn settled(&self, id: StoreId) -> Result<Arc<StoreView>> {
        let began = self.clock.monotonic();
        loop {
            let view = self.documents.read(id).await?.filter(|view| view.document.is_visible(self.clock.now()));
            let view = view.ok_or(Error::StoreNotFound)?;
            if self.takes_writes(&view.document) {
                return Ok(view);
            }
            if self.clock.monotonic().saturating_sub(began) >= LONGEST_WAIT {
                return Err(Error::unavailable(format!("the records of store {id} are being moved")));
            }
            self.clock.sleep(POLL).await;
        }
    }

    fn takes_writes(&self, document: &Document) -> bool {
        document.takes_writes()
            || !self.rules.safeguards.freezes_until_written
                && document.movement().is_some_and(|movement| self.clock.now().since(movement.beat) > LONGEST_WAIT)
    }

    /// Whether a change that has just been made under `store` counts where it was made; else where the records are now.
    /// Costs nothing unless the change took longer than a view may be old.
    async fn confirm(&self, store: &StoreView) -> Result<Option<Arc<StoreView>>> {
        if !self.rules.safeguards.confirms_late_changes {
            return Ok(None);
        }
        let (cache, id, now) = (self.documents.cache(), store.document.id, self.clock.monotonic());
        let latest = match cache.is_young(store, now) {
            Some(true) => return Ok(None),
            Some(false) => self.documents.read(id).await?,
            None => match cache.store(&id, now) {
                Some(Known::Store(view)) if view.document.is_visible(self.clock.now()) => Some(view),
                Some(_) | None => self.documents.read(id).await?,
            },
        };
        let latest = latest.filter(|view| view.document.is_visible(self.clock.now())).ok_or(Error::StoreNotFound)?;
        let latest = if self.takes_writes(&latest.document) { latest } else { self.settled(id).await? };
        Ok((latest.document.place != store.document.place).then_some(latest))
    }
}

/// What becomes of a change that was made in a place which its store has left: it counts if it went along. Else it is not
/// known whether it came too late to be copied, or did go along and has been overwritten since; to make it again would then
/// undo what came after it.
fn carried_along(store: &StoreView, is_there: bool) -> Result<()> {
    let id = store.document.id;
    is_there
        .then_some(())
        .ok_or_else(|| Error::unavailable(format!("store {id} moved while one of its records was changed")))
}

fn object_key(store: &StoreView, key: &RecordKey) -> String {
    layout::record(&store.document.id, &store.document.place, key)
}
