//! What a check says.

use std::{error::Error as StdError, fmt::Write as _};

use serde::Serialize;

/// How a check ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Verdict {
    /// As it should be.
    Ok,
    /// Something is missing, and Larder does without it.
    Lacks,
    /// Something is not as it must be.
    Wrong,
    /// It could not be brought to an end in time.
    Unfinished,
}

/// What a check says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What was looked at, in a word or two.
    pub check: &'static str,
    /// What was tried.
    pub tried: &'static str,
    /// What came of it.
    #[serde(flatten)]
    pub outcome: Outcome,
}

/// What came of a check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Outcome {
    /// How it ended.
    pub verdict: Verdict,
    /// What was seen, and what that means.
    pub meaning: String,
    /// What to do; nothing where nothing need be done.
    pub advice: Option<String>,
}

impl Outcome {
    /// As it should be.
    pub fn ok(meaning: impl Into<String>) -> Self {
        Self { verdict: Verdict::Ok, meaning: meaning.into(), advice: None }
    }

    /// Missing, and done without.
    pub fn lacks(meaning: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { verdict: Verdict::Lacks, meaning: meaning.into(), advice: Some(advice.into()) }
    }

    /// Not as it must be.
    pub fn wrong(meaning: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { verdict: Verdict::Wrong, meaning: meaning.into(), advice: Some(advice.into()) }
    }

    /// A failure, with all its causes.
    pub fn failed(error: &dyn StdError) -> Self {
        let mut text = error.to_string();
        let mut cause = error.source();
        while let Some(error) = cause {
            let _ = write!(text, ": {error}");
            cause = error.source();
        }
        Self::wrong(text, "do what the object store says, and run the doctor again")
    }

    /// Not brought to an end.
    pub fn unfinished(seconds: u64) -> Self {
        Self {
            verdict: Verdict::Unfinished,
            meaning: format!("the check was not done after {seconds} s"),
            advice: Some("look whether the object store is overloaded or far away, and try again".to_owned()),
        }
    }
}
