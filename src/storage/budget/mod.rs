//! The memory that is held on behalf of clients: one budget for everything that has to be in memory before it can be used, and a
//! fair share of it for each caller.
//!
//! A lease grows as bytes arrive. What fits into neither the budget nor the share of its caller waits. The oldest lease of all
//! is never made to wait, and the oldest lease of a caller never for that caller's share, so that no two leases wait for each
//! other for ever. A client that sends too slowly while others wait for the memory that it holds is given up.

mod accounts;
mod lease;
#[cfg(test)]
mod tests;

pub use accounts::{DEFAULT_LIMIT, MemoryBudget};
pub use lease::Lease;
