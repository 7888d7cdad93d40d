//! Why there is no backup, or why none was restored, in words for whoever asked for it.

use std::{
    io,
    path::{Path, PathBuf},
};

use super::super::{
    super::cause::BoxError,
    faults::{is_full, is_index_full},
    open_error::OpenError,
};

/// Why there is no backup, or why none was restored. The data folder of which it should have been is as it was; what was
/// written of the copy is removed again.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// The data folder cannot be read, or not be made.
    #[error(transparent)]
    Folder(#[from] OpenError),
    /// Something stands where the backup should be.
    #[error("{} is there already, and a backup replaces nothing: name a folder that is not there", path.display())]
    Taken {
        /// What stands there.
        path: PathBuf,
    },
    /// The backup would be a part of what it is a backup of.
    #[error("{} is in the data folder: name a place outside of it, on another disk if there is one", path.display())]
    Inside {
        /// The place.
        path: PathBuf,
    },
    /// Records are not what was stored; the caller was told of each.
    #[error(
        "{count} things are damaged in the data folder: delete or write those records again, and take the backup then"
    )]
    DamagedFolder {
        /// How many.
        count: u64,
    },
    /// There is no backup.
    #[error("{} is no backup", path.display())]
    NoBackup {
        /// What should be one.
        path: PathBuf,
    },
    /// The backup has no end.
    #[error("the backup {} was broken off before it was whole: remove it, and restore another one", path.display())]
    BrokenOff {
        /// The backup.
        path: PathBuf,
    },
    /// A newer program took it, or an older one of another format.
    #[error("Larder {by} took the backup {}, in a format that this version does not know: restore it with that one", path.display())]
    UnknownFormat {
        /// The backup.
        path: PathBuf,
        /// The version of the program that took it.
        by: String,
    },
    /// The backup is not what was written.
    #[error("the backup is damaged, and nothing was restored: {what}")]
    DamagedBackup {
        /// What is wrong with it.
        what: String,
    },
    /// The folder to restore into is in use.
    #[error("{} is not empty, and a restored folder replaces nothing: name an empty one, or one that is not there", path.display())]
    NotEmpty {
        /// The folder.
        path: PathBuf,
    },
    /// There is no room for the copy.
    #[error("the disk that holds {} is full: free some space, or choose another place", path.display())]
    Full {
        /// What could not be written.
        path: PathBuf,
        /// What was said.
        #[source]
        source: BoxError,
    },
    /// Something else failed.
    #[error("{} cannot be read or written", path.display())]
    Io {
        /// What.
        path: PathBuf,
        /// What was said.
        #[source]
        source: BoxError,
    },
}

impl BackupError {
    /// What `error`, met at `path`, means.
    pub fn of_file(path: &Path, error: io::Error) -> Self {
        let path = path.to_owned();
        if is_full(&error) {
            Self::Full { path, source: error.into() }
        } else {
            Self::Io { path, source: error.into() }
        }
    }

    /// What `error`, met when the index at `index` was written to `target`, means.
    pub fn of_index(index: &Path, target: &Path, error: rusqlite::Error) -> Self {
        if is_index_full(&error) {
            Self::Full { path: target.to_owned(), source: error.into() }
        } else {
            Self::Folder(OpenError::of_index(index, error))
        }
    }
}
