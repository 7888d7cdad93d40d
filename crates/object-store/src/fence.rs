//! A decorator that fences an object store off: while a fence is raised, calls are refused before they reach the store.
//!
//! The owner of the fence decides when it is raised, and why; this decorator knows no reasons of its own.

use std::sync::Arc;

use async_trait::async_trait;
use parking_lot::RwLock;

use super::{
    body::ByteStream,
    lifecycle::Lifecycle,
    object::{GetOptions, ListOptions, ListPage, Object, ObjectMeta, Precondition, PutOptions, PutOutcome},
    store::{BoxError, Error, ObjectStore, Result},
};

/// The calls that a raised fence refuses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FencedCalls {
    /// Calls that change objects.
    Writes,
    /// All calls.
    All,
}

/// A fence before an object store. Clones share its state.
#[derive(Debug, Clone, Default)]
pub struct Fence(Arc<RwLock<Option<Barrier>>>);

#[derive(Debug)]
struct Barrier {
    calls: FencedCalls,
    reason: Arc<str>,
}

impl Fence {
    /// Refuses `calls` from now on, for this reason.
    pub fn raise(&self, calls: FencedCalls, reason: &str) {
        let raised = Barrier { calls, reason: Arc::from(reason) };
        *self.0.write() = Some(raised);
    }

    /// Allows all calls.
    pub fn lower(&self) {
        *self.0.write() = None;
    }

    fn check_read(&self) -> Result<()> {
        self.check_call(|calls| calls == FencedCalls::Writes)
    }

    fn check_write(&self) -> Result<()> {
        self.check_call(|_| false)
    }

    fn check_call(&self, is_allowed: impl FnOnce(FencedCalls) -> bool) -> Result<()> {
        match &*self.0.read() {
            Some(raised) if !is_allowed(raised.calls) => Err(Error::Fenced(BoxError::from(raised.reason.as_ref()))),
            Some(_) | None => Ok(()),
        }
    }
}

/// An object store behind a fence.
#[derive(Debug)]
pub struct FencedStore<S: ?Sized = dyn ObjectStore> {
    inner: Arc<S>,
    fence: Fence,
}

impl<S: ObjectStore + ?Sized> FencedStore<S> {
    /// Puts `fence` before `inner`.
    pub fn new(inner: Arc<S>, fence: Fence) -> Self {
        Self { inner, fence }
    }
}

#[async_trait]
impl<S: ObjectStore + ?Sized> ObjectStore for FencedStore<S> {
    async fn put(&self, key: &str, body: ByteStream, options: PutOptions) -> Result<PutOutcome> {
        self.fence.check_write()?;
        self.inner.put(key, body, options).await
    }

    async fn get(&self, key: &str, options: GetOptions) -> Result<Object> {
        self.fence.check_read()?;
        self.inner.get(key, options).await
    }

    async fn head(&self, key: &str) -> Result<ObjectMeta> {
        self.fence.check_read()?;
        self.inner.head(key).await
    }

    async fn delete(&self, key: &str, precondition: Precondition) -> Result<()> {
        self.fence.check_write()?;
        self.inner.delete(key, precondition).await
    }

    async fn delete_many(&self, keys: Vec<String>) -> Result<()> {
        self.fence.check_write()?;
        self.inner.delete_many(keys).await
    }

    async fn list(&self, options: ListOptions) -> Result<ListPage> {
        self.fence.check_read()?;
        self.inner.list(options).await
    }

    async fn copy(&self, from: &str, to: &str, precondition: Precondition) -> Result<PutOutcome> {
        self.fence.check_write()?;
        self.inner.copy(from, to, precondition).await
    }

    async fn check(&self) -> Result<()> {
        self.inner.check().await
    }

    fn lifecycle(&self) -> Option<&dyn Lifecycle> {
        self.inner.lifecycle()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::in_memory::InMemoryStore;
    use bytes::Bytes;
    use larder_runtime::clock::SystemClock;

    #[tokio::test]
    async fn a_raised_fence_refuses_calls_and_a_lowered_one_lets_them_pass() {
        let (memory, fence) = (Arc::new(InMemoryStore::new(Arc::new(SystemClock))), Fence::default());
        let fenced = FencedStore::new(memory, fence.clone());
        let put = async || fenced.put("k", ByteStream::from(Bytes::from_static(b"v")), PutOptions::default()).await;
        put().await.expect("no fence is raised");
        for (calls, reads) in [(FencedCalls::Writes, true), (FencedCalls::All, false)] {
            fence.raise(calls, "the reason");
            let refused = put().await.expect_err("writes are refused");
            assert!(matches!(&refused, Error::Fenced(reason) if reason.to_string() == "the reason"), "{refused:?}");
            fenced.delete("k", Precondition::None).await.expect_err("deletes are writes");
            fenced.copy("k", "l", Precondition::None).await.expect_err("copies are writes");
            fenced.delete_many(vec!["k".to_owned()]).await.expect_err("deletes are writes");
            let all = ListOptions { prefix: String::new(), start_after: None, limit: 1 };
            assert_eq!(fenced.list(all).await.is_ok(), reads);
            assert_eq!(fenced.head("k").await.is_ok(), reads);
            assert_eq!(fenced.get("k", GetOptions::default()).await.is_ok(), reads);
        }
        fence.lower();
        put().await.expect("the fence is lowered");
    }
}
