//! Persistence: the keys of objects, the documents in them, their cache, and compare-and-swap writes.
//!
//! This folder decides how the domain is stored. It does not decide when a store is created, moved or deleted.

pub mod cache;
pub mod clock_record;
pub mod format_version;
pub mod index_entries;
pub mod installation;
pub mod json;
pub mod migration;
pub mod name_claims;
pub mod object_keys;
pub mod repository;
pub mod store_metadata;
