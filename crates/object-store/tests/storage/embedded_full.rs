//! A disk without room: writes fail and say why, everything that was acknowledged stays, objects can be deleted, and
//! room that comes back is used without a new start.

use std::{
    fs,
    path::Path,
    process::Command,
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use larder_object_store::{
    Error, MAX_DELETE_KEYS, ObjectStore, Precondition, PutOptions,
    embedded::{EmbeddedStore, INLINE_LIMIT},
};
use larder_runtime::clock::SystemClock;
use tempfile::TempDir;

use crate::{
    embedded_folder::files_in,
    stores,
    values::{keys, put, read, value},
};

/// More than any disk of these tests holds.
const TOO_MUCH: usize = 64 * 1024 * 1024;
/// More small values than any disk of these tests holds.
const TOO_MANY: u64 = 2000;
/// Nearly the largest value that is stored in the index.
const SMALL: usize = INLINE_LIMIT - 100;

fn open(folder: &Path) -> EmbeddedStore {
    stores::open(folder, Arc::new(SystemClock)).unwrap()
}

async fn try_put(store: &EmbeddedStore, key: &str, bytes: Bytes) -> Result<(), Error> {
    store.put(key, bytes.into(), PutOptions::default()).await.map(drop)
}

/// Stores an object as soon as the store has seen that there is room again.
async fn put_once_there_is_room(store: &EmbeddedStore, key: &str, bytes: Bytes) {
    let started = Instant::now();
    while let Err(error) = try_put(store, key, bytes.clone()).await {
        assert!(matches!(error, Error::Full(_)), "{error:?}");
        assert!(started.elapsed() < Duration::from_secs(20), "the room that came back is not used");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[test]
fn a_limit_on_files_fails_the_write_that_meets_it_and_no_other() {
    // A limit on the size of files needs no rights and no disk; the signal that comes with it must be ignored.
    let script = "trap '' XFSZ; ulimit -f 65536; exec \"$0\" \"$@\"";
    let output = Command::new("sh")
        .args(["-c", script])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "embedded_full::under_a_limit_on_files", "--ignored"])
        .output()
        .unwrap();
    let words = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && words.contains("1 passed"), "{words}");
}

#[tokio::test]
#[ignore = "its limit is set by a_limit_on_files_fails_the_write_that_meets_it_and_no_other"]
async fn under_a_limit_on_files() {
    let folder = TempDir::new().unwrap();
    let store = open(folder.path());
    put(&store, "large", &value(1, 500_000)).await;
    let error = try_put(&store, "large", value(2, TOO_MUCH)).await.unwrap_err();
    assert!(matches!(error, Error::Full(_)), "{error:?}");
    assert!(read(&store, "large").await.unwrap() == value(1, 500_000));
    put(&store, "large", &value(3, 600_000)).await;
    put(&store, "small", &value(4, 10)).await;
    drop(store);
    assert_eq!(files_in(&folder.path().join("temp")).len() + files_in(&folder.path().join("blobs")).len(), 1);
}

/// A disk in memory, gone when this is dropped.
struct SmallDisk(TempDir);

impl SmallDisk {
    fn new(megabytes: u32) -> Self {
        let folder = TempDir::new().unwrap();
        let options = format!("size={megabytes}m");
        let mount = Command::new("mount").args(["-t", "tmpfs", "-o", &options, "tmpfs"]).arg(folder.path()).status();
        assert!(
            mount.unwrap().success(),
            "a small disk can be mounted by root only: `cargo xtask test tests` runs this where anybody is root"
        );
        Self(folder)
    }

    fn data(&self) -> std::path::PathBuf {
        self.0.path().join("data")
    }

    /// Takes all the room that is left, as another process would.
    fn fill(&self) {
        let error = fs::write(self.0.path().join("others"), vec![1; TOO_MUCH]).unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::StorageFull);
    }

    fn give_back(&self) {
        fs::remove_file(self.0.path().join("others")).unwrap();
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let unmounted = Command::new("umount").arg(self.0.path()).status();
        assert!(unmounted.unwrap().success() || std::thread::panicking());
    }
}

