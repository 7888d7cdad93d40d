//! Errors of imports and exports.

use std::{
    io,
    path::{Path, PathBuf},
};

/// Reason why something was not imported or exported.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The server refused the request.
    #[error("the server refused it ({status}): {message}")]
    Refused {
        /// Status of its answer.
        status: u16,
        /// Message of its answer.
        message: String,
    },
    /// The server gave no answer, or one that was cut off.
    #[error("no answer from the server: {0}")]
    NoAnswer(String),
    /// A file or a folder could not be read or written, or must not be.
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
    /// The input is not what it should be.
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

    /// Returns whether nothing else can succeed either: a server is away, or does not know the token.
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

    /// Names the file that `source` is about.
    pub fn of(path: &Path) -> impl Fn(io::Error) -> Self {
        move |source| Self::File { path: path.to_owned(), source }
    }

    /// Says what is wrong with an entry of a folder that can be reached.
    pub fn unusable_file(path: PathBuf, what: &'static str) -> Self {
        Self::File { path, source: io::Error::new(io::ErrorKind::InvalidInput, what) }
    }

    /// Wraps the error for a reader, from which [`Error::from_io`] takes it again.
    pub fn into_io(self) -> io::Error {
        io::Error::other(self)
    }

    /// Returns the error that a reader of ours gave, or the I/O error if it is another.
    pub fn from_io(error: io::Error) -> std::result::Result<Self, io::Error> {
        error.downcast()
    }
}
