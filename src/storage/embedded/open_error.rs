//! Why a folder cannot be served from, in words for whoever started the process.

use std::{
    io,
    path::{Path, PathBuf},
};

use super::{
    super::cause::BoxError,
    faults::{is_full, is_index_full},
};

/// Why a folder cannot be served from. Nothing in it was changed, but what an earlier crash had left over.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process serves from the folder.
    #[error("the data folder {} is in use by another process: stop that one, or choose another folder", folder.display())]
    Locked {
        /// The folder.
        folder: PathBuf,
    },
    /// Something that is not a folder stands where one should.
    #[error("{} is not a folder: move it away, or choose another folder for the data", path.display())]
    NotADirectory {
        /// What stands in the way.
        path: PathBuf,
    },
    /// The process may not read or write there.
    #[error("{} may not be read or written by the user who runs this process: change its owner or its mode", path.display())]
    Denied {
        /// What may not be used.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The folder was written in a format that this version does not know.
    #[error(
        "the data folder {} has the format \"{found}\", and this version knows \"{known}\" only: \
         start the version that wrote it, or a newer one",
        folder.display()
    )]
    UnknownFormat {
        /// The folder.
        folder: PathBuf,
        /// What the folder says of itself.
        found: String,
        /// What this version can read.
        known: String,
    },
    /// The folder is a backup, which nobody may change.
    #[error("{} is a backup: make a data folder of it with `larder restore`", folder.display())]
    IsBackup {
        /// The folder.
        folder: PathBuf,
    },
    /// The folder has never been a data folder, and other things are in it.
    #[error(
        "{} is no data folder, and {} is in it: give the data a folder of its own, empty or not there yet",
        folder.display(),
        found.display()
    )]
    Foreign {
        /// The folder.
        folder: PathBuf,
        /// One of the things in it.
        found: PathBuf,
    },
    /// The folder lacks a part without which the rest means nothing.
    #[error(
        "the data folder {} holds data, but {} is missing: restore it from a backup, or choose an empty folder",
        folder.display(),
        missing.display()
    )]
    Incomplete {
        /// The folder.
        folder: PathBuf,
        /// What is missing.
        missing: PathBuf,
    },
    /// The index is no database, or a damaged one.
    #[error("the index {} is damaged: restore the data folder from a backup", path.display())]
    Damaged {
        /// The index.
        path: PathBuf,
        /// What the database said.
        #[source]
        source: BoxError,
    },
    /// There is no room to start.
    #[error("the disk that holds {} is full: free some space and start again", path.display())]
    Full {
        /// What could not be written.
        path: PathBuf,
        /// What was said.
        #[source]
        source: BoxError,
    },
    /// Something else failed.
    #[error("{} cannot be used", path.display())]
    Io {
        /// What could not be used.
        path: PathBuf,
        /// What was said.
        #[source]
        source: BoxError,
    },
}

impl OpenError {
    /// What `error`, met at `path`, means to whoever started the process.
    pub fn of_file(path: &Path, error: io::Error) -> Self {
        let path = path.to_owned();
        match error.kind() {
            io::ErrorKind::NotADirectory | io::ErrorKind::AlreadyExists => Self::NotADirectory { path },
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => Self::Denied { path, source: error },
            _ if is_full(&error) => Self::Full { path, source: error.into() },
            _ => Self::Io { path, source: error.into() },
        }
    }

    /// What `error`, met in the index at `path`, means to whoever started the process.
    pub fn of_index(path: &Path, error: rusqlite::Error) -> Self {
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
