//! What can go wrong with an object, by what it means to whoever asked.

use std::time::Duration;

use super::{body::BodyError, cause::BoxError};

/// The result of an operation on objects.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// The property of a call for which it is refused for good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RejectedFor {
    /// The size of the body.
    Size,
    /// The length of the key.
    Key,
    /// The size of the attributes.
    Attributes,
    /// The content coding: what is stored in one does not come back in it.
    Coding,
    /// Something else about it.
    Request,
}

/// A failed operation on objects.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no object under the key.
    #[error("there is no such object")]
    NotFound,
    /// The precondition of a write did not hold; nothing was written.
    #[error("the precondition does not hold")]
    Precondition,
    /// The range begins behind the end of the object.
    #[error("the range lies behind the object's end at {size}")]
    RangeNotSatisfiable {
        /// Size of the whole object in bytes.
        size: u64,
    },
    /// The body of a put broke off or was refused; nothing was written.
    #[error("the body could not be read")]
    Body(#[source] BodyError),
    /// The object store wants fewer calls; nothing was written.
    #[error("the object store asks for patience")]
    Throttled {
        /// When to come back, where it said so.
        retry_after: Option<Duration>,
    },
    /// There is no room for the object; nothing was written.
    #[error("the object store is full")]
    Full(#[source] BoxError),
    /// The object store, or a proxy before it, refuses the call for what it is, and would refuse it again; nothing was written.
    #[error("the object store, or a proxy before it, refuses this for good")]
    Rejected {
        /// The property that it refuses.
        reason: RejectedFor,
        /// The words of the refusal, and who refused.
        #[source]
        source: BoxError,
    },
    /// Calls are fenced off, for the reason that the source has; nothing was written.
    #[error("the object store is fenced off")]
    Fenced(#[source] BoxError),
    /// No answer in time; a write may have happened or may still happen.
    #[error("the object store did not answer in time")]
    Timeout,
    /// The object store cannot be reached or failed; a write may have happened.
    #[error("the object store failed")]
    Unavailable(#[source] BoxError),
    /// The stored bytes are not those that were written.
    #[error("the object is damaged: {0}")]
    Corrupt(String),
    /// This object store cannot do what was asked.
    #[error("this object store cannot do that: {0}")]
    Unsupported(&'static str),
}

/// Whether nobody knows if a failed write has happened, or will.
pub fn leaves_open<T>(answer: &Result<T>) -> bool {
    matches!(answer, Err(Error::Timeout | Error::Unavailable(_)))
}
