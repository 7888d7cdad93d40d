//! Limits on requests: how many at once, and how many per second.

pub mod concurrency_limit;
pub mod rate_limits;
