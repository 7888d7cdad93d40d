//! Store schemas, and parsing them.

use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::storage::{BodyError, ByteStream, Lease, MemoryBudget};

use super::{
    bounded_json::JsonValidator,
    encodings::RecordAttributes,
    errors::{Error, Result},
    names::RecordKey,
};

/// Maximum size of a schema in bytes: it is part of the store document, which is read and written often.
const MAX_SCHEMA_BYTES: usize = 256 * 1024;

/// Maximum number of collections of a schema: each write checks all of them.
const MAX_COLLECTIONS: usize = 256;

/// The schema of a store. Cheap to clone.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(from = "Value", into = "Value")]
pub struct Schema(Arc<Definition>);

#[derive(Debug)]
struct Definition {
    /// The original value, verbatim.
    value: Value,
    collections: Vec<Collection>,
}

/// A collection of records.
#[derive(Debug)]
pub struct Collection {
    id: String,
    keys: CollectionKeys,
    /// Media types in lower case without parameters; `None` if any is allowed.
    content_types: Option<Vec<String>>,
    json_schema: Option<Value>,
    /// Compiled on first use: most reads of a document need none.
    validator: OnceLock<Result<Arc<JsonValidator>, String>>,
}

/// The keys of a collection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CollectionKeys {
    /// One key.
    Key(String),
    /// All keys with this prefix.
    Prefix(String),
}

impl Schema {
    /// Parses a schema for a store, including its JSON Schemas.
    pub fn parse(value: Value) -> Result<Self, InvalidSchema> {
        if value.to_string().len() > MAX_SCHEMA_BYTES {
            return Err(InvalidSchema(format!("it is larger than {MAX_SCHEMA_BYTES} bytes")));
        }
        let collections = collections(&value)?;
        for collection in &collections {
            if let Err(message) = collection.validator().transpose() {
                return Err(InvalidSchema(format!("collections.{}.jsonSchema: {message}", collection.id)));
            }
        }
        Ok(Self(Arc::new(Definition { value, collections })))
    }

    /// Returns the schema as it was given.
    pub fn as_value(&self) -> &Value {
        &self.0.value
    }

    /// Returns the keys of the collection with that id.
    pub fn collection(&self, id: &str) -> Option<CollectionKeys> {
        let collection = self.0.collections.iter().find(|collection| collection.id == id);
        collection.map(|collection| collection.keys.clone())
    }

    /// Returns the collections that a key belongs to.
    pub fn collections_of(&self, key: &RecordKey) -> impl Iterator<Item = &Collection> {
        self.0.collections.iter().filter(|collection| match &collection.keys {
            CollectionKeys::Key(only) => key.as_str() == only,
            CollectionKeys::Prefix(prefix) => key.as_str().starts_with(prefix),
        })
    }
}

/// A stored schema was valid when it was stored. If this version rejects it, the store must stay usable: the schema
/// then has no collections.
impl From<Value> for Schema {
    fn from(value: Value) -> Self {
        let collections = collections(&value).unwrap_or_default();
        Self(Arc::new(Definition { value, collections }))
    }
}

impl From<Schema> for Value {
    fn from(schema: Schema) -> Self {
        schema.0.value.clone()
    }
}

impl Collection {
    /// Returns the collection's id.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Returns the allowed media types, without parameters and in lower case; `None` if any is allowed.
    pub fn content_types(&self) -> Option<&[String]> {
        self.content_types.as_deref()
    }

    /// Returns the validator of its records' JSON, if it has one. The error says why the JSON Schema cannot be used.
    pub fn validator(&self) -> Option<Result<Arc<JsonValidator>, String>> {
        let schema = self.json_schema.as_ref()?;
        Some(self.validator.get_or_init(|| JsonValidator::new(schema).map(Arc::new)).clone())
    }
}

