//! Diagnostics of an object store by probing it: the contract, the differences between vendors, and advice.
//!
//! All objects written are below one folder, and are deleted at the end; each check has a deadline. An implementation
//! adds checks of its own, with the same result type ([`CheckResult`]). Conditional writes are probed by the code that
//! also runs at the start of a gateway (`conditional_write_probe.rs`).
//!
//! The checks change no setting and repair nothing. A result has a status, an observation, and advice for the operator.

mod check_runner;
mod checks;

pub use check_runner::{CheckResult, CheckRunner, OnResult, Outcome, PROBES, Status};
pub use checks::Conditions;
