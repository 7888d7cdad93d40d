//! An object store examined by trying it out: what is promised, what differs between vendors, and what a person can do about it.
//!
//! Everything that is written stands below one folder, and is removed in the end; each check has its deadline. What is only
//! known of one implementation, it finds out itself, and tells in the same words ([`Finding`]).

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
