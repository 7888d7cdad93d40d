//! Backups of a data folder, taken while a process serves from it, and their restore and retention.
//!
//! A backup looks like its source, except for the file `format`, so that no process serves from it:
//!
//! ```text
//! backup.json         what is in it, with hashes; written last, so that a backup without it was broken off
//! index.sqlite        the index as it was at one instant
//! blobs/{h}/{n}       every file that it names
//! admin-token         and whatever else the caller keeps beside the engine's own
//! ```
//!
//! The instant is that of one read of the index (`VACUUM INTO`): the backup has all changes acknowledged before it, and
//! no others. Files never change, and a hold keeps those that are deleted meanwhile.

mod create;
mod error;
mod manifest;
mod restore;
mod staging;

pub use create::back_up;
pub use error::BackupError;
pub use manifest::{Manifest, dated_name, prune};
pub use restore::restore;
