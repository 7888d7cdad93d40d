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
//! 1. Take a shared lock on `backup.lock`. It prevents the deletion of files: the serving process takes the exclusive
//!    lock for each removal, and a start for each orphan.
//! 2. Save the index by `VACUUM INTO`. Its one read is the instant: the backup has all changes acknowledged before it,
//!    and no others.
//! 3. Copy the files that this index names. Files never change once they are published.
//! 4. Sync and read everything again, then write `backup.json`: the commit point.
//!
//! A backup that fails removes its files. After a crash its folder has no `backup.json`, and is rejected. The system
//! releases the lock of a process that dies. Backups run in a process of their own: reasons in `docs/decisions/0010`.

mod create;
mod error;
mod manifest;
mod restore;
mod staging;

pub use create::back_up;
pub use error::BackupError;
pub use manifest::{Manifest, dated_name, prune};
pub use restore::restore;
