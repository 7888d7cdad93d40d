//! The decorator itself.

use std::sync::Arc;

use async_trait::async_trait;

use crate::{
    clock::Clock,
    storage::{
        body::ByteStream,
        error::{Error, Result},
        lifecycle::Lifecycle,
        object::{GetOptions, ListOptions, ListPage, Object, ObjectMeta, Precondition, PutOptions, PutOutcome},
        store::{MAX_DELETE_KEYS, ObjectStore},
    },
};

use super::{
    attempts::{CopyAttempt, DeleteAttempt},
    writes::{Sent, Writes},
};

/// An object store that grants conditions although the one beneath it cannot, as long as nobody else writes the keys
/// that are written under conditions.
///
/// * Every write takes its key's turn; under a condition the object is looked at first. So a condition holds when the
///   write takes effect, whoever else writes through the same `SoleWriter`. A stream has the turn only from its last
///   byte on.
/// * A conditional write of at most [`MAX_REPEATED_BYTES`](super::settle::MAX_REPEATED_BYTES) whose answer is lost is
///   settled by looking and by sending the same again, for at most [`PATIENCE`](super::settle::PATIENCE).
/// * What may still arrive after that bars its key for [`DOUBT`](super::doubts::DOUBT): all writes after a conditional
///   one, conditional writes after any other. Barred writes are refused with [`Error::Throttled`], and the time they
///   have to wait.
#[derive(Debug)]
pub struct SoleWriter<S: ?Sized = dyn ObjectStore> {
    writes: Arc<Writes<S>>,
}

impl<S: ObjectStore + ?Sized> SoleWriter<S> {
    /// Grants conditions over `inner`, which is never asked for one.
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
