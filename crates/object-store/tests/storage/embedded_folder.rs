//! The data folder of the embedded engine: access to it, and the changes that an open makes.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    thread::sleep,
    time::Duration,
};

use larder_object_store::embedded::{EmbeddedStore, INLINE_LIMIT, OpenError};
use larder_runtime::clock::SystemClock;
use tempfile::TempDir;

use crate::{
    stores,
    values::{put, read, value},
};

/// Opens a folder that a test before this one may have just left.
pub fn open(folder: &Path) -> Result<EmbeddedStore, OpenError> {
    // A lock that was just given up may live on for a moment in a process that another test is starting.
    for _ in 0..50 {
        match stores::open(folder, Arc::new(SystemClock)) {
            Err(OpenError::Locked { .. }) => sleep(Duration::from_millis(10)),
            opened => return opened,
        }
    }
    stores::open(folder, Arc::new(SystemClock))
}

/// Returns a folder in which two objects were stored, one of them as a file.
async fn filled() -> TempDir {
    let folder = TempDir::new().unwrap();
    let store = open(folder.path()).unwrap();
    put(&store, "small", &value(1, 10)).await;
    put(&store, "large", &value(2, INLINE_LIMIT + 1)).await;
    store.close().await;
    folder
}

/// Returns all files under a folder, by their path in it.
pub fn files_in(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() { folders.push(path) } else { found.push(path.strip_prefix(folder).unwrap().to_owned()) }
        }
    }
    found.sort();
    found
}

#[tokio::test]
async fn a_second_process_is_refused_until_the_first_has_ended() {
    let folder = filled().await;
    let first = open(folder.path()).unwrap();
    let refused = open(folder.path()).unwrap_err();
    assert!(matches!(refused, OpenError::Locked { .. }));
    assert!(refused.to_string().contains(folder.path().to_str().unwrap()), "{refused}");
    put(&first, "still", &value(1, 1)).await;
    drop(first);
    let second = open(folder.path()).unwrap();
    assert_eq!(read(&second, "still").await.unwrap(), value(1, 1));
}

#[tokio::test]
async fn a_folder_is_made_with_those_above_it() {
    let above = TempDir::new().unwrap();
    let folder = above.path().join("a/b/c");
    put(&open(&folder).unwrap(), "k", &value(1, INLINE_LIMIT * 2)).await;
    assert_eq!(read(&open(&folder).unwrap(), "k").await.unwrap(), value(1, INLINE_LIMIT * 2));
}

#[tokio::test]
async fn a_folder_in_a_newer_format_is_refused_and_left_alone() {
    let folder = filled().await;
    for format in ["larder data folder\nversion 2\n", "something else", ""] {
        fs::write(folder.path().join("format"), format).unwrap();
        let before = files_in(folder.path());
        let refused = open(folder.path()).unwrap_err();
        assert!(matches!(refused, OpenError::UnknownFormat { .. }), "{refused:?}");
        assert_eq!(files_in(folder.path()), before);
    }
    fs::write(folder.path().join("format"), "larder data folder\nversion 2\n").unwrap();
    let words = open(folder.path()).unwrap_err().to_string();
    assert!(words.contains("\"version 2\"") && words.contains("\"version 1\""), "{words}");
}

#[tokio::test]
async fn a_folder_that_lacks_a_part_is_refused_and_left_alone() {
    for missing in ["format", "index.sqlite"] {
        let folder = filled().await;
        fs::remove_file(folder.path().join(missing)).unwrap();
        let before = files_in(folder.path());
        let refused = open(folder.path()).unwrap_err();
        assert!(matches!(refused, OpenError::Incomplete { .. }), "{refused:?}");
        assert!(refused.to_string().contains(missing), "{refused}");
        assert_eq!(files_in(folder.path()), before);
    }
}

#[tokio::test]
async fn a_damaged_index_is_distinguished_from_a_missing_one() {
    let folder = filled().await;
    fs::write(folder.path().join("index.sqlite"), value(3, 100_000)).unwrap();
    let refused = open(folder.path()).unwrap_err();
    assert!(matches!(refused, OpenError::Damaged { .. }), "{refused:?}");
    assert!(folder.path().join("blobs/0/1").exists(), "a file was taken for an orphan");
}

#[test]
fn a_file_where_the_folder_should_be_is_refused() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, "x").unwrap();
    for path in [file.clone(), file.join("below")] {
        let refused = open(&path).unwrap_err();
        assert!(matches!(refused, OpenError::NotADirectory { .. }), "{refused:?}");
    }
}

#[tokio::test]
async fn what_a_crash_left_behind_is_collected_at_the_start() {
    let folder = filled().await;
    let before = files_in(folder.path());
    let orphans = ["temp/7", "temp/anything", "blobs/0/2", "blobs/0/fff", "blobs/0/01", "blobs/3/3000", "blobs/x/1"];
    for orphan in orphans {
        let path = folder.path().join(orphan);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, "left behind").unwrap();
    }
    fs::create_dir(folder.path().join("blobs/9")).unwrap();
    let store = open(folder.path()).unwrap();
    store.close().await;
    drop(store);
    assert_eq!(files_in(folder.path()), before);
    let folders: Vec<_> = fs::read_dir(folder.path().join("blobs")).unwrap().map(|f| f.unwrap().file_name()).collect();
    assert_eq!(folders, ["0"]);
    let store = open(folder.path()).unwrap();
    assert_eq!(read(&store, "small").await.unwrap(), value(1, 10));
    assert_eq!(read(&store, "large").await.unwrap(), value(2, INLINE_LIMIT + 1));
}
