//! Handlers of all calls, by resource. Every function here takes its store from a grant.
//!
//! A handler parses its part of the request, calls the domain (`kv`, `auth`, `runs`) and builds the response. Rules
//! about stores and records belong to the domain, where jobs can use them, too.

pub mod accounts;
mod archive;
pub mod gateway;
pub mod json_body;
mod records;
mod responses;
pub mod run_calls;
pub mod runs;
pub mod stores;
mod tokens;
pub mod upstream_access;
pub mod usage;
