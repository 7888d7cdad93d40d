//! Errors of runs.

use crate::kv::{self, JsonError};

/// The result of an operation on runs.
pub type Result<T, E = RunsError> = std::result::Result<T, E>;

/// A failed operation on runs. Nothing has changed unless the variant says otherwise.
#[derive(Debug, thiserror::Error)]
pub enum RunsError {
    /// The run's document could not be read or written; a change may have taken effect.
    #[error("runs could not be read or written")]
    Document(#[from] JsonError),
    /// An operation on the run's store failed; a change may have taken effect.
    #[error("the store of a run could not be read or written")]
    Store(#[from] kv::Error),
    /// Contention: too many concurrent changes of the run.
    #[error("too many change the same run at once")]
    Contended,
    /// The run does not exist.
    #[error("the run was not found")]
    NotFound,
    /// The run is over.
    #[error("the run is over")]
    Over,
    /// The run has reached the maximum number of metamorphs.
    #[error("a run can be metamorphed at most {limit} times")]
    TooManyMetamorphs {
        /// That maximum.
        limit: usize,
    },
    /// The run has reached the maximum number of tokens.
    #[error("at most {limit} tokens can be made for a run")]
    TooManyTokens {
        /// That maximum.
        limit: usize,
    },
}
