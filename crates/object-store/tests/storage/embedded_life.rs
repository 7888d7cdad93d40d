//! The life of the embedded engine: crashes, ends, and what becomes of the room that objects took.

use std::{
    fs,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use larder_object_store::{
    ByteStream, Error, GetOptions, MAX_DELETE_KEYS, ObjectStore, Precondition, PutOptions,
    embedded::{EmbeddedStore, INLINE_LIMIT},
};
use larder_runtime::clock::{Clock, SystemClock, Timestamp};
use tempfile::TempDir;

use crate::{
    embedded_folder::files_in,
    stores,
    values::{MUCH, keys, put, read, value},
};

fn open(folder: &Path) -> EmbeddedStore {
    stores::open(folder, Arc::new(SystemClock)).unwrap()
}

/// Copies a folder while it is in use and nothing is being written: what a crash would leave of it.
fn crash_image(folder: &Path) -> TempDir {
    let image = TempDir::new().unwrap();
    for file in files_in(folder) {
        let target = image.path().join(&file);
        fs::create_dir_all(target.parent().unwrap()).unwrap();
        fs::copy(folder.join(&file), target).unwrap();
    }
    image
}

/// Waits until something holds that comes about in the background.
async fn eventually(what: &str, holds: impl Fn() -> bool) {
    for _ in 0..6000 {
        if holds() {
            return;
        }
        tokio::task::spawn_blocking(|| std::thread::park_timeout(Duration::from_millis(20))).await.unwrap();
    }
    panic!("still not so after two minutes: {what}");
}

async fn put_many(store: &Arc<EmbeddedStore>, count: usize, size: usize) {
    let write = |at: usize| {
        let store = Arc::clone(store);
        async move { put(&*store, &format!("many/{at:06}"), &value(at as u64, size)).await }
    };
    stream::iter(0..count).map(write).buffer_unordered(128).for_each(|_| async {}).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_acknowledged_survives_a_crash_and_the_start_is_quick() {
    const RECORDS: usize = 100_000;
    let folder = TempDir::new().unwrap();
    let store = Arc::new(open(folder.path()));
    put_many(&store, RECORDS, 50).await;
    put(&*store, "large", &value(1, INLINE_LIMIT * 3)).await;
    let image = crash_image(folder.path());
    assert!(fs::metadata(image.path().join("index.sqlite-wal")).unwrap().len() > 0, "the end was a clean one");
    let started = Instant::now();
    let store = open(image.path());
    let took = started.elapsed();
    assert!(took < Duration::from_secs(1), "the start took {took:?}");
    assert_eq!(keys(&store, "many/", 1000).await.len(), RECORDS);
    for at in (0..RECORDS).step_by(997) {
        assert_eq!(read(&store, &format!("many/{at:06}")).await.unwrap(), value(at as u64, 50));
    }
    assert!(read(&store, "large").await.unwrap() == value(1, INLINE_LIMIT * 3));
}

#[tokio::test]
async fn after_its_end_a_store_refuses_everything_and_the_log_is_in_the_index() {
    let folder = TempDir::new().unwrap();
    let store = open(folder.path());
    put(&store, "k", &value(1, 1000)).await;
    put(&store, "l", &value(1, INLINE_LIMIT + 1)).await;
    let begun = store.get("l", GetOptions::default()).await.unwrap();
    store.close().await;
    assert!(!folder.path().join("index.sqlite-wal").exists());
    assert!(matches!(store.get("k", GetOptions::default()).await, Err(Error::Unavailable(_))));
    assert!(matches!(store.put("k", ByteStream::empty(), PutOptions::default()).await, Err(Error::Unavailable(_))));
    let large = ByteStream::from(value(2, INLINE_LIMIT + 1));
    assert!(matches!(store.put("k", large, PutOptions::default()).await, Err(Error::Unavailable(_))));
    assert!(matches!(store.delete("k", Precondition::None).await, Err(Error::Unavailable(_))));
    assert!(matches!(store.check().await, Err(Error::Unavailable(_))));
    store.close().await;
    assert!(begun.body.into_bytes(MUCH).await.unwrap() == value(1, INLINE_LIMIT + 1), "a reader was cut off");
    drop(store);
    assert_eq!(read(&open(folder.path()), "k").await.unwrap(), value(1, 1000));
}

#[tokio::test]
async fn uploads_that_came_to_nothing_leave_no_file() {
    let folder = TempDir::new().unwrap();
    let store = open(folder.path());
    let kept = put(&store, "k", &value(1, INLINE_LIMIT + 1)).await.etag;
    for chunks in 0..20_usize {
        let bytes = value(2, chunks * 40_000);
        let parts: Vec<_> = bytes.chunks(40_000).map(|part| Ok(Bytes::copy_from_slice(part))).collect();
        let body = ByteStream::new(None, stream::iter(parts).chain(stream::pending()));
        let upload = store.put("k", body, PutOptions::default());
        assert!(tokio::time::timeout(Duration::from_millis(10), upload).await.is_err());
    }
    let refused = PutOptions { precondition: Precondition::IfAbsent, ..PutOptions::default() };
    store.put("k", value(3, INLINE_LIMIT * 2).into(), refused).await.unwrap_err();
    store.copy("k", "k", Precondition::IfAbsent).await.unwrap_err();
    let live = || files_in(&folder.path().join("blobs")).len() + files_in(&folder.path().join("temp")).len();
    eventually("only the kept object's file is left", || live() == 1).await;
    assert_eq!(store.head("k").await.unwrap().etag, kept);
}

#[tokio::test]
async fn files_of_replaced_and_deleted_objects_go() {
    let folder = TempDir::new().unwrap();
    let store = open(folder.path());
    for seed in 0..10 {
        for key in ["a", "b", "c", "d"] {
            put(&store, key, &value(seed, INLINE_LIMIT + 100)).await;
        }
        store.copy("a", "e", Precondition::None).await.unwrap();
    }
    put(&store, "b", &value(1, 5)).await;
    store.delete("c", Precondition::None).await.unwrap();
    store.delete_many(vec!["d".to_owned()]).await.unwrap();
    eventually("two files are left", || files_in(&folder.path().join("blobs")).len() == 2).await;
    assert!(read(&store, "a").await.unwrap() == read(&store, "e").await.unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_index_gives_space_back_while_it_serves() {
    const RECORDS: usize = 3000;
    let folder = TempDir::new().unwrap();
    let store = Arc::new(open(folder.path()));
    put_many(&store, RECORDS, 16 * 1024).await;
    let names = keys(&*store, "many/", 1000).await;
    let size = || fs::metadata(folder.path().join("index.sqlite")).unwrap().len();
    eventually("most values have arrived in the index", || size() > 10 * 1024 * 1024).await;
    for some in names.chunks(MAX_DELETE_KEYS) {
        store.delete_many(some.to_vec()).await.unwrap();
    }
    eventually("the index has shrunk", || size() < 8 * 1024 * 1024).await;
    put(&*store, "k", &value(1, 10)).await;
    assert_eq!(read(&*store, "k").await.unwrap(), value(1, 10));
}

/// A clock that can break: then it panics when it is read.
#[derive(Debug, Default)]
struct BreakableClock(AtomicBool);

#[async_trait::async_trait]
impl Clock for BreakableClock {
    fn now(&self) -> Timestamp {
        assert!(!self.0.load(Ordering::SeqCst), "the clock is broken");
        SystemClock.now()
    }

    fn monotonic(&self) -> Duration {
        SystemClock.monotonic()
    }

    async fn sleep(&self, duration: Duration) {
        SystemClock.sleep(duration).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn writes_fail_at_once_when_the_committing_thread_is_dead_and_reads_go_on() {
    let (folder, clock) = (TempDir::new().unwrap(), Arc::new(BreakableClock::default()));
    let store = Arc::new(stores::open(folder.path(), clock.clone()).unwrap());
    put(&*store, "k", &value(1, 10)).await;
    clock.0.store(true, Ordering::SeqCst);
    let writers: Vec<_> = (0..300)
        .map(|at| {
            let store = Arc::clone(&store);
            tokio::spawn(async move { store.put(&at.to_string(), ByteStream::empty(), PutOptions::default()).await })
        })
        .collect();
    for writer in writers {
        let ended = tokio::time::timeout(Duration::from_secs(30), writer).await.expect("a write hangs");
        assert!(matches!(ended.unwrap(), Err(Error::Unavailable(_))));
    }
    assert!(matches!(store.check().await, Err(Error::Unavailable(_))));
    assert_eq!(read(&*store, "k").await.unwrap(), value(1, 10));
    drop(store);
    assert_eq!(read(&open(folder.path()), "k").await.unwrap(), value(1, 10));
}
