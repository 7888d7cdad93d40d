//! Records: the bytes in a store.

use std::sync::Arc;

use crate::storage::{ByteRange, ByteStream, ListedObject, Object, ObjectMeta, Precondition, PutOutcome};

use super::{coding::ContentCoding, error::Result, key::RecordKey, view::StoreView};

/// What rides beside a record's bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordAttributes {
    /// The media type, verbatim.
    pub content_type: String,
    /// The coding of the stored bytes, if any.
    pub content_coding: Option<ContentCoding>,
}

/// A question for keys. All conditions hold together.
#[derive(Debug, Clone, Default)]
pub struct KeyQuery {
    /// Only keys that begin with this.
    pub prefix: Option<String>,
    /// Only keys behind this one, which need not exist.
    pub exclusive_start_key: Option<String>,
    /// Only keys of this collection of the store's schema.
    pub collection: Option<String>,
    /// The most keys wanted, from 1 to [`MAX_LIST_KEYS`](crate::storage::MAX_LIST_KEYS).
    pub limit: usize,
}

/// A page of keys, in byte order.
#[derive(Debug, Clone, Default)]
pub struct KeyPage {
    /// The keys.
    pub keys: Vec<ListedKey>,
    /// Whether more follow.
    pub is_truncated: bool,
}

/// A key in a list.
#[derive(Debug, Clone)]
pub struct ListedKey {
    /// The key.
    pub key: String,
    /// Stored bytes.
    pub size: u64,
}

/// The records of all stores.
#[derive(Debug)]
pub struct Records;

#[expect(clippy::unused_async, missing_docs)]
impl Records {
    pub async fn put(
        &self,
        store: &Arc<StoreView>,
        key: &RecordKey,
        body: ByteStream,
        attributes: RecordAttributes,
        precondition: Precondition,
    ) -> Result<PutOutcome> {
        unimplemented!("{store:?} {key} {body:?} {attributes:?} {precondition:?}")
    }

    pub async fn get(&self, store: &StoreView, key: &RecordKey, range: Option<ByteRange>) -> Result<Object> {
        unimplemented!("{store:?} {key} {range:?}")
    }

    pub async fn head(&self, store: &StoreView, key: &RecordKey) -> Result<ObjectMeta> {
        unimplemented!("{store:?} {key}")
    }

    /// Removing an absent record succeeds.
    pub async fn delete(&self, store: &Arc<StoreView>, key: &RecordKey, precondition: Precondition) -> Result<()> {
        unimplemented!("{store:?} {key} {precondition:?}")
    }

    pub async fn list_keys(&self, store: &StoreView, query: &KeyQuery) -> Result<KeyPage> {
        unimplemented!("{store:?} {query:?} {:?}", None::<ListedObject>)
    }
}
