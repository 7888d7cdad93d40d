//! The contract of an object store.

use std::fmt::Debug;

use async_trait::async_trait;

use super::{
    body::ByteStream,
    error::Result,
    lifecycle::Lifecycle,
    object::{GetOptions, ListOptions, ListPage, Object, ObjectMeta, Precondition, PutOptions, PutOutcome},
};

/// The most objects one [`ObjectStore::list`] returns.
pub const MAX_LIST_KEYS: usize = 1000;

/// The most keys one [`ObjectStore::delete_many`] takes.
pub const MAX_DELETE_KEYS: usize = 1000;

/// A flat map from keys to objects.
///
/// Every implementation keeps these promises, and one suite (`tests/storage`) holds each of them to it:
///
/// * A write is atomic, and durable and visible to every reader once it has returned. A write that failed or whose
///   future was dropped leaves the old object; only [`Error::Timeout`](super::Error::Timeout) and
///   [`Error::Unavailable`](super::Error::Unavailable) leave open which of the two it is.
/// * [`list`](Self::list) is in byte order of keys, complete, and sees every write that returned before it began.
/// * Deleting what is not there succeeds.
/// * Attributes come back as they went in.
/// * Of many concurrent writes under [`Precondition::IfAbsent`] exactly one wins; a store that cannot promise that
///   refuses the option with [`Error::Unsupported`](super::Error::Unsupported); likewise for conditional deletes.
/// * A reader that has begun reads the object it began with to its end, whatever is written meanwhile.
///
/// Keys are relative paths of printable ASCII but for the backslash, at most 900 bytes long, whose segments have from 1 to 255 bytes and are none of
/// `.` and `..`; no key is a folder on the way to another. Byte order is promised below a folder whose subfolders' names
/// are no beginnings of names beside them. More is not kept by every vendor: `SeaweedFS` lists folders in the order of
/// their names.
#[async_trait]
pub trait ObjectStore: Debug + Send + Sync + 'static {
    /// Stores `body` under `key`, replacing what is there if `options.precondition` allows it.
    async fn put(&self, key: &str, body: ByteStream, options: PutOptions) -> Result<PutOutcome>;

    /// The object under `key`, its body still to be read. [`Error::NotFound`](super::Error::NotFound) without one,
    /// [`Error::RangeNotSatisfiable`](super::Error::RangeNotSatisfiable) when the range begins behind its end.
    async fn get(&self, key: &str, options: GetOptions) -> Result<Object>;

    /// What [`get`](Self::get) says of the object, without its body.
    async fn head(&self, key: &str) -> Result<ObjectMeta>;

    /// Removes the object under `key`, if there is one. With [`Precondition::IfMatch`] an absent object is
    /// [`Error::Precondition`](super::Error::Precondition).
    async fn delete(&self, key: &str, precondition: Precondition) -> Result<()>;

    /// Removes up to [`MAX_DELETE_KEYS`] objects; some may be gone when this fails.
    async fn delete_many(&self, keys: Vec<String>) -> Result<()>;

    /// A page of the keys that begin with a prefix, in byte order.
    async fn list(&self, options: ListOptions) -> Result<ListPage>;

    /// Copies an object with its attributes; atomic like [`put`](Self::put).
    async fn copy(&self, from: &str, to: &str, precondition: Precondition) -> Result<PutOutcome>;

    /// Checks what the store itself knows of its ability to serve, without a request to another machine: the reader of an
    /// object finds out the rest.
    async fn check(&self) -> Result<()>;

    /// The power to remove objects by rules, where there may be one; decorators pass it on.
    fn lifecycle(&self) -> Option<&dyn Lifecycle> {
        None
    }
}
