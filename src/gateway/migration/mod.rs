//! Moves a whole installation between a data folder and a bucket. Every object is copied unchanged, with a journal at
//! the destination, and compared at the end.
//!
//! The source is only read. Objects about one object store alone (the canaries of lifecycle rules, its detected
//! capabilities) are not copied; the destination creates its own.
//!
//! 1. Survey. The source must be idle and the destination empty, unless it has a journal of the same source. All
//!    objects are below the `PREFIXES` of `kv`, `auth` and `runs`: an object elsewhere ends the migration.
//! 2. Journal. It is created at the destination in the place of `larder/format`, so that no version starts there.
//! 3. Copy. Objects are copied, several at once, in an order that is the same at both ends. Checkpoints in the journal
//!    hold the last key before which everything is copied.
//! 4. Compare. Names and sizes, and by default all bytes and attributes, are read again on both sides.
//! 5. Check that the source has not been used meanwhile, and copy the admin token.
//! 6. Commit: the source's format replaces the journal, by compare-and-swap.
//!
//! *Conflict.* Every write of the journal is a compare-and-swap. A second migration to the same destination ends the
//! first.
//!
//! *Crash.* The journal stays, and the next attempt continues at its checkpoint; copies are idempotent. If the source
//! has been used since, the destination is cleared and the migration starts over.

mod checkpoints;
mod copying;
mod error;
mod run;
mod survey;

pub use checkpoints::{MigrationPhase, MigrationProgress, ProgressSnapshot};
pub use copying::Verification;
pub use error::MigrationError;
pub use run::{Direction, MigrationOptions, MigrationReport, migrate};
