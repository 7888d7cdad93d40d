//! Store schemas: which keys make a collection, and what the records in it must be like.
//!
//! The form is the platform's ("Key-value store schema specification" in its documentation). What a schema says of JSON
//! is checked by the `jsonschema` crate, with bounds on time and stack of its user's (`validator`): whoever makes a
//! store may be careless or worse.

mod admission;
mod definition;
mod invalid;
mod steps;
mod validator;

pub use definition::{CollectionKeys, Schema};
pub use invalid::InvalidSchema;
#[cfg(any(test, fuzzing))]
pub use validator::JsonValidator;
