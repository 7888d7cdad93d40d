//! A decorator for tests that refuses conditions, like object stores without them (Garage, older versions of Ceph).

use std::sync::Arc;

use async_trait::async_trait;

use larder_object_store::{
    ByteStream, Error, GetOptions, Lifecycle, ListOptions, ListPage, Object, ObjectMeta, ObjectStore, Precondition,
    PutOptions, PutOutcome, Result,
};

/// An object store without conditional writes.
#[derive(Debug)]
pub struct NoConditionalWrites<S: ?Sized = dyn ObjectStore> {
    inner: Arc<S>,
}

impl<S: ObjectStore + ?Sized> NoConditionalWrites<S> {
    /// Passes on the unconditional operations of `inner`.
    pub fn new(inner: Arc<S>) -> Self {
        Self { inner }
    }
}

fn refuse(precondition: &Precondition) -> Result<()> {
    match precondition {
        Precondition::None => Ok(()),
        Precondition::IfAbsent | Precondition::IfMatch(_) => Err(Error::Unsupported("a write under a condition")),
    }
}

#[async_trait]
impl<S: ObjectStore + ?Sized> ObjectStore for NoConditionalWrites<S> {
    async fn put(&self, key: &str, body: ByteStream, options: PutOptions) -> Result<PutOutcome> {
        refuse(&options.precondition)?;
        self.inner.put(key, body, options).await
    }

    async fn get(&self, key: &str, options: GetOptions) -> Result<Object> {
        self.inner.get(key, options).await
    }

    async fn head(&self, key: &str) -> Result<ObjectMeta> {
        self.inner.head(key).await
    }

    async fn delete(&self, key: &str, precondition: Precondition) -> Result<()> {
        refuse(&precondition)?;
        self.inner.delete(key, precondition).await
    }

    async fn delete_many(&self, keys: Vec<String>) -> Result<()> {
        self.inner.delete_many(keys).await
    }

    async fn list(&self, options: ListOptions) -> Result<ListPage> {
        self.inner.list(options).await
    }

    async fn copy(&self, from: &str, to: &str, precondition: Precondition) -> Result<PutOutcome> {
        refuse(&precondition)?;
        self.inner.copy(from, to, precondition).await
    }

    async fn check(&self) -> Result<()> {
        self.inner.check().await
    }

    fn lifecycle(&self) -> Option<&dyn Lifecycle> {
        self.inner.lifecycle()
    }
}
