//! The object store on a local disk: a folder that one process owns.
//!
//! ```text
//! format              the format's version, in words
//! lock                held while a process serves from the folder
//! backup.lock         held while a backup copies files
//! index.sqlite        attributes of all objects, and the bytes of small ones (with -wal and -shm beside it)
//! blobs/{h}/{n}       larger objects, one file each; n a number in hex that is never used twice, h = n / 4,096
//! temp/{n}            uploads that are under way
//! reserve             the disk reserve: space that deletions need on a full disk
//! last-backup         when the folder was backed up last
//! ```
//!
//! One thread makes all changes ([`committer`]); readers have connections of their own. A write has these steps.
//!
//! 1. Stage. A body of up to 64 KiB stays in memory. A larger one is streamed to `temp` and synced.
//! 2. Publish. The file is renamed into `blobs`.
//! 3. Commit. The committer takes the change with all queued ones into one transaction, checks preconditions, and syncs
//!    once for the group. This is the commit point: an acknowledged write is on disk.
//! 4. Delete. A file whose row is gone is removed later, unless a backup still needs it.
//!
//! A crash before step 3 leaves files that are not in the index, and a crash before step 4 leaves replaced files. The
//! next start collects both as orphans. A caller that drops the future before step 3 has changed nothing.
//!
//! * A second thread moves a long WAL into the index. When no request has come for a moment, free pages return to the
//!   disk.
//! * The inodes of the essential files are compared before each transaction and before it is acknowledged, so that no
//!   write goes into a folder that was replaced or unmounted.
//! * A full disk fails a write, not the process. `disk_reserve.rs` keeps space for deletions.
//! * An integrity check verifies every object against its hash, and changes nothing.
//! * Every file is created for the serving user, or for the group that shares the folder.
//!
//! This module does not replicate, cache or expire anything. Reasons for the index: `docs/decisions/0002` and `0005`.

mod backup;
mod blob_deletion;
mod blob_files;
mod committer;
mod disk_reserve;
mod folder;
mod index;
mod inspection;
mod io_error;
mod rows;
mod store;
mod write_batcher;

pub use backup::{BackupError, Manifest, back_up, dated_name, prune, restore};
pub use folder::FolderLost;
pub use inspection::{FolderStatus, IntegrityReport, check_integrity, register_folder_metrics};
pub use io_error::OpenError;
pub use store::{EmbeddedOptions, EmbeddedStore, INLINE_LIMIT};
