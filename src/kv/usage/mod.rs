//! Usage of stores: access counters, recounts of the contents, totals of owners and of the installation.
//!
//! It enforces no quota.

pub mod counters;
pub mod recount;
pub mod totals;
