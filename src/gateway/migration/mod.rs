//! Moves a whole installation between a data folder and a bucket. Every object is copied unchanged, with a journal at
//! the destination, and compared at the end.
//!
//! The source is only read. Objects about one object store alone (the canaries of lifecycle rules, its detected
//! capabilities) are not copied; the destination creates its own.

mod checkpoints;
mod copying;
mod error;
mod retry;
mod run;
mod survey;

pub use checkpoints::{MigrationPhase, MigrationProgress, ProgressSnapshot};
pub use copying::Verification;
pub use error::MigrationError;
pub use run::{Direction, MigrationOptions, MigrationReport, migrate};
