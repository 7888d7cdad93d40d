//! Errors of imports and exports, and the report of everything that was not transferred unchanged.

use std::{
    collections::BTreeSet,
    fmt, io,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

/// Reason for a failed import or export.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The server rejected the request.
    #[error("the server rejected the request ({status}): {message}")]
    Rejected {
        /// Status of the response.
        status: u16,
        /// Message of the response.
        message: String,
    },
    /// The server did not respond, or its response was cut off.
    #[error("no response from the server: {0}")]
    NoResponse(String),
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
    FileChanged(PathBuf),
    /// The input is invalid.
    #[error("{0}")]
    Invalid(String),
}

/// Result of a part of an import or export.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// Returns whether the same request may succeed later.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::NoResponse(_) => true,
            Self::Rejected { status, .. } => matches!(status, 408 | 429 | 500 | 502 | 503 | 504),
            Self::File { .. } | Self::FileChanged(_) | Self::Invalid(_) => false,
        }
    }

    /// Returns whether all other records would fail, too: a server is unreachable, or rejects the token.
    pub fn is_fatal(&self) -> bool {
        self.is_retryable() || matches!(self, Self::Rejected { status: 401, .. })
    }

    /// Returns the message without the path that the error is about.
    pub fn reason(&self) -> String {
        match self {
            Self::File { source, .. } => source.to_string(),
            Self::FileChanged(_) => "changed while it was read".to_owned(),
            Self::Rejected { .. } | Self::NoResponse(_) | Self::Invalid(_) => self.to_string(),
        }
    }

    /// Returns a conversion from I/O errors about the file at `path`.
    pub fn at_path(path: &Path) -> impl Fn(io::Error) -> Self {
        move |source| Self::File { path: path.to_owned(), source }
    }

    /// Returns the error for an unusable entry of a folder.
    pub fn invalid_file(path: PathBuf, what: &'static str) -> Self {
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

/// One entry of a report.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Finding {
    /// Path of the file, or the store and the key.
    pub place: String,
    /// Reason, or the applied rule.
    pub reason: String,
}

/// Findings of an import or export, sorted by place, without duplicates.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// Entries that were transferred by a rule, or skipped because they are no records.
    pub notes: BTreeSet<Finding>,
    /// Entries that should have been transferred and were not.
    pub left_out: BTreeSet<Finding>,
}

impl Finding {
    /// Returns a finding about `place`.
    pub fn new(place: impl Into<String>, reason: impl Into<String>) -> Self {
        Self { place: place.into(), reason: reason.into() }
    }

    /// Returns a finding about the file at `path`.
    pub fn at_path(path: &Path, reason: impl Into<String>) -> Self {
        Self::new(path.display().to_string(), reason)
    }

    /// Returns a finding about `place` with the reason of `error`.
    pub fn from_error(place: impl Into<String>, error: &Error) -> Self {
        Self::new(place, error.reason())
    }
}

impl fmt::Display for Finding {
    /// Writes the finding on one line. Names of files may contain anything; they are escaped, so that none can begin a
    /// line or control a terminal.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = format!("{}: {}", self.place, self.reason);
        for sign in text.chars() {
            if sign.is_control() { write!(f, "{}", sign.escape_default())? } else { write!(f, "{sign}")? }
        }
        Ok(())
    }
}

impl Report {
    /// Adds an entry that was transferred by a rule, or that is no record.
    pub fn note(&mut self, finding: Finding) {
        self.notes.insert(finding);
    }

    /// Adds an entry that should have been transferred and was not.
    pub fn leave_out(&mut self, finding: Finding) {
        self.left_out.insert(finding);
    }

    /// Adds all findings of another report.
    pub fn merge(&mut self, other: Self) {
        self.notes.extend(other.notes);
        self.left_out.extend(other.left_out);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_finding_is_one_line_whatever_its_file_is_called() {
        let finding = Finding::new("a\nleft out: b\u{1b}[2J", "is a link");
        assert_eq!(finding.to_string(), "a\\nleft out: b\\u{1b}[2J: is a link");
    }

    #[test]
    fn a_finding_that_is_made_twice_is_one() {
        let mut report = Report::default();
        for _ in 0..2 {
            report.leave_out(Finding::new("a", "is a link"));
        }
        assert_eq!(report.left_out.len(), 1);
    }
}