fn collections(value: &Value) -> Result<Vec<Collection>, InvalidSchema> {
    let schema = object(value, "the schema")?;
    if schema.get("actorKeyValueStoreSchemaVersion").and_then(Value::as_u64) != Some(1) {
        return Err(InvalidSchema("actorKeyValueStoreSchemaVersion must be 1".to_owned()));
    }
    text(schema, "title", "")?.ok_or_else(|| InvalidSchema("title is missing".to_owned()))?;
    let collections = schema.get("collections").ok_or_else(|| InvalidSchema("collections is missing".to_owned()))?;
    let collections = object(collections, "collections")?;
    if collections.len() > MAX_COLLECTIONS {
        return Err(InvalidSchema(format!("collections has more than {MAX_COLLECTIONS} members")));
    }
    collections.iter().map(|(id, value)| collection(id, value)).collect()
}

fn collection(id: &str, value: &Value) -> Result<Collection, InvalidSchema> {
    let path = format!("collections.{id}");
    let wrong = |message: &str| InvalidSchema(format!("{path}{message}"));
    let collection = object(value, &path)?;
    text(collection, "title", &path)?.ok_or_else(|| wrong(".title is missing"))?;
    text(collection, "description", &path)?;
    let keys = match (text(collection, "key", &path)?, text(collection, "keyPrefix", &path)?) {
        (Some(key), None) => CollectionKeys::Key(key.to_owned()),
        (None, Some(prefix)) => CollectionKeys::Prefix(prefix.to_owned()),
        (None, None) | (Some(_), Some(_)) => return Err(wrong(" must have either key or keyPrefix")),
    };
    let (CollectionKeys::Key(text) | CollectionKeys::Prefix(text)) = &keys;
    text.parse::<RecordKey>().map_err(|invalid| wrong(&format!(": {invalid}")))?;
    let content_types = match collection.get("contentTypes") {
        None | Some(Value::Null) => None,
        Some(Value::Array(types)) => {
            let texts = types.iter().map(|item| item.as_str().map(essence)).collect::<Option<Vec<_>>>();
            Some(texts.ok_or_else(|| wrong(".contentTypes must be a list of texts"))?)
        }
        Some(_) => return Err(wrong(".contentTypes must be a list of texts")),
    };
    let json_schema = match collection.get("jsonSchema") {
        None | Some(Value::Null) => None,
        Some(schema @ (Value::Object(_) | Value::Bool(_))) => Some(schema.clone()),
        Some(_) => return Err(wrong(".jsonSchema must be an object")),
    };
    Ok(Collection { id: id.to_owned(), keys, content_types, json_schema, validator: OnceLock::new() })
}

/// Returns a media type without its parameters, in lower case.
pub fn essence(content_type: &str) -> String {
    content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

fn object<'a>(value: &'a Value, path: &str) -> Result<&'a Map<String, Value>, InvalidSchema> {
    value.as_object().ok_or_else(|| InvalidSchema(format!("{path} must be an object")))
}

fn text<'a>(object: &'a Map<String, Value>, member: &str, path: &str) -> Result<Option<&'a str>, InvalidSchema> {
    match object.get(member) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(InvalidSchema(format!("{path}.{member} must be a text").trim_start_matches('.').to_owned())),
    }
}

/// The value is not a store schema, or exceeds a limit. The message names the path and the limit.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the schema of the key-value store is not valid: {0}")]
pub struct InvalidSchema(pub String);

/// Maximum size in bytes of a record, stored and decoded, whose JSON is validated: it is held in memory for that.
const MAX_VALIDATED_BYTES: u64 = 9 * 1024 * 1024;

impl Schema {
    /// Checks that every collection of its key allows a record, and returns its body. The body is read only if a
    /// collection has a JSON Schema; it must then be JSON whatever its media type.
    pub async fn validate(
        &self,
        key: &RecordKey,
        attributes: &RecordAttributes,
        body: ByteStream,
        memory: &Arc<MemoryBudget>,
    ) -> Result<ByteStream> {
        let mut validators: Vec<Arc<JsonValidator>> = Vec::new();
        for collection in self.collections_of(key) {
            let content_type = essence(&attributes.content_type);
            if let Some(allowed) = collection.content_types()
                && !allowed.contains(&content_type)
            {
                let (id, allowed) = (collection.id(), allowed.join(", "));
                let message = format!("collection {id:?} takes {allowed}, not {content_type}");
                return Err(Error::SchemaViolation(message));
            }
            if let Some(validator) = collection.validator() {
                validators.push(validator.map_err(Error::Corrupt)?);
            }
        }
        if validators.is_empty() {
            return Ok(body);
        }
        let lease = memory.lease();
        let stored = lease.read_all(body, MAX_VALIDATED_BYTES).await.map_err(rejection)?;
        let json = decoded(attributes, stored.clone(), &lease).await?;
        JsonValidator::check(validators, json, &lease, memory.limit()).await?;
        lease.shrink_to(stored.len() as u64);
        Ok(ByteStream::from(stored).holding(lease))
    }
}

