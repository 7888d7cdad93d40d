//! JSON documents in objects of their own: accounts, tokens, runs. Stores have a document type of their own.

use bytes::Bytes;
use serde::{Serialize, de::DeserializeOwned};

use crate::storage::{
    self, Attributes, BodyError, ByteStream, ETag, GetOptions, ListOptions, MAX_LIST_KEYS, ObjectStore, Precondition,
    PutOptions,
};

/// Maximum size of a document in bytes.
const MAX_JSON_BYTES: u64 = 256 * 1024;

/// A document could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum JsonError {
    /// The object store failed; a change may have taken effect.
    #[error(transparent)]
    Storage(#[from] storage::Error),
    /// The object does not hold the expected document.
    #[error("the object {key} is damaged")]
    Damaged {
        /// Its key.
        key: String,
        /// The parse error.
        #[source]
        cause: storage::BoxError,
    },
}

/// The result of an operation on documents.
type Result<T> = std::result::Result<T, JsonError>;

/// Reads a document; `None` if it does not exist.
pub async fn read_json<T: DeserializeOwned>(objects: &dyn ObjectStore, key: &str) -> Result<Option<(T, ETag)>> {
    let damaged = |cause: storage::BoxError| JsonError::Damaged { key: key.to_owned(), cause };
    let object = match objects.get(key, GetOptions::default()).await {
        Ok(object) => object,
        Err(storage::Error::NotFound) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let etag = object.meta.etag;
    let bytes = object.body.into_bytes(MAX_JSON_BYTES).await.map_err(|error| match error {
        BodyError::TooLarge { .. } => damaged(error.into()),
        // A response that broke off does not prove that the object is damaged.
        error => JsonError::Storage(storage::Error::Unavailable(error.into())),
    })?;
    let document = serde_json::from_slice(&bytes).map_err(|error| damaged(error.into()))?;
    Ok(Some((document, etag)))
}

/// A document that grants no right and is safe to write late: an entry that only marks existence, a due item, a time
/// for information. Only such documents may be written unconditionally. Documents that another call may delete or
/// change are written by [`create_json`] and [`replace_json`], which lose against that call.
pub trait UnconditionalWrite: Serialize + Sync {}

/// An object that marks existence only.
impl UnconditionalWrite for () {}

impl<T: UnconditionalWrite> UnconditionalWrite for Option<T> {}

/// Creates a document. Returns `false`, and writes nothing, if there is one at the key.
pub async fn create_json<T: Serialize + Sync>(objects: &dyn ObjectStore, key: &str, document: &T) -> Result<bool> {
    put_json(objects, key, document, Precondition::IfAbsent).await
}

/// Replaces the document with this ETag. Returns `false`, and writes nothing, if another one or none is at the key.
pub async fn replace_json<T: Serialize + Sync>(
    objects: &dyn ObjectStore,
    key: &str,
    document: &T,
    etag: ETag,
) -> Result<bool> {
    put_json(objects, key, document, Precondition::IfMatch(etag)).await
}

/// Writes a document unconditionally.
pub async fn put_unconditionally<T: UnconditionalWrite>(
    objects: &dyn ObjectStore,
    key: &str,
    document: &T,
) -> Result<()> {
    put_json(objects, key, document, Precondition::None).await.map(drop)
}

/// Writes a document. Returns whether the precondition held.
async fn put_json<T: Serialize + Sync>(
    objects: &dyn ObjectStore,
    key: &str,
    document: &T,
    precondition: Precondition,
) -> Result<bool> {
    let bytes = serde_json::to_vec(document)
        .map_err(|error| JsonError::Damaged { key: key.to_owned(), cause: error.into() })?;
    let attributes = Attributes { content_type: "application/json".to_owned(), content_encoding: None };
    let options = PutOptions { attributes, precondition };
    match objects.put(key, ByteStream::from(Bytes::from(bytes)), options).await {
        Ok(_) => Ok(true),
        Err(storage::Error::Precondition) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Deletes a document, if it exists.
pub async fn delete_json(objects: &dyn ObjectStore, key: &str) -> Result<()> {
    match objects.delete(key, Precondition::None).await {
        Ok(()) | Err(storage::Error::NotFound) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Returns the rest of the keys after `prefix` of all documents with that prefix, in byte order.
pub async fn list_names(objects: &dyn ObjectStore, prefix: &str) -> Result<Vec<String>> {
    let (mut names, mut start_after) = (Vec::new(), None);
    loop {
        let options = ListOptions { prefix: prefix.to_owned(), start_after, limit: MAX_LIST_KEYS };
        let page = objects.list(options).await?;
        start_after = page.objects.last().map(|object| object.key.clone()).filter(|_| page.is_truncated);
        names.extend(page.objects.iter().filter_map(|object| object.key.strip_prefix(prefix)).map(str::to_owned));
        if start_after.is_none() {
            return Ok(names);
        }
    }
}
