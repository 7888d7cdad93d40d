//! Diagnostics of an object store by probing it: the contract, the differences between vendors, and advice.
//!
//! All objects written are below one folder, and are deleted at the end; each check has a deadline. An implementation
//! adds checks of its own, with the same result type ([`Finding`]).

mod bodies;
mod conditions;
mod examiner;
mod finding;
mod keys;
mod objects;
mod rules;

pub use conditions::Conditions;
pub use examiner::{Examiner, OnFinding, PROBES};
pub use finding::{Finding, Outcome, Verdict};
