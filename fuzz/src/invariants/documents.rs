//! Invariants of store documents, claims of names and schemas.

use std::sync::Arc;

use bytes::Bytes;
use larder::{
    clock::Timestamp,
    kv::{
        CollectionKeys, Document, Error, RecordKey, Schema,
        internals::{JsonValidator, StoredClaim},
    },
    storage::MemoryBudget,
};
use serde_json::Value;

use super::round_trip::json;

/// Checks that a store document survives a round trip, and that its methods accept it. A claim, likewise.
pub fn document(bytes: &[u8]) {
    json::<Document>(bytes);
    json::<StoredClaim>(bytes);
    let Ok(document) = serde_json::from_slice::<Document>(bytes) else { return };
    for now in [i64::MIN, 0, i64::MAX].map(Timestamp::from_millis) {
        assert!(!document.is_visible(now) || document.exists());
        assert!(!(document.name.is_some() && document.has_expired(now)), "a named store never expires");
    }
    assert!(document.relocation().is_none() || document.exists());
}

/// Checks that a valid schema survives a round trip, and that its collections have keys. Two JSON values: a schema,
/// and a record to validate.
pub fn schema(bytes: &[u8]) {
    let mut values = serde_json::Deserializer::from_slice(bytes).into_iter::<Value>();
    let Some(Ok(value)) = values.next() else { return };
    let record = bytes.get(values.byte_offset()..).unwrap_or_default();
    let text = value.to_string();
    // As read from a stored document: always accepted.
    let stored: Schema = serde_json::from_str(&text).expect("a stored schema can be read");
    assert_eq!(serde_json::to_string(&stored).expect("and written"), text);
    let Ok(schema) = Schema::parse(value.clone()) else { return };
    assert_eq!(schema.as_value(), &value);
    let ids = value["collections"].as_object().expect("it has collections").keys();
    let mut validators = Vec::new();
    for keys in ids.map(|id| schema.collection(id).expect("it is a collection")) {
        let (CollectionKeys::Key(text) | CollectionKeys::Prefix(text)) = keys;
        let key: RecordKey = text.parse().expect("a key, or the beginning of one");
        for collection in schema.collections_of(&key) {
            let validator = collection.validator().map(|validator| validator.expect("it was made before"));
            validators.extend(validator);
        }
    }
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let checked = runtime.block_on(JsonValidator::check(
        validators,
        Bytes::copy_from_slice(record),
        &Arc::new(MemoryBudget::default()).lease(),
        u64::MAX,
    ));
    assert!(matches!(checked, Ok(()) | Err(Error::SchemaViolation(_))), "{checked:?}");
}
