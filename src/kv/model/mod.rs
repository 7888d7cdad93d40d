//! Values of the domain: identifiers, names, record keys, schemas, retention, rights, and errors.
//!
//! Nothing here reads or writes an object, except that a schema reads the body of a record to validate it.

pub mod access;
pub mod bounded_json;
pub mod encodings;
pub mod errors;
pub mod ids;
pub mod names;
pub mod retention;
pub mod schema;
