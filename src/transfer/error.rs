//! Errors of imports and exports.

use std::{
    io,
    path::{Path, PathBuf},
};

/// Reason for a failed import or export.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The server refused the request.
    #[error("the server refused it ({status}): {message}")]
    Refused {
        /// Status of the response.
        status: u16,
        /// Message of the response.
        message: String,
    },
    /// The server did not respond, or its response was cut off.
    #[error("no answer from the server: {0}")]
    NoAnswer(String),
    /// A file or a folder cannot be read or written, or must not be.
    #[error("{path}: {source}")]
    File {
        /// Path of the file.
        path: PathBuf,
        /// Cause.
        source: io::Error,
    },
    /// A file changed while it was read.
    #[error("{}: changed while it was read", .0.display())]
    Changed(PathBuf),
    /// The input is invalid.
    #[error("{0}")]
    Unusable(String),
}

/// Result of a part of an import or export.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// Returns whether the same request may succeed later.
    pub fn may_pass(&self) -> bool {
        match self {
            Self::NoAnswer(_) => true,
            Self::Refused { status, .. } => matches!(status, 408 | 429 | 500 | 502 | 503 | 504),
            Self::File { .. } | Self::Changed(_) | Self::Unusable(_) => false,
        }
    }

    /// Returns whether all other records would fail, too: a server is unreachable, or rejects the token.
    pub fn is_fatal(&self) -> bool {
        self.may_pass() || matches!(self, Self::Refused { status: 401, .. })
    }

    /// Returns the message without the path that the error is about.
    pub fn reason(&self) -> String {
        match self {
            Self::File { source, .. } => source.to_string(),
            Self::Changed(_) => "changed while it was read".to_owned(),
            Self::Refused { .. } | Self::NoAnswer(_) | Self::Unusable(_) => self.to_string(),
        }
    }

    /// Returns a conversion from I/O errors about the file at `path`.
    pub fn of(path: &Path) -> impl Fn(io::Error) -> Self {
        move |source| Self::File { path: path.to_owned(), source }
    }

    /// Returns the error for an unusable entry of a folder.
    pub fn unusable_file(path: PathBuf, what: &'static str) -> Self {
        Self::File { path, source: io::Error::new(io::ErrorKind::InvalidInput, what) }
    }

    /// Wraps the error in an I/O error, which [`Error::from_io`] unwraps.
    pub fn into_io(self) -> io::Error {
        io::Error::other(self)
    }

    /// Unwraps the error of a reader of ours, or returns the I/O error if it is another.
    pub fn from_io(error: io::Error) -> std::result::Result<Self, io::Error> {
        error.downcast()
    }
}