async fn decoded(attributes: &RecordAttributes, stored: Bytes, lease: &Lease) -> Result<Bytes> {
    match attributes.content_coding {
        None => Ok(stored),
        Some(coding) => {
            let decoded = coding.decode(stored.into(), lease.clone());
            lease.read_all(decoded, MAX_VALIDATED_BYTES).await.map_err(rejection)
        }
    }
}

fn rejection(error: BodyError) -> Error {
    match error {
        BodyError::TooLarge { limit } => {
            Error::SchemaViolation(format!("records that are checked against a JSON Schema have at most {limit} bytes"))
        }
        BodyError::Malformed(what) => Error::SchemaViolation(format!("the record cannot be decoded: {what}")),
        BodyError::Aborted | BodyError::Stalled | BodyError::TooSlow | BodyError::NoMemory | BodyError::Storage(_) => {
            Error::Body(error)
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn schema(collection: &Value) -> Value {
        json!({ "actorKeyValueStoreSchemaVersion": 1, "title": "T", "collections": { "c": collection } })
    }

    #[test]
    fn a_schema_comes_back_as_it_was_given() {
        let value = schema(&json!({ "title": "C", "keyPrefix": "c-", "zebra": 1, "contentTypes": ["image/PNG"] }));
        let schema = Schema::parse(value.clone()).expect("a valid schema");
        assert_eq!(schema.as_value(), &value);
        let stored = serde_json::to_string(&schema).expect("it can be stored");
        assert_eq!(stored, value.to_string(), "down to the order of members");
        let read: Schema = serde_json::from_str(&stored).expect("it can be read");
        assert_eq!(read.collection("c"), Some(CollectionKeys::Prefix("c-".to_owned())));
        assert_eq!(read.collection("d"), None);
    }

    #[test]
    fn what_is_no_schema_is_refused_with_the_place() {
        for (value, place) in [
            (json!([]), "must be an object"),
            (json!({ "title": "T", "collections": {} }), "actorKeyValueStoreSchemaVersion must be 1"),
            (json!({ "actorKeyValueStoreSchemaVersion": 1, "collections": {} }), "title is missing"),
            (schema(&json!({ "title": "C" })), "collections.c must have either key or keyPrefix"),
            (schema(&json!({ "title": "C", "key": "a", "keyPrefix": "a" })), "either key or keyPrefix"),
            (schema(&json!({ "title": "C", "key": "a b" })), "collections.c: Record key contains"),
            (schema(&json!({ "title": "C", "key": "a", "contentTypes": "x" })), "collections.c.contentTypes"),
            (schema(&json!({ "title": "C", "key": "a", "jsonSchema": { "type": 7 } })), "collections.c.jsonSchema"),
            (schema(&json!({ "title": "C".repeat(300_000), "key": "a" })), "larger than"),
        ] {
            let refused = Schema::parse(value).expect_err(place).to_string();
            assert!(refused.contains(place), "{refused}");
        }
    }

    #[test]
    fn a_reference_that_leaves_the_schema_is_refused() {
        for reference in ["http://127.0.0.1:1/a.json", "https://example.com/a", "file:///etc/passwd", "other.json"] {
            let json_schema = json!({ "properties": { "a": { "$ref": reference } } });
            let refused = Schema::parse(schema(&json!({ "title": "C", "key": "a", "jsonSchema": json_schema })));
            assert!(refused.is_err(), "{reference}");
        }
    }

    #[test]
    fn a_stored_schema_that_is_not_understood_leaves_the_store_usable() {
        let schema: Schema = serde_json::from_str("{\"from\":\"the future\"}").expect("anything can be read");
        assert_eq!(schema.collections_of(&"a".parse().expect("a key")).count(), 0);
    }
}
