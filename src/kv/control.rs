//! Writing control objects: documents, claims, index entries.

use bytes::Bytes;

use crate::storage::{self, Attributes, ByteStream, ObjectStore, Precondition, PutOptions, PutOutcome};

/// Writes a control object: a document, a claim, an index entry.
pub async fn put_control(
    objects: &dyn ObjectStore,
    key: &str,
    bytes: Vec<u8>,
    precondition: Precondition,
) -> storage::Result<PutOutcome> {
    let attributes = Attributes { content_type: "application/json".to_owned(), content_encoding: None };
    objects.put(key, ByteStream::from(Bytes::from(bytes)), PutOptions { attributes, precondition }).await
}
