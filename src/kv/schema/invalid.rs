//! Why something is not a store schema.

/// The value is not a store schema, or asks for more than is allowed. Tells where, and what is allowed there.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the schema of the key-value store is not valid: {0}")]
pub struct InvalidSchema(pub String);
