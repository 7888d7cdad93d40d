//! The object store on a local disk: a folder that one process owns.
//!
//! ```text
//! format              the format's version, in words
//! lock                held while a process serves from the folder
//! backup.lock         held while a backup copies files
//! index.sqlite        attributes of all objects, and the bytes of small ones (with -wal and -shm beside it)
//! blobs/{h}/{n}       larger objects, one file each; n a number in hex that is never used twice, h = n / 4,096
//! temp/{n}            uploads that are under way
//! reserve             room set aside for the day when the disk is full
//! last-backup         when the folder was backed up last
//! ```
//!
//! Every write goes through one thread ([`committer`]): it takes the queued changes into one transaction, syncs once,
//! and answers. An acknowledged write is on disk. A large object is streamed to `temp`, synced and renamed into
//! `files`; only then is it added to the index. A deleted one leaves the index first, and its file later. So a crash
//! leaves at most files that are not in the index, and the next start collects those.
//!
//! This module does not replicate, cache or expire anything.

mod background_throttle;
mod backup;
mod blob_deletion;
mod blob_files;
mod committer;
mod disk_reserve;
mod folder;
mod folder_status;
mod index;
mod integrity_check;
mod io_error;
mod permissions;
mod rows;
mod store;
mod write_batcher;

pub use backup::{BackupError, Manifest, back_up, dated_name, prune, restore};
pub use folder::FolderLost;
pub use folder_status::{FolderStatus, register_folder_metrics};
pub use integrity_check::{IntegrityReport, check_integrity};
pub use io_error::OpenError;
pub use store::{EmbeddedOptions, EmbeddedStore, INLINE_LIMIT};
