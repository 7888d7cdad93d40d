//! What is wrong with a configuration.

use std::fmt;

use crate::telemetry::LogFormat;

/// One thing that is wrong, with its fix.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Where it stands: a variable, a flag, or a file and a key.
    pub place: String,
    /// What is wrong and what to do about it.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.message)
    }
}

/// Everything that is wrong, found at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problems {
    /// Each problem.
    pub list: Vec<Problem>,
    /// The form in which they are to be logged, as far as that could be read.
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
