//! Values of the domain: identifiers, names, record keys, schemas, retention, rights, and errors.
//!
//! Nothing here reads or writes an object, except that a schema reads the body of a record to validate it.

pub mod access;
pub mod encodings;
pub mod errors;
pub mod fault_switches;
pub mod ids;
pub mod json_cost;
pub mod json_validator;
pub mod keys;
pub mod names;
pub mod retention;
pub mod schema;
pub mod search_text;
pub mod validation_budget;
