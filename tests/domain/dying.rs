//! An object store whose connection is lost for good after so many changes.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
};

use larder::storage::{
    ByteStream, Error, GetOptions, ListOptions, ListPage, Object, ObjectMeta, ObjectStore, Precondition, PutOptions,
    PutOutcome, Result,
};

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
