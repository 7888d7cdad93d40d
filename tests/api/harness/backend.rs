//! The object stores that the contract is held over, and how a test runs on each.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use larder::storage::{
    embedded::{EmbeddedOptions, EmbeddedStore},
    in_memory::InMemoryStore,
};

use super::{clock::ShiftedClock, larder::Larder};

/// Threads of a test's runtime: enough for two requests to be under way at the same instant.
const WORKER_THREADS: usize = 2;

/// Backend of the objects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Backend {
    /// In this process.
    Memory,
    /// In a folder.
    Embedded,
    /// In the object store that the environment names.
    #[cfg(feature = "s3")]
    S3,
}

/// Runs a test over a fresh gateway with this backend.
pub(crate) fn run(backend: Backend, test: fn(Larder) -> BoxFuture<'static, ()>) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(WORKER_THREADS)
        .enable_all()
        .build()
        .expect("the runtime starts");
    runtime.block_on(async {
        let clock = Arc::new(ShiftedClock::default());
        match backend {
            Backend::Memory => {
                let objects = Arc::new(InMemoryStore::new(clock.clone()));
                test(Larder::start(objects, clock).await).await;
            }
            Backend::Embedded => {
                let folder = tempfile::tempdir().expect("there is room for a folder");
                let options = EmbeddedOptions::new(folder.path());
                let objects = Arc::new(EmbeddedStore::open(&options, clock.clone()).expect("the folder opens"));
                test(Larder::start(objects.clone(), clock).await).await;
                objects.close().await;
            }
            #[cfg(feature = "s3")]
            Backend::S3 => {
                let ledger = Arc::default();
                let objects = larder_test_kit::s3_backend::open_with_ledger(Arc::clone(&ledger)).await;
                test(Larder::start_charging(objects, clock, ledger).await).await;
            }
        }
    });
}
