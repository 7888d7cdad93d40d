//! Problems of a configuration.

use std::fmt;

use crate::telemetry::LogFormat;

/// A problem with its fix.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Its location: a variable, a flag, or a file and a key.
    pub place: String,
    /// The problem and its fix.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.message)
    }
}

/// All problems, found at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problems {
    /// The problems.
    pub list: Vec<Problem>,
    /// The log format for reporting them, as far as it could be read.
    pub log_format: LogFormat,
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.list.len();
        write!(f, "the configuration has {count} {}:", if count == 1 { "problem" } else { "problems" })?;
        for problem in &self.list {
            write!(f, "\n  {problem}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}
