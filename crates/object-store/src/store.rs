//! The contract of an object store; its operations by name, the priority of calls, and errors by their meaning for the
//! caller.

use std::{fmt::Debug, future::Future, time::Duration};

use async_trait::async_trait;

use larder_runtime::telemetry::CallClass;

use super::{
    body::{BodyError, ByteStream},
    lifecycle::Lifecycle,
    object::{GetOptions, ListOptions, ListPage, Object, ObjectMeta, Precondition, PutOptions, PutOutcome},
};

/// Maximum number of objects that one [`ObjectStore::list`] returns.
pub const MAX_LIST_KEYS: usize = 1000;

/// Maximum number of keys of one [`ObjectStore::delete_many`].
pub const MAX_DELETE_KEYS: usize = 1000;

/// A flat map from keys to objects.
///
/// Every implementation keeps these promises, and one suite (`tests/storage`) holds each of them to it:
///
/// * A write is atomic, and durable and visible to every reader once it has returned. A write that failed or whose
///   future was dropped leaves the old object; only [`Error::Timeout`] and [`Error::Unavailable`] leave open which of
///   the two it is.
/// * [`list`](Self::list) is in byte order of keys, complete, and sees every write that returned before it began.
/// * Deleting an absent object succeeds.
/// * Attributes come back unchanged.
/// * Of many concurrent writes under [`Precondition::IfAbsent`] exactly one wins; a store that cannot promise that
///   refuses the option with [`Error::Unsupported`]; likewise for conditional deletes.
/// * A reader that has begun reads the same object to its end, whatever is written meanwhile.
///
/// Keys are relative paths of printable ASCII except the backslash, at most 900 bytes long. Their segments have 1 to
/// 255 bytes and are neither `.` nor `..`; no key is a folder on the path of another. Byte order is guaranteed below a
/// folder if no name of a subfolder is a prefix of a name beside it. Not every vendor guarantees more: `SeaweedFS`
/// lists folders in the order of their names.
#[async_trait]
pub trait ObjectStore: Debug + Send + Sync + 'static {
    /// Stores `body` under `key`, and replaces the present object if `options.precondition` allows it.
    async fn put(&self, key: &str, body: ByteStream, options: PutOptions) -> Result<PutOutcome>;

    /// Returns the object under `key`, its body still to be read. Fails with [`Error::NotFound`] without one, with
    /// [`Error::RangeNotSatisfiable`] if the range begins behind its end.
    async fn get(&self, key: &str, options: GetOptions) -> Result<Object>;

    /// Returns the metadata that [`get`](Self::get) returns, without the body.
    async fn head(&self, key: &str) -> Result<ObjectMeta>;

    /// Deletes the object under `key`, if there is one. With [`Precondition::IfMatch`] an absent object is
    /// [`Error::Precondition`].
    async fn delete(&self, key: &str, precondition: Precondition) -> Result<()>;

    /// Deletes up to [`MAX_DELETE_KEYS`] objects; some may be gone if this fails.
    async fn delete_many(&self, keys: Vec<String>) -> Result<()>;

    /// Returns a page of the keys that begin with a prefix, in byte order.
    async fn list(&self, options: ListOptions) -> Result<ListPage>;

    /// Copies an object with its attributes; atomic like [`put`](Self::put).
    async fn copy(&self, from: &str, to: &str, precondition: Precondition) -> Result<PutOutcome>;

    /// Checks the store's local state, without a request to another machine: readers of objects discover the rest.
    async fn check(&self) -> Result<()>;

    /// Returns the interface to lifecycle rules, if the store may have them; decorators pass it on.
    fn lifecycle(&self) -> Option<&dyn Lifecycle> {
        None
    }
}

/// An operation of an object store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Operation {
    /// [`ObjectStore::put`].
    Put,
    /// [`ObjectStore::get`].
    Get,
    /// [`ObjectStore::head`].
    Head,
    /// [`ObjectStore::delete`].
    Delete,
    /// [`ObjectStore::delete_many`].
    DeleteMany,
    /// [`ObjectStore::list`].
    List,
    /// [`ObjectStore::copy`].
    Copy,
    /// [`ObjectStore::check`].
    Check,
}

impl Operation {
    /// All operations, in the order of their numbers.
    pub const ALL: [Self; 8] =
        [Self::Put, Self::Get, Self::Head, Self::Delete, Self::DeleteMany, Self::List, Self::Copy, Self::Check];

    /// Returns the name in metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Put => "put",
            Self::Get => "get",
            Self::Head => "head",
            Self::Delete => "delete",
            Self::DeleteMany => "delete_many",
            Self::List => "list",
            Self::Copy => "copy",
            Self::Check => "check",
        }
    }

    /// Returns the name in traces.
    pub fn title(self) -> &'static str {
        match self {
            Self::Put => "object put",
            Self::Get => "object get",
            Self::Head => "object head",
            Self::Delete => "object delete",
            Self::DeleteMany => "object delete_many",
            Self::List => "object list",
            Self::Copy => "object copy",
            Self::Check => "object check",
        }
    }

    /// Returns the class in which a vendor would bill it.
    pub fn class(self) -> CallClass {
        match self {
            Self::Put | Self::List | Self::Copy | Self::Check => CallClass::A,
            Self::Get | Self::Head => CallClass::B,
            Self::Delete | Self::DeleteMany => CallClass::Free,
        }
    }
}

tokio::task_local! {
    static BACKGROUND: ();
}

/// Runs `work`, whose calls give way to those of requests.
pub async fn in_background<F: Future>(work: F) -> F::Output {
    BACKGROUND.scope((), work).await
}

/// Returns whether the current call is made [`in_background`].
pub fn is_background() -> bool {
    BACKGROUND.try_with(|()| ()).is_ok()
}

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
