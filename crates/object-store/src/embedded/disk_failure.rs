//! Failures of the disk and of the index: as errors of storage, and of opening a data folder as the operator reads them;
//! and the disk reserve, so that objects can be deleted from a full disk.
//!
//! Deleting needs space: it is written to the log first, and the present log must be moved into the index before it can
//! restart. So a file of some megabytes is reserved. On a full disk the reserve is released and the log is moved; then
//! only deletes are accepted, until there is space for the file again.

use std::{
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
    time::Duration,
};

use rusqlite::{Connection, ErrorCode, ffi::SQLITE_IOERR_SHMSIZE};
use tokio::task::JoinError;

use super::{folder::create_or_truncate, index};
use crate::store::{BoxError, Error};

/// A data folder that cannot be opened. Nothing in it was changed, except leftovers of an earlier crash.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process serves from the folder.
    #[error("the data folder {} is in use by another process: stop that one, or choose another folder", folder.display())]
    Locked {
        /// The folder.
        folder: PathBuf,
    },
    /// A file is in the place of a folder.
    #[error("{} is not a folder: move it, or choose another folder for the data", path.display())]
    NotADirectory {
        /// The path.
        path: PathBuf,
    },
    /// The process lacks permission.
    #[error("the user of this process cannot read or write {}: change its owner or mode", path.display())]
    Denied {
        /// The path.
        path: PathBuf,
        /// Error of the system.
        #[source]
        source: io::Error,
    },
    /// The folder has a format that this version does not know.
    #[error(
        "the data folder {} has the format \"{found}\", and this version knows \"{known}\" only: \
         start the version that wrote it, or a newer one",
        folder.display()
    )]
    UnknownFormat {
        /// The folder.
        folder: PathBuf,
        /// The format text of the folder.
        found: String,
        /// The formats that this version can read.
        known: String,
    },
    /// The folder is a backup, which must not change.
    #[error("{} is a backup: restore it to a data folder with `larder restore`", folder.display())]
    IsBackup {
        /// The folder.
        folder: PathBuf,
    },
    /// The folder was never a data folder, and has other contents.
    #[error(
        "{} is not a data folder, and contains {}: use an empty or absent folder for the data",
        folder.display(),
        found.display()
    )]
    Foreign {
        /// The folder.
        folder: PathBuf,
        /// One of the things in it.
        found: PathBuf,
    },
    /// The folder lacks an essential part.
    #[error(
        "the data folder {} holds data, but {} is missing: restore it from a backup, or choose an empty folder",
        folder.display(),
        missing.display()
    )]
    Incomplete {
        /// The folder.
        folder: PathBuf,
        /// The missing part.
        missing: PathBuf,
    },
    /// The index is damaged, or no database.
    #[error("the index {} is damaged: restore the data folder from a backup", path.display())]
    Damaged {
        /// The index.
        path: PathBuf,
        /// Error of the database.
        #[source]
        source: BoxError,
    },
    /// The disk is full.
    #[error("the disk that holds {} is full: free some space and start again", path.display())]
    Full {
        /// The path that could not be written.
        path: PathBuf,
        /// The error below.
        #[source]
        source: BoxError,
    },
    /// Another failure.
    #[error("{} cannot be used", path.display())]
    Io {
        /// The path.
        path: PathBuf,
        /// The error below.
        #[source]
        source: BoxError,
    },
}

impl OpenError {
    /// Maps `error` at `path`.
    pub fn from_io(path: &Path, error: io::Error) -> Self {
        let path = path.to_owned();
        match error.kind() {
            io::ErrorKind::NotADirectory | io::ErrorKind::AlreadyExists => Self::NotADirectory { path },
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => Self::Denied { path, source: error },
            _ if is_full(&error) => Self::Full { path, source: error.into() },
            _ => Self::Io { path, source: error.into() },
        }
    }

    /// Maps `error` in the index at `path`.
    pub fn from_sqlite(path: &Path, error: rusqlite::Error) -> Self {
        use rusqlite::ErrorCode;
        let (path, code) = (path.to_owned(), error.sqlite_error_code());
        match code {
            _ if is_index_full(&error) => Self::Full { path, source: error.into() },
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => Self::Damaged { path, source: error.into() },
            Some(ErrorCode::PermissionDenied | ErrorCode::ReadOnly) => {
                Self::Denied { path, source: io::Error::other(error) }
            }
            _ => Self::Io { path, source: error.into() },
        }
    }
}

/// Returns whether `error` means that the disk is full.
pub fn is_full(error: &io::Error) -> bool {
    use io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
    matches!(error.kind(), StorageFull | QuotaExceeded | FileTooLarge)
}

/// Maps a failure to read or write a file.
pub fn map_io_error(error: io::Error) -> Error {
    if is_full(&error) { Error::Full(error.into()) } else { Error::Unavailable(error.into()) }
}

/// Returns whether the index reports a full disk. It has another error for its shared memory, which is a file, too,
/// that cannot grow.
pub fn is_index_full(error: &rusqlite::Error) -> bool {
    error
        .sqlite_error()
        .is_some_and(|error| error.code == ErrorCode::DiskFull || error.extended_code == SQLITE_IOERR_SHMSIZE)
}

