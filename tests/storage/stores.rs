//! The implementations under test, each new and empty.

#[cfg(feature = "s3")]
use std::env;
use std::{path::Path, sync::Arc};

use larder::{
    clock::{Clock, SystemClock},
    storage::{
        ObjectStore,
        embedded::{EmbeddedOptions, EmbeddedStore, OpenError},
        memory::MemoryStore,
        sole_writer::SoleWriter,
        unconditional::Unconditional,
    },
};
use tempfile::TempDir;

/// A store, and whatever must live as long as it does.
pub struct TestStore {
    objects: Arc<dyn ObjectStore>,
    _folder: Option<TempDir>,
}

impl TestStore {
    /// The store itself.
    pub fn objects(&self) -> Arc<dyn ObjectStore> {
        Arc::clone(&self.objects)
    }
}

/// The reference.
pub fn memory() -> TestStore {
    TestStore { objects: Arc::new(MemoryStore::new(Arc::new(SystemClock))), _folder: None }
}

/// Conditions over an object store that has none.
pub fn conditions_by_a_sole_writer() -> TestStore {
    let unconditional = Arc::new(Unconditional::new(memory().objects()));
    TestStore { objects: Arc::new(SoleWriter::new(unconditional, Arc::new(SystemClock))), _folder: None }
}

/// The engine in a folder.
pub fn embedded() -> TestStore {
    let folder = TempDir::new().unwrap();
    let objects = Arc::new(open(folder.path(), Arc::new(SystemClock)).unwrap());
    TestStore { objects, _folder: Some(folder) }
}

/// The object store that the environment names, under a prefix of its own.
#[cfg(feature = "s3")]
pub fn s3() -> TestStore {
    tokio::task::block_in_place(|| tokio::runtime::Handle::current().block_on(open_s3()))
}

#[cfg(feature = "s3")]
async fn open_s3() -> TestStore {
    use larder::{
        clock::{Random, SystemRandom},
        storage::s3::{S3Options, S3Store},
    };

    let variable = |name: &str| {
        env::var(name)
            .unwrap_or_else(|_| panic!("{name} is not set; run: cargo xtask test tests, or cargo xtask test-s3"))
    };
    let random: Arc<dyn Random> = Arc::new(SystemRandom);
    let own = random.characters(b"abcdefghijklmnopqrstuvwxyz", 12);
    let options = S3Options {
        endpoint: Some(variable("LARDER_TEST_S3_ENDPOINT").parse().unwrap()),
        region: Some(variable("LARDER_TEST_S3_REGION")),
        prefix: format!("{}/", String::from_utf8(own).unwrap()),
        ..S3Options::new(variable("LARDER_TEST_S3_BUCKET"))
    };
    let objects = S3Store::open(options, Arc::new(SystemClock), random).await.unwrap();
    TestStore { objects: Arc::new(objects), _folder: None }
}

/// The engine in this folder.
pub fn open(folder: &Path, clock: Arc<dyn Clock>) -> Result<EmbeddedStore, OpenError> {
    EmbeddedStore::open(&EmbeddedOptions::new(folder), clock)
}
