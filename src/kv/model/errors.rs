//! Errors of the domain, by their meaning to the caller.

use std::time::Duration;

use crate::storage::{self, BodyError, BoxError, RejectedFor};

use super::{
    names::{InvalidKey, InvalidName},
    schema::InvalidSchema,
};

/// The result of a domain operation.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A failed domain operation. Nothing has changed unless the variant says otherwise.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The store does not exist, or no longer.
    #[error("the store was not found")]
    StoreNotFound,
    /// The store has no record under the key.
    #[error("the record was not found")]
    RecordNotFound,
    /// Another store of the owner has the name.
    #[error("a store with this name already exists")]
    NameTaken,
    /// The text is not a valid store name.
    #[error(transparent)]
    InvalidName(#[from] InvalidName),
    /// The text is not a valid record key.
    #[error(transparent)]
    InvalidKey(#[from] InvalidKey),
    /// The key is reserved: a link to its record would also be one to the keys of its store.
    #[error("the key is reserved: a link to its record would open the whole store")]
    ReservedKey,
    /// The schema is invalid, or exceeds a limit.
    #[error(transparent)]
    InvalidSchema(#[from] InvalidSchema),
    /// The store has no schema, or its schema has no such collection.
    #[error("the store's schema has no collection {0:?}")]
    UnknownCollection(String),
    /// The record violates the store's schema.
    #[error("{0}")]
    SchemaViolation(String),
    /// The store is shared with the maximum number of users.
    #[error("a store can be shared with at most {limit} users")]
    TooManyShares {
        /// That maximum.
        limit: usize,
    },
    /// The precondition of a record write failed.
    #[error("the precondition failed")]
    Precondition,
    /// The range begins after the end of the record.
    #[error("the range begins after the end of the record, which has {size} bytes")]
    RangeNotSatisfiable {
        /// Size of the stored record in bytes.
        size: u64,
    },
    /// The body broke off, was rejected, or is malformed.
    #[error(transparent)]
    Body(BodyError),
    /// A temporary failure; the same request may succeed later. A write may have taken effect.
    #[error("temporary failure")]
    Unavailable {
        /// Delay before the retry.
        retry_after: Duration,
        /// The cause.
        #[source]
        cause: BoxError,
    },
    /// The backend is full.
    #[error("the backend is full")]
    Full(#[source] BoxError),
    /// The backend rejects the request permanently. Nothing was written.
    #[error("the backend rejected the request permanently")]
    Rejected {
        /// The rejected property.
        reason: RejectedFor,
        /// The backend's error message.
        #[source]
        cause: BoxError,
    },
    /// The backend does not support the operation.
    #[error("the backend does not support this: {0}")]
    Unsupported(&'static str),
    /// The stored data is damaged.
    #[error("stored data is damaged: {0}")]
    Corrupt(String),
}

/// Delay before a client retries, if the backend did not state one.
const RETRY_AFTER: Duration = Duration::from_secs(1);

impl Error {
    /// Returns a temporary failure with this cause.
    pub fn unavailable(cause: impl Into<BoxError>) -> Self {
        Self::Unavailable { retry_after: RETRY_AFTER, cause: cause.into() }
    }
}

/// Maps a failure on a record's own object; `NotFound` there is an absent record.
impl From<storage::Error> for Error {
    fn from(error: storage::Error) -> Self {
        match error {
            storage::Error::NotFound => Self::RecordNotFound,
            storage::Error::Precondition => Self::Precondition,
            storage::Error::RangeNotSatisfiable { size } => Self::RangeNotSatisfiable { size },
            storage::Error::Body(cause) => Self::Body(cause),
            storage::Error::Throttled { retry_after } => {
                Self::Unavailable { retry_after: retry_after.unwrap_or(RETRY_AFTER), cause: error.into() }
            }
            storage::Error::Full(cause) => Self::Full(cause),
            storage::Error::Rejected { reason, source } => Self::Rejected { reason, cause: source },
            storage::Error::Timeout | storage::Error::Unavailable(_) | storage::Error::Fenced(_) => {
                Self::unavailable(error)
            }
            storage::Error::Corrupt(what) => Self::Corrupt(what),
            storage::Error::Unsupported(what) => Self::Unsupported(what),
        }
    }
}
