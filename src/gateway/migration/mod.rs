//! Moves a whole installation between a data folder and a bucket. Every object is copied unchanged, with a journal at
//! the destination, and compared at the end.
//!
//! The source is only read. Objects about one object store alone (the canaries of lifecycle rules, its detected
//! capabilities) are not copied; the destination creates its own.

mod checkpoints;
mod copying;
mod ends;
mod error;
mod patience;
mod progress;
mod run;
mod survey;
mod verifying;
mod walk;

pub use ends::Direction;
pub use error::MigrationError;
pub use progress::{MigrationPhase, MigrationProgress, ProgressSnapshot};
pub use run::{MigrationOptions, MigrationReport, migrate};
pub use verifying::Verification;
