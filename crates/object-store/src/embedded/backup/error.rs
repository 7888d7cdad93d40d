//! Errors of backing up and restoring, as the operator reads them.

use std::{
    io,
    path::{Path, PathBuf},
};

use crate::{
    embedded::io_error::{OpenError, is_full, is_index_full},
    error::BoxError,
};

/// A failed backup or restore. The source folder is unchanged; the partial copy is removed.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// The data folder cannot be read or created.
    #[error(transparent)]
    Folder(#[from] OpenError),
    /// The path of the backup is in use.
    #[error("{} is there already, and a backup replaces nothing: name a folder that is not there", path.display())]
    TargetExists {
        /// The path.
        path: PathBuf,
    },
    /// The backup would be inside its own source.
    #[error("{} is in the data folder: name a place outside of it, on another disk if there is one", path.display())]
    TargetInside {
        /// The path of the backup.
        path: PathBuf,
    },
    /// Stored records are damaged; the caller was told of each.
    #[error(
        "{count} things are damaged in the data folder: delete or write those records again, and take the backup then"
    )]
    DamagedFolder {
        /// Number of damaged records.
        count: u64,
    },
    /// There is no backup.
    #[error("{} is no backup", path.display())]
    NoBackup {
        /// The path.
        path: PathBuf,
    },
    /// The backup is incomplete.
    #[error("the backup {} was broken off before it was whole: remove it, and restore another one", path.display())]
    Incomplete {
        /// The backup.
        path: PathBuf,
    },
    /// A newer program took it, or an older one in another format.
    #[error("Larder {by} took the backup {}, in a format that this version does not know: restore it with that one", path.display())]
    UnknownFormat {
        /// The backup.
        path: PathBuf,
        /// The version of the program that took it.
        by: String,
    },
    /// The backup differs from what was written.
    #[error("the backup is damaged, and nothing was restored: {what}")]
    DamagedBackup {
        /// The damage.
        what: String,
    },
    /// The folder to restore into is in use.
    #[error("{} is not empty, and a restored folder replaces nothing: name an empty one, or one that is not there", path.display())]
    NotEmpty {
        /// The folder.
        path: PathBuf,
    },
    /// The disk is full.
    #[error("the disk that holds {} is full: free some space, or choose another place", path.display())]
    Full {
        /// The path that could not be written.
        path: PathBuf,
        /// The error below.
        #[source]
        source: BoxError,
    },
    /// Another failure.
    #[error("{} cannot be read or written", path.display())]
    Io {
        /// The path.
        path: PathBuf,
        /// The error below.
        #[source]
        source: BoxError,
    },
}

impl BackupError {
    /// Maps `error` at `path`.
    pub fn from_io(path: &Path, error: io::Error) -> Self {
        let path = path.to_owned();
        if is_full(&error) {
            Self::Full { path, source: error.into() }
        } else {
            Self::Io { path, source: error.into() }
        }
    }

    /// Maps `error`, which occurred when the index at `index` was written to `target`.
    pub fn from_sqlite(index: &Path, target: &Path, error: rusqlite::Error) -> Self {
        if is_index_full(&error) {
            Self::Full { path: target.to_owned(), source: error.into() }
        } else {
            Self::Folder(OpenError::from_sqlite(index, error))
        }
    }
}
