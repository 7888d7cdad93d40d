//! The implementations under test, each new and empty.

use std::{path::Path, sync::Arc};

use larder_object_store::{
    ObjectStore,
    embedded::{EmbeddedOptions, EmbeddedStore, OpenError},
    in_memory::InMemoryStore,
    read_cache::{ReadCache, ReadCacheOptions},
    single_writer::SingleWriterStore,
};
use larder_runtime::clock::{Clock, SystemClock};
use larder_test_kit::no_conditional_writes::NoConditionalWrites;
use tempfile::TempDir;

/// A store, and whatever must live as long as it does.
pub struct TestStore {
    objects: Arc<dyn ObjectStore>,
    _folder: Option<TempDir>,
}

impl TestStore {
    /// Returns the store itself.
    pub fn objects(&self) -> Arc<dyn ObjectStore> {
        Arc::clone(&self.objects)
    }
}

/// Returns the reference.
pub fn memory() -> TestStore {
    TestStore { objects: Arc::new(InMemoryStore::new(Arc::new(SystemClock))), _folder: None }
}

/// Conditions over an object store that has none.
pub fn conditions_by_a_single_writer() -> TestStore {
    let unconditional = Arc::new(NoConditionalWrites::new(memory().objects()));
    TestStore { objects: Arc::new(SingleWriterStore::new(unconditional, Arc::new(SystemClock))), _folder: None }
}

/// Returns the reference, its small objects kept in memory.
pub fn kept_in_memory() -> TestStore {
    let options = ReadCacheOptions { capacity_bytes: 8 << 20, covers: |_| true };
    TestStore { objects: Arc::new(ReadCache::new(memory().objects(), Arc::new(SystemClock), options)), _folder: None }
}

/// Returns the engine in a folder.
pub fn embedded() -> TestStore {
    let folder = TempDir::new().unwrap();
    let objects = Arc::new(open(folder.path(), Arc::new(SystemClock)).unwrap());
    TestStore { objects, _folder: Some(folder) }
}

/// Returns the object store that the environment names.
#[cfg(feature = "s3")]
pub fn s3() -> TestStore {
    let open = larder_test_kit::s3_backend::open();
    let objects = tokio::task::block_in_place(|| tokio::runtime::Handle::current().block_on(open));
    TestStore { objects, _folder: None }
}

/// Returns the engine in this folder.
pub fn open(folder: &Path, clock: Arc<dyn Clock>) -> Result<EmbeddedStore, OpenError> {
    EmbeddedStore::open(&EmbeddedOptions::new(folder), clock)
}
