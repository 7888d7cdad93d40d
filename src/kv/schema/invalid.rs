//! The error of an invalid store schema.

/// The value is not a store schema, or exceeds a limit. The message names the place and the limit.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the schema of the key-value store is not valid: {0}")]
pub struct InvalidSchema(pub String);
