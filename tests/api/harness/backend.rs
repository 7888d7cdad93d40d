//! The object stores that the contract is held over, and how a test runs on each.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use larder::{
    clock::Clock,
    storage::{ObjectStore, memory::MemoryStore},
};
use tempfile::TempDir;

use super::{clock::ShiftedClock, larder::Larder};

/// Threads of a test's runtime: enough for two requests to be under way at the same instant.
const WORKER_THREADS: usize = 2;

/// Where the objects are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Backend {
    /// In this process.
    Memory,
    /// In a folder.
    Embedded,
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
        let (objects, _folder) = open(backend, clock.clone()).await;
        let larder = Larder::start(objects, clock).await;
        test(larder).await;
    });
}

async fn open(backend: Backend, clock: Arc<dyn Clock>) -> (Arc<dyn ObjectStore>, Option<TempDir>) {
    match backend {
        Backend::Memory => (Arc::new(MemoryStore::new(clock)), None),
        Backend::Embedded => (Arc::new(MemoryStore::new(clock)), None),
    }
}