/// Maps a failure of the index.
pub fn map_sqlite_error(error: rusqlite::Error) -> Error {
    match error.sqlite_error_code() {
        _ if is_index_full(&error) => Error::Full(error.into()),
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => Error::Corrupt(format!("the index: {error}")),
        _ => Error::Unavailable(error.into()),
    }
}

/// Maps the failure of blocking work: the runtime is shutting down, or the work panicked.
pub fn map_join_error(error: JoinError) -> Error {
    Error::Unavailable(error.into())
}

/// Returns the error of a closed engine, or of one whose committing thread is gone.
pub fn closed_error() -> Error {
    Error::Unavailable("the embedded engine is closed".into())
}

/// Bytes of the reserve: the longest log that was just not moved, and one more transaction.
const RESERVE_BYTES: u64 = 16 * 1024 * 1024;

/// Bytes of the reserve written at a time.
const BLOCK_BYTES: usize = 1024 * 1024;

/// Interval between attempts to refill the reserve, if nothing was deleted meanwhile.
const REFILL_INTERVAL: Duration = Duration::from_secs(1);

/// Maximum number of steps in which the index returns its free pages, before giving up for now.
const MAX_VACUUM_STEPS: usize = 64;

/// Number of steps between checks for enough space.
const VACUUM_STEPS_PER_CHECK: usize = 8;

/// The disk reserve.
#[derive(Debug)]
pub struct DiskReserve {
    path: PathBuf,
    is_held: bool,
    /// Time of the last attempt, by the monotonic clock; `None` if the next one should be immediate.
    tried_at: Option<Duration>,
}

impl DiskReserve {
    /// Fills the reserve in the file `reserve`, if there is space.
    pub fn new(path: PathBuf) -> Self {
        let mut reserve = Self { path, is_held: false, tried_at: None };
        if !reserve.refill() {
            tracing::warn!("the disk is full: objects can be read and deleted, but not written");
        }
        reserve
    }

    /// Returns whether the reserve is full, so that objects may be written.
    pub fn is_held(&self) -> bool {
        self.is_held
    }

    /// Returns whether objects may be written; tries to refill the reserve, but not too often.
    pub fn try_refill(&mut self, connection: &Connection, now: Duration) -> bool {
        if self.is_held || self.tried_at.is_some_and(|tried_at| now < tried_at + REFILL_INTERVAL) {
            return self.is_held;
        }
        self.tried_at = Some(now);
        if self.refill() || self.vacuum_and_refill(connection) {
            tracing::info!("the disk has free space again: objects can be written");
        }
        self.is_held
    }

    /// Hints that space was freed, so that a refill is worth trying.
    pub fn hint_freed(&mut self) {
        self.tried_at = None;
    }

    /// Releases the reserve for the log and for moving it into the index. Then refills it if there is enough space all
    /// the same; returns whether it did.
    pub fn consume(&mut self, connection: &Connection) -> bool {
        if self.is_held {
            tracing::warn!("the disk is full: objects can be read and deleted, but not written until space is free");
        }
        self.release();
        if let Err(error) = index::restart_wal(connection) {
            tracing::warn!(%error, "cannot checkpoint the index");
        }
        self.refill()
    }

    /// Releases the reserve.
    pub fn release(&mut self) {
        self.is_held = false;
        if let Err(error) = fs::remove_file(&self.path)
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!(%error, "cannot use the reserved space");
        }
    }

    /// Makes the index return free pages until there is enough space.
    fn vacuum_and_refill(&mut self, connection: &Connection) -> bool {
        for step in 1..=MAX_VACUUM_STEPS {
            let shrunk = index::vacuum_all_pages(connection)
                .and_then(|more| index::restart_wal(connection).map(|()| more))
                .inspect_err(|error| tracing::warn!(%error, "cannot shrink the index"));
            let is_last = !matches!(shrunk, Ok(true)) || step == MAX_VACUUM_STEPS;
            if (is_last || step % VACUUM_STEPS_PER_CHECK == 0) && self.refill() {
                return true;
            }
            if is_last {
                break;
            }
        }
        false
    }

    fn refill(&mut self) -> bool {
        if !self.is_held {
            match fill(&self.path) {
                Ok(()) => self.is_held = true,
                Err(error) => {
                    tracing::debug!(%error, "no room could be set aside");
                    self.release();
                }
            }
        }
        self.is_held
    }
}

/// Extends the file to its full length, without a sync, since it need not survive a crash. Its bytes are not zeros,
/// which some file systems would not store.
fn fill(reserve: &PathBuf) -> io::Result<()> {
    if fs::metadata(reserve).is_ok_and(|found| found.len() == RESERVE_BYTES) {
        return Ok(());
    }
    let mut file = create_or_truncate(reserve)?;
    let block = vec![0x5A; BLOCK_BYTES];
    for _ in 0..RESERVE_BYTES / BLOCK_BYTES as u64 {
        file.write_all(&block)?;
    }
    Ok(())
}
