//! Results of checks.

use std::{error::Error as StdError, fmt::Write as _};

use serde::Serialize;

/// The verdict of a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Verdict {
    /// As required.
    Ok,
    /// A feature is missing, and Larder works without it.
    Lacks,
    /// A requirement is not met.
    Wrong,
    /// The check did not finish in time.
    Unfinished,
}

/// The result of a check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Subject of the check, in a word or two.
    pub check: &'static str,
    /// Description of the check.
    pub tried: &'static str,
    /// Outcome of the check.
    #[serde(flatten)]
    pub outcome: Outcome,
}

/// The outcome of a check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Outcome {
    /// The verdict.
    pub verdict: Verdict,
    /// The observation, and its meaning.
    pub meaning: String,
    /// Advice, if anything needs to be done.
    pub advice: Option<String>,
}

impl Outcome {
    /// Returns the outcome of a check that passed.
    pub fn ok(meaning: impl Into<String>) -> Self {
        Self { verdict: Verdict::Ok, meaning: meaning.into(), advice: None }
    }

    /// Returns the outcome for a missing feature that Larder works without.
    pub fn lacks(meaning: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { verdict: Verdict::Lacks, meaning: meaning.into(), advice: Some(advice.into()) }
    }

    /// Returns the outcome for an unmet requirement.
    pub fn wrong(meaning: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { verdict: Verdict::Wrong, meaning: meaning.into(), advice: Some(advice.into()) }
    }

    /// Returns the outcome of a failure, with all its causes.
    pub fn failed(error: &dyn StdError) -> Self {
        let mut text = error.to_string();
        let mut cause = error.source();
        while let Some(error) = cause {
            let _ = write!(text, ": {error}");
            cause = error.source();
        }
        Self::wrong(text, "do what the object store says, and run the doctor again")
    }

    /// Returns the outcome of a check that did not finish.
    pub fn unfinished(seconds: u64) -> Self {
        Self {
            verdict: Verdict::Unfinished,
            meaning: format!("the check was not done after {seconds} s"),
            advice: Some("look whether the object store is overloaded or far away, and try again".to_owned()),
        }
    }
}
