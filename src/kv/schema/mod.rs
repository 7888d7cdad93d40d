//! Store schemas: the keys of each collection, and the constraints on its records.
//!
//! The form is the platform's ("Key-value store schema specification" in its documentation). The `jsonschema` crate
//! validates JSON, with bounds on time and stack in `validator`: the author of a schema may be careless or malicious.

mod admission;
mod definition;
mod invalid;
mod steps;
mod validator;

pub use definition::{CollectionKeys, Schema};
pub use invalid::InvalidSchema;
#[cfg(feature = "internals")]
pub use validator::JsonValidator;
