//! What can go wrong in the domain, by what it means to whoever asked.

use std::time::Duration;

use crate::storage::{self, BodyError, BoxError, RejectedFor};

use super::{key::InvalidKey, name::InvalidName, schema::InvalidSchema};

/// The result of a domain operation.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A failed domain operation. Nothing has changed unless the variant says otherwise.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no such store, or it is gone.
    #[error("the store was not found")]
    StoreNotFound,
    /// The store has no record under the key.
    #[error("the record was not found")]
    RecordNotFound,
    /// Another store of the owner has the name.
    #[error("a store with this name already exists")]
    NameTaken,
    /// The text cannot name a store.
    #[error(transparent)]
    InvalidName(#[from] InvalidName),
    /// The text cannot be a record key.
    #[error(transparent)]
    InvalidKey(#[from] InvalidKey),
    /// No record is written under the key: a link to it would be one to the keys of its store.
    #[error("the key is reserved: a link to its record would open the whole store")]
    ReservedKey,
    /// The schema is not one, or asks for more than is allowed.
    #[error(transparent)]
    InvalidSchema(#[from] InvalidSchema),
    /// The store has no schema, or the schema no such collection.
    #[error("the store's schema has no collection {0:?}")]
    UnknownCollection(String),
    /// The record is not what the store's schema asks for.
    #[error("{0}")]
    SchemaViolation(String),
    /// The store is shared with as many users as it can be.
    #[error("a store can be shared with at most {limit} users")]
    TooManyShares {
        /// How many those are.
        limit: usize,
    },
    /// The condition of a record write does not hold.
    #[error("the condition does not hold")]
    Precondition,
    /// The range begins behind the end of the record.
    #[error("the range lies behind the record's end at {size}")]
    RangeNotSatisfiable {
        /// Size of the stored record in bytes.
        size: u64,
    },
    /// The body broke off, was refused or is not what it was said to be.
    #[error(transparent)]
    Body(BodyError),
    /// Something stands in the way for a moment; the same request may succeed later. A write may have happened.
    #[error("try again")]
    Unavailable {
        /// When to try again.
        retry_after: Duration,
        /// What stands in the way.
        #[source]
        cause: BoxError,
    },
    /// The backend has no room left.
    #[error("there is no room left")]
    Full(#[source] BoxError),
    /// The backend refuses the request for what it is, and would refuse it again. Nothing was written.
    #[error("the backend refuses this for good")]
    Rejected {
        /// The property that it refuses.
        reason: RejectedFor,
        /// The words of the refusal.
        #[source]
        cause: BoxError,
    },
    /// The backend cannot do what was asked.
    #[error("the backend cannot do that: {0}")]
    Unsupported(&'static str),
    /// Stored data is not what this program writes.
    #[error("stored data is damaged: {0}")]
    Corrupt(String),
}

/// How long a client waits before it tries again, where the backend did not say.
const RETRY_AFTER: Duration = Duration::from_secs(1);

impl Error {
    /// Something stands in the way for a moment.
    pub fn unavailable(cause: impl Into<BoxError>) -> Self {
        Self::Unavailable { retry_after: RETRY_AFTER, cause: cause.into() }
    }
}

/// The meaning of a failure on a record's own object; `NotFound` there is an absent record.
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