#[tokio::test]
#[ignore = "mounts a small disk; `cargo xtask test tests` runs it where that is possible"]
async fn a_full_disk_fails_the_write_that_meets_it_and_no_other() {
    let disk = SmallDisk::new(64);
    let store = open(&disk.data());
    put(&store, "large", &value(1, 500_000)).await;
    let error = try_put(&store, "large", value(2, TOO_MUCH)).await.unwrap_err();
    assert!(matches!(error, Error::Full(_)), "{error:?}");
    assert!(read(&store, "large").await.unwrap() == value(1, 500_000));

    // The upload that failed gives its room back in the background.
    put_once_there_is_room(&store, "small/00000", value(0, SMALL)).await;
    let mut stored = vec!["small/00000".to_owned()];
    let error = loop {
        let (at, key) = (stored.len() as u64, format!("small/{:05}", stored.len()));
        assert!(at < TOO_MANY, "the disk is not small");
        match try_put(&store, &key, value(at, SMALL)).await {
            Ok(()) => stored.push(key),
            Err(error) => break error,
        }
    };
    assert!(matches!(error, Error::Full(_)), "{error:?}");
    assert!(stored.len() > 300, "only {} objects found room", stored.len());
    store.check().await.unwrap();
    assert_eq!(keys(&store, "small/", 1000).await, stored);
    for (at, key) in stored.iter().enumerate() {
        assert!(read(&store, key).await.unwrap() == value(at as u64, SMALL), "{key} was lost");
    }
    for some in stored.chunks(MAX_DELETE_KEYS) {
        store.delete_many(some.to_vec()).await.unwrap();
    }
    put_once_there_is_room(&store, "small/again", value(3, SMALL)).await;
    put_once_there_is_room(&store, "large", value(4, 600_000)).await;
    drop(store);

    let store = open(&disk.data());
    assert_eq!(keys(&store, "", 1000).await, ["large", "small/again"]);
    assert!(read(&store, "large").await.unwrap() == value(4, 600_000));
    assert_eq!(files_in(&disk.data().join("temp")).len() + files_in(&disk.data().join("blobs")).len(), 1);
}

#[tokio::test]
#[ignore = "mounts a small disk; `cargo xtask test tests` runs it where that is possible"]
async fn a_full_disk_serves_readers_and_deletes_to_its_last_byte() {
    let disk = SmallDisk::new(48);
    for must_start_again in [false, true] {
        let mut store = open(&disk.data());
        for at in 0..100 {
            put(&store, &format!("k/{at:02}"), &value(at, 20_000)).await;
        }
        put(&store, "large", &value(1, 3_000_000)).await;
        disk.fill();
        if must_start_again {
            store.close().await;
            drop(store);
            store = open(&disk.data());
        }
        let mut refused = 0;
        for at in 100..400 {
            refused += u64::from(try_put(&store, &format!("more/{at}"), value(at, SMALL)).await.is_err());
        }
        assert!(refused > 0, "the disk is not full");
        for at in 0..100 {
            let key = format!("k/{at:02}");
            assert!(read(&store, &key).await.unwrap() == value(at, 20_000));
            store.delete(&key, Precondition::None).await.unwrap();
        }
        let more = keys(&store, "more/", 1000).await;
        store.delete_many(more).await.unwrap();
        store.delete("large", Precondition::None).await.unwrap();
        put_once_there_is_room(&store, "again", value(1, 20_000)).await;
        disk.give_back();
        put_once_there_is_room(&store, "large", value(2, 5_000_000)).await;
        drop(store);
        let store = open(&disk.data());
        assert_eq!(keys(&store, "", 1000).await, ["again", "large"]);
        assert!(read(&store, "large").await.unwrap() == value(2, 5_000_000));
    }
}
