//! Limits on requests: how many at once, and how many per second. Each gateway counts on its own.
//!
//! They do not limit memory (`storage::MemoryBudget`), connections (`server`) or stored data (`operations/quotas.rs`).

pub mod concurrency_limit;
pub mod rate_limits;
