//! Report of an import or export: everything that was not transferred unchanged, with its place and the reason.

use std::{collections::BTreeSet, fmt, path::Path};

use serde::{Deserialize, Serialize};

use super::error::Error;

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
    pub fn at(path: &Path, reason: impl Into<String>) -> Self {
        Self::new(path.display().to_string(), reason)
    }

    /// Returns a finding about `place` with the reason of `error`.
    pub fn of(place: impl Into<String>, error: &Error) -> Self {
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
