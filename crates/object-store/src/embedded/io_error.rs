//! Failures of the disk and of the index: as errors of storage, and of opening a data folder as the operator reads them.

use std::{
    io,
    path::{Path, PathBuf},
};

use rusqlite::{ErrorCode, ffi::SQLITE_IOERR_SHMSIZE};
use tokio::task::JoinError;

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
