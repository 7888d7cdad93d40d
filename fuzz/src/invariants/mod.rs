//! Invariants of parsers for any bytes, one file for each subject.
//!
//! Each public function takes any bytes and panics if an invariant does not hold.

pub mod accounts;
pub mod documents;
pub mod encodings;
pub mod exports;
pub mod http;
pub mod keys;
pub mod lifecycle_rules;
pub mod object_store;
pub mod requests;
mod round_trip;
pub mod runs;
pub mod settings;
