//! Validation of records against the store's schema.

use std::sync::Arc;

use bytes::Bytes;

use crate::{
    kv::{
        error::{Error, Result},
        key::RecordKey,
        record_attributes::RecordAttributes,
    },
    storage::{BodyError, ByteStream, Lease, MemoryBudget},
};

use super::{
    definition::{Schema, essence},
    validator::JsonValidator,
};

/// Maximum size in bytes of a record, stored and decoded, whose JSON is validated: it is held in memory for that.
const MAX_CHECKED_BYTES: u64 = 9 * 1024 * 1024;

impl Schema {
    /// Checks that every collection of its key allows a record, and returns its body. The body is read only if a
    /// collection has a JSON Schema; it must then be JSON whatever its media type.
    pub async fn admit(
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
        let stored = lease.gather(body, MAX_CHECKED_BYTES).await.map_err(refusal)?;
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
            lease.gather(decoded, MAX_CHECKED_BYTES).await.map_err(refusal)
        }
    }
}

fn refusal(error: BodyError) -> Error {
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
