//! Store schemas.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::storage::ByteStream;

use super::{error::Error, key::RecordKey, records::RecordAttributes};

/// The value is not a store schema, or asks for more than is allowed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidSchema(pub String);

/// The schema of a store.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Schema(Value);

/// The keys of a collection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CollectionKeys {
    /// One key.
    Key(String),
    /// All keys that begin so.
    Prefix(String),
}

impl Schema {
    /// Parses.
    pub fn parse(value: Value) -> Result<Self, InvalidSchema> {
        Ok(Self(value))
    }

    /// The schema as it was given.
    pub fn as_value(&self) -> &Value {
        &self.0
    }

    /// Which keys a collection has.
    pub fn collection(&self, id: &str) -> Option<CollectionKeys> {
        unimplemented!("{id}")
    }

    /// Lets a record in: its media type and, where a collection says so, its JSON.
    pub async fn admit(
        &self,
        key: &RecordKey,
        attributes: &RecordAttributes,
        body: ByteStream,
    ) -> Result<ByteStream, Error> {
        let _ = (key, attributes);
        Ok(body)
    }
}
