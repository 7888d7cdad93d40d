//! Persistence: the keys of objects, the documents in them, their cache, and compare-and-swap writes.
//!
//! This folder decides how the domain is stored. It does not decide when a store is created, moved or deleted.
//!
//! * `object_keys.rs` alone builds and parses keys. `docs/LAYOUT.md` explains every object, with its lifetime.
//! * `repository.rs` reads and writes store documents. Every write is a compare-and-swap with a fresh nonce.
//! * `name_claims.rs` has the protocol of unique names, in steps.
//! * Entries of lists are objects without a body. A document names its entries, so that they are deleted with it.
//! * `json.rs` is for all other documents: accounts, tokens, runs. It creates them if absent, or replaces them by
//!   compare-and-swap. Only a type marked `UnconditionalWrite` can be written without a condition. No such object
//!   grants a right.
//! * `format_version.rs` reads `larder/format` before anything else. `installation.rs` rereads it for readiness checks,
//!   and fences off all access while it is missing or names another installation.
//! * `clock_record.rs` stores the time of the installation in `larder/clock`.
//! * During a migration a journal takes the place of `larder/format` (`MigrationJournal`).
//!
//! # Cache
//!
//! `cache.rs` caches documents and the ids of names.
//!
//! * The age of an entry counts from when its read was sent.
//! * With one writer, entries are valid for ever, since every change comes through this gateway. With several gateways,
//!   an entry is at most as old as the staleness bound.
//! * An insert never replaces a later version. So a read that began before a write cannot bring back the previous
//!   value.
//! * Operations that change a store bypass the cache.
//! * Look-ups of names by callers other than the owner are cached apart, found or not, so that their timing reveals no
//!   name.

pub mod cache;
pub mod clock_record;
pub mod format_version;
pub mod installation;
pub mod json;
pub mod name_claims;
pub mod object_keys;
pub mod repository;
pub mod store_metadata;
