//! What can go wrong with runs.

use crate::kv::{self, JsonError};

/// The result of an operation on runs.
pub type Result<T, E = RunsError> = std::result::Result<T, E>;

/// A failed operation on runs. Nothing has changed unless the variant says otherwise.
#[derive(Debug, thiserror::Error)]
pub enum RunsError {
    /// The run's document could not be read or written; a change may have happened.
    #[error("runs could not be read or written")]
    Document(#[from] JsonError),
    /// Something about a store; a change may have happened.
    #[error("the store of a run could not be read or written")]
    Store(#[from] kv::Error),
    /// Too many change the same run at once.
    #[error("too many change the same run at once")]
    Contended,
    /// There is no such run.
    #[error("the run was not found")]
    NotFound,
    /// The run is over.
    #[error("the run is over")]
    Over,
    /// The run has been given as many new inputs as it can be.
    #[error("a run can be metamorphed at most {limit} times")]
    TooManyMetamorphs {
        /// How many those are.
        limit: usize,
    },
    /// As many tokens have been made for the run as can be.
    #[error("at most {limit} tokens can be made for a run")]
    TooManyTokens {
        /// How many those are.
        limit: usize,
    },
}
