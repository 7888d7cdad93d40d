//! Object stores for tests: one whose calls are counted, and one whose connection is lost for good after a number of changes.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::SeqCst;

use larder::storage::{
    ByteStream, Error, GetOptions, ListOptions, ListPage, Object, ObjectMeta, ObjectStore, Precondition, PutOptions,
    PutOutcome, Result,
};

/// Counts reads and deletions.
pub struct Counted {
    inner: Arc<dyn ObjectStore>,
    gets: AtomicUsize,
    deletions: AtomicUsize,
}

impl Counted {
    pub fn new(inner: Arc<dyn ObjectStore>) -> Arc<Self> {
        Arc::new(Self { inner, gets: AtomicUsize::new(0), deletions: AtomicUsize::new(0) })
    }

    pub fn gets(&self) -> usize {
        self.gets.load(SeqCst)
    }

    /// Calls that delete, however many objects each of them does.
    pub fn deletions(&self) -> usize {
        self.deletions.load(SeqCst)
    }
}

impl fmt::Debug for Counted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Counted").finish_non_exhaustive()
    }
}

#[async_trait::async_trait]
impl ObjectStore for Counted {
    async fn put(&self, key: &str, body: ByteStream, options: PutOptions) -> Result<PutOutcome> {
        self.inner.put(key, body, options).await
    }
    async fn get(&self, key: &str, options: GetOptions) -> Result<Object> {
        self.gets.fetch_add(1, SeqCst);
        self.inner.get(key, options).await
    }
    async fn head(&self, key: &str) -> Result<ObjectMeta> {
        self.inner.head(key).await
    }
    async fn delete(&self, key: &str, precondition: Precondition) -> Result<()> {
        self.deletions.fetch_add(1, SeqCst);
        self.inner.delete(key, precondition).await
    }
    async fn delete_many(&self, keys: Vec<String>) -> Result<()> {
        self.deletions.fetch_add(1, SeqCst);
        self.inner.delete_many(keys).await
    }
    async fn list(&self, options: ListOptions) -> Result<ListPage> {
        self.inner.list(options).await
    }
    async fn copy(&self, from: &str, to: &str, precondition: Precondition) -> Result<PutOutcome> {
        self.inner.copy(from, to, precondition).await
    }
    async fn check(&self) -> Result<()> {
        self.inner.check().await
    }
}

/// An object store that applies so many changes, and fails every call afterwards.
pub struct Dying {
    inner: Arc<dyn ObjectStore>,
    left: AtomicUsize,
}

impl Dying {
    pub fn after(changes: usize, inner: Arc<dyn ObjectStore>) -> Arc<Self> {
        Arc::new(Self { inner, left: AtomicUsize::new(changes) })
    }

    /// Returns `true` if all changes were applied, and one more would have been.
    pub fn is_alive(&self) -> bool {
        self.left.load(SeqCst) > 0
    }

    fn change(&self) -> Result<()> {
        let took = self.left.fetch_update(SeqCst, SeqCst, |left| left.checked_sub(1));
        took.map(drop).map_err(|_| Error::Unavailable("gone".into()))
    }

    fn read(&self) -> Result<()> {
        if self.is_alive() { Ok(()) } else { Err(Error::Unavailable("gone".into())) }
    }
}

impl fmt::Debug for Dying {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dying").finish_non_exhaustive()
    }
}

#[async_trait::async_trait]
impl ObjectStore for Dying {
    async fn put(&self, key: &str, body: ByteStream, options: PutOptions) -> Result<PutOutcome> {
        self.change()?;
        self.inner.put(key, body, options).await
    }
    async fn get(&self, key: &str, options: GetOptions) -> Result<Object> {
        self.read()?;
        self.inner.get(key, options).await
    }
    async fn head(&self, key: &str) -> Result<ObjectMeta> {
        self.read()?;
        self.inner.head(key).await
    }
    async fn delete(&self, key: &str, precondition: Precondition) -> Result<()> {
        self.change()?;
        self.inner.delete(key, precondition).await
    }
    async fn delete_many(&self, keys: Vec<String>) -> Result<()> {
        self.change()?;
        self.inner.delete_many(keys).await
    }
    async fn list(&self, options: ListOptions) -> Result<ListPage> {
        self.read()?;
        self.inner.list(options).await
    }
    async fn copy(&self, from: &str, to: &str, precondition: Precondition) -> Result<PutOutcome> {
        self.change()?;
        self.inner.copy(from, to, precondition).await
    }
    async fn check(&self) -> Result<()> {
        self.read()
    }
}
