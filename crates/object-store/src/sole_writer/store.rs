//! The decorator that emulates conditional writes.

use std::sync::Arc;

use async_trait::async_trait;

use crate::{
    body::ByteStream,
    error::{Error, Result},
    lifecycle::Lifecycle,
    object::{GetOptions, ListOptions, ListPage, Object, ObjectMeta, Precondition, PutOptions, PutOutcome},
    store::{MAX_DELETE_KEYS, ObjectStore},
};
use larder_runtime::clock::Clock;

use super::{
    attempts::{CopyAttempt, DeleteAttempt},
    writes::{Sent, Writes},
};

/// An object store that emulates conditions over one without them, for a single writer of the keys that are written
/// under conditions.
///
/// * Every write locks its key; a conditional one reads the object first. So the condition holds when the write takes
///   effect, among all writers through the same `SoleWriter`. A stream holds the lock only from its last byte on.
/// * A conditional write of at most [`MAX_REPEATED_BYTES`](super::settle::MAX_REPEATED_BYTES) whose response is lost is
///   resolved by reading and by sending it again, for at most [`PATIENCE`](super::settle::PATIENCE).
/// * A write that may still arrive after that blocks its key for [`DOUBT`](super::doubts::DOUBT): for all writes after
///   a conditional one, for conditional writes after any other. Blocked writes fail with [`Error::Throttled`] and the
///   time to wait.
#[derive(Debug)]
pub struct SoleWriter<S: ?Sized = dyn ObjectStore> {
    writes: Arc<Writes<S>>,
}

impl<S: ObjectStore + ?Sized> SoleWriter<S> {
    /// Emulates conditions over `inner`, which never receives one.
    pub fn new(inner: Arc<S>, clock: Arc<dyn Clock>) -> Self {
        Self { writes: Arc::new(Writes::new(inner, clock)) }
    }
}

#[async_trait]
impl<S: ObjectStore + ?Sized> ObjectStore for SoleWriter<S> {
    async fn put(&self, key: &str, body: ByteStream, options: PutOptions) -> Result<PutOutcome> {
        let PutOptions { attributes, precondition } = options;
        match self.writes.receive(body, precondition != Precondition::None).await? {
            Sent::Whole(bytes, _room) => self.writes.put_whole(key, bytes, attributes, &precondition).await,
            Sent::Stream(body) => self.writes.put_stream(key, body, attributes, precondition).await,
        }
    }

    async fn get(&self, key: &str, options: GetOptions) -> Result<Object> {
        self.writes.inner.get(key, options).await
    }

    async fn head(&self, key: &str) -> Result<ObjectMeta> {
        self.writes.inner.head(key).await
    }

    async fn delete(&self, key: &str, precondition: Precondition) -> Result<()> {
        let writes = &self.writes;
        let begun = writes.begin(key, &precondition).await?;
        let delete = DeleteAttempt { inner: writes.inner.as_ref(), key };
        writes.make(begun, &delete, precondition != Precondition::None).await
    }

    async fn delete_many(&self, keys: Vec<String>) -> Result<()> {
        if keys.len() > MAX_DELETE_KEYS {
            return Err(Error::Unsupported("deleting more than 1,000 objects at once"));
        }
        self.writes.delete_many(keys).await
    }

    async fn list(&self, options: ListOptions) -> Result<ListPage> {
        self.writes.inner.list(options).await
    }

    async fn copy(&self, from: &str, to: &str, precondition: Precondition) -> Result<PutOutcome> {
        let writes = &self.writes;
        let begun = writes.begin(to, &precondition).await?;
        let copy = CopyAttempt { inner: writes.inner.as_ref(), from, to };
        writes.make(begun, &copy, precondition != Precondition::None).await
    }

    async fn check(&self) -> Result<()> {
        self.writes.inner.check().await
    }

    fn lifecycle(&self) -> Option<&dyn Lifecycle> {
        self.writes.inner.lifecycle()
    }
}
