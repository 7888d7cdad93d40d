//! Priority of changes in the embedded engine: those in the background give way to those of requests.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering::Relaxed},
};

use futures_util::{future::join_all, poll};
use larder_object_store::in_background;
use larder_runtime::clock::SystemClock;
use tempfile::TempDir;

use crate::{
    stores,
    values::{put, read, value},
};

/// Number of changes in the background that wait when the request comes: more than are committed at once.
const WAITING: usize = 2000;

#[tokio::test]
async fn a_request_is_answered_before_what_waits_in_the_background() {
    let folder = TempDir::new().unwrap();
    let store = Arc::new(stores::open(folder.path(), Arc::new(SystemClock)).unwrap());
    let done = Arc::new(AtomicUsize::new(0));
    let work: Vec<_> = (0..WAITING)
        .map(|at| {
            let (store, done) = (Arc::clone(&store), Arc::clone(&done));
            tokio::spawn(in_background(async move {
                put(&*store, &format!("background/{at:06}"), &value(at as u64, 100)).await;
                done.fetch_add(1, Relaxed);
            }))
        })
        .collect();
    while done.load(Relaxed) == 0 {
        tokio::task::yield_now().await;
    }
    put(&*store, "request", &value(1, 100)).await;
    let before = done.load(Relaxed);
    assert!(before < WAITING / 4, "{before} changes in the background came first");
    for one in work {
        one.await.unwrap();
    }
    assert_eq!(done.load(Relaxed), WAITING);
    store.close().await;
}

#[tokio::test]
async fn what_waits_in_the_background_is_made_before_the_end() {
    let folder = TempDir::new().unwrap();
    let store = stores::open(folder.path(), Arc::new(SystemClock)).unwrap();
    let keys: Vec<String> = (0..20).map(|at| format!("background/{at:02}")).collect();
    let bytes = value(1, 100);
    let mut work = Box::pin(in_background(join_all(keys.iter().map(|key| put(&store, key, &bytes)))));
    assert!(poll!(&mut work).is_pending());
    tokio::join!(work, store.close());
    drop(store);
    let again = stores::open(folder.path(), Arc::new(SystemClock)).unwrap();
    for key in &keys {
        assert_eq!(read(&again, key).await.unwrap(), bytes);
    }
}
