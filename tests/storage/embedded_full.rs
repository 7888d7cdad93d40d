//! A disk without room: writes fail and say why, everything that was acknowledged stays, and room that comes back is
//! used without a new start.

use std::{fs, path::Path, process::Command, sync::Arc};

use larder::{
    clock::SystemClock,
    storage::{Error, MAX_DELETE_KEYS, ObjectStore, PutOptions, embedded::INLINE_LIMIT},
};
use tempfile::TempDir;

use crate::{
    embedded_folder::files_in,
    stores,
    values::{keys, put, read, value},
};

/// More than any disk of these tests holds.
const TOO_MUCH: usize = 32 * 1024 * 1024;
/// More small values than any disk of these tests holds.
const TOO_MANY: u64 = 2000;

/// Fills the disk under `folder`, once with a large object and once with small ones, and empties it again.
async fn fill_and_recover(folder: &Path, is_no_room: fn(&Error) -> bool) {
    let store = stores::open(folder, Arc::new(SystemClock)).unwrap();
    put(&store, "large", &value(1, 500_000)).await;
    let error = store.put("large", value(2, TOO_MUCH).into(), PutOptions::default()).await.unwrap_err();
    assert!(matches!(error, Error::Full(_)), "{error:?}");
    assert!(read(&store, "large").await.unwrap() == value(1, 500_000));

    let mut stored = Vec::new();
    let error = loop {
        let (at, key) = (stored.len() as u64, format!("small/{:05}", stored.len()));
        assert!(at < TOO_MANY, "the disk is not small");
        match store.put(&key, value(at, INLINE_LIMIT - 100).into(), PutOptions::default()).await {
            Ok(_) => stored.push(key),
            Err(error) => break error,
        }
    };
    assert!(is_no_room(&error), "{error:?}");
    assert!(stored.len() > 20, "only {} objects found room", stored.len());
    store.check().await.unwrap();
    assert_eq!(keys(&store, "small/", 1000).await, stored);
    for (at, key) in stored.iter().enumerate() {
        assert!(read(&store, key).await.unwrap() == value(at as u64, INLINE_LIMIT - 100), "{key} was lost");
    }
    // What is in the way of a put must not be in the way of a delete.
    for some in stored.chunks(MAX_DELETE_KEYS) {
        store.delete_many(some.to_vec()).await.unwrap();
    }
    put(&store, "small/again", &value(3, INLINE_LIMIT - 100)).await;
    put(&store, "large", &value(4, 600_000)).await;
    drop(store);

    let store = stores::open(folder, Arc::new(SystemClock)).unwrap();
    assert_eq!(keys(&store, "", 1000).await, ["large", "small/again"]);
    assert!(read(&store, "large").await.unwrap() == value(4, 600_000));
    assert_eq!(files_in(&folder.join("temp")).len() + files_in(&folder.join("files")).len(), 1);
}

#[test]
fn a_limit_on_files_fails_the_write_that_meets_it_and_no_other() {
    // A limit on the size of files needs no rights and no disk; the signal that comes with it must be ignored.
    let script = "trap '' XFSZ; ulimit -f 16384; exec \"$0\" \"$@\"";
    let test = "embedded_full::under_a_limit_on_files";
    let output = Command::new("sh")
        .args(["-c", script])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", test, "--ignored"])
        .output()
        .unwrap();
    let words = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && words.contains("1 passed"), "{words}");
}

#[tokio::test]
#[ignore = "its limit is set by a_limit_on_files_fails_the_write_that_meets_it_and_no_other"]
async fn under_a_limit_on_files() {
    let folder = TempDir::new().unwrap();
    fill_and_recover(folder.path(), |error| matches!(error, Error::Full(_) | Error::Unavailable(_))).await;
}

/// A disk in memory, gone when this is dropped.
struct SmallDisk(TempDir);

impl SmallDisk {
    fn new(megabytes: u32) -> Self {
        let folder = TempDir::new().unwrap();
        let options = format!("size={megabytes}m");
        let mount = Command::new("mount").args(["-t", "tmpfs", "-o", &options, "tmpfs"]).arg(folder.path()).status();
        assert!(mount.unwrap().success(), "only root can mount a small disk: run this test as root");
        Self(folder)
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let unmounted = Command::new("umount").arg(self.0.path()).status();
        assert!(unmounted.unwrap().success() || std::thread::panicking());
    }
}

#[tokio::test]
#[ignore = "mounts a small disk, which only root can: cargo test --test storage -- --ignored a_full_disk"]
async fn a_full_disk_fails_the_write_that_meets_it_and_no_other() {
    let disk = SmallDisk::new(16);
    fill_and_recover(disk.0.path(), |error| matches!(error, Error::Full(_))).await;
}

#[tokio::test]
#[ignore = "mounts a small disk, which only root can: cargo test --test storage -- --ignored a_full_disk"]
async fn a_full_disk_serves_readers_and_deletes_to_its_last_byte() {
    let disk = SmallDisk::new(16);
    let folder = disk.0.path().join("data");
    let store = stores::open(&folder, Arc::new(SystemClock)).unwrap();
    for at in 0..100 {
        put(&store, &format!("k/{at:02}"), &value(at, 20_000)).await;
    }
    // Somebody else takes all the room that is left.
    let error = fs::write(disk.0.path().join("others"), vec![0; TOO_MUCH]).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::StorageFull);
    let mut refused = 0;
    for at in 100..110 {
        refused +=
            usize::from(store.put(&at.to_string(), value(at, 60_000).into(), PutOptions::default()).await.is_err());
    }
    assert!(refused > 0, "the disk is not full");
    for at in 0..100 {
        assert!(read(&store, &format!("k/{at:02}")).await.unwrap() == value(at, 20_000));
        store.delete(&format!("k/{at:02}"), larder::storage::Precondition::None).await.unwrap();
    }
    put(&store, "again", &value(1, 20_000)).await;
    fs::remove_file(disk.0.path().join("others")).unwrap();
    put(&store, "more", &value(2, 3_000_000)).await;
    drop(store);
    let store = stores::open(&folder, Arc::new(SystemClock)).unwrap();
    assert!(read(&store, "again").await.unwrap() == value(1, 20_000));
    assert!(read(&store, "more").await.unwrap() == value(2, 3_000_000));
}
