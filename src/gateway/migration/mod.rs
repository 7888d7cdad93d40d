//! Moves a whole installation between a data folder and a bucket: every object as it is, with a journal at the destination, and compared
//! in the end.
//!
//! The source is only read. What is about one object store alone (whether stores stand where lifecycle rules want them, what
//! was found out about the object store) is left behind, and found out anew at the destination.

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
