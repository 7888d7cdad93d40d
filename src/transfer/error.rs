//! What can go wrong on the way.

use std::{
    io,
    path::{Path, PathBuf},
};

/// What went wrong.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The server said no.
    #[error("the server refused it ({status}): {message}")]
    Refused {
        /// The status of its answer.
        status: u16,
        /// Its words.
        message: String,
    },
    /// The server gave no answer, or one that was cut off.
    #[error("no answer from the server: {0}")]
    NoAnswer(String),
    /// A file or a folder could not be read or written.
    #[error("{path}: {source}")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// What is there is not what it should be.
    #[error("{0}")]
    Unusable(String),
}

/// What comes of it.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// Whether it may go well the next time.
    pub fn may_pass(&self) -> bool {
        match self {
            Self::NoAnswer(_) => true,
            Self::Refused { status, .. } => matches!(status, 408 | 429 | 500 | 502 | 503 | 504),
            Self::File { .. } | Self::Unusable(_) => false,
        }
    }

    /// Names the file that `source` is about.
    pub fn of(path: &Path) -> impl Fn(io::Error) -> Self {
        move |source| Self::File { path: path.to_owned(), source }
    }
}
