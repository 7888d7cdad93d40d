//! The memory held on behalf of clients: one budget for all data that must be in memory before it can be used, with a
//! fair share for each caller.
//!
//! A lease grows as bytes arrive. A request that exceeds the budget or the share of its caller waits. The oldest lease
//! of all never waits, and the oldest lease of a caller never waits for that caller's share, so leases cannot deadlock.
//! A client that sends too slowly while others wait for its memory is cut off.

mod budget;
mod lease;

pub use budget::{DEFAULT_LIMIT, MemoryBudget};
pub use lease::Lease;
