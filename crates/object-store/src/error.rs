//! Errors of object operations, by their meaning for the caller.

use std::time::Duration;

use super::body::BodyError;

/// A cause whose type is private to the implementation.
pub type BoxError = Box<dyn std::error::Error + Send + Sync + 'static>;

/// The result of an operation on objects.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// The property for which a call is refused permanently.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RejectedFor {
    /// The size of the body.
    Size,
    /// The length of the key.
    Key,
    /// The size of the attributes.
    Attributes,
    /// The content coding: an object stored in one does not come back in it.
    Coding,
    /// Another property.
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
    /// The object store throttles requests; nothing was written.
    #[error("the object store asks for patience")]
    Throttled {
        /// Time after which to retry, if the store named one.
        retry_after: Option<Duration>,
    },
    /// No space is left for the object; nothing was written.
    #[error("the object store is full")]
    Full(#[source] BoxError),
    /// The object store, or a proxy before it, refuses the call permanently; nothing was written.
    #[error("the object store, or a proxy before it, refuses this for good")]
    Rejected {
        /// The property that caused the refusal.
        reason: RejectedFor,
        /// Text and origin of the refusal.
        #[source]
        source: BoxError,
    },
    /// Calls are fenced off, for the reason in the source; nothing was written.
    #[error("the object store is fenced off")]
    Fenced(#[source] BoxError),
    /// No response in time: the outcome of a write is unknown, and it may still take effect.
    #[error("the object store did not answer in time")]
    Timeout,
    /// The object store cannot be reached or failed; a write may have happened.
    #[error("the object store failed")]
    Unavailable(#[source] BoxError),
    /// The stored bytes differ from the written ones.
    #[error("the object is damaged: {0}")]
    Corrupt(String),
    /// This object store does not support the operation.
    #[error("this object store cannot do that: {0}")]
    Unsupported(&'static str),
}

/// Returns whether a failed write is ambiguous: it may have happened, or may still happen.
pub fn is_ambiguous<T>(answer: &Result<T>) -> bool {
    matches!(answer, Err(Error::Timeout | Error::Unavailable(_)))
}
