//! A data folder that is removed, moved or replaced while it is served from: nothing is acknowledged that a later start would not find.

use std::{error::Error as _, fs, os::unix::fs::symlink, path::Path};

use larder_object_store::{
    Error, ListOptions, ObjectStore, Precondition,
    embedded::{EmbeddedStore, FolderLost, INLINE_LIMIT},
};
use tempfile::TempDir;

use crate::{
    embedded_folder::open,
    values::{provided, put, read, value},
};

/// Way to lose a folder, by its path and one beside it.
type Loss = fn(&Path, &Path);

/// Ways in which a folder is lost.
const WAYS: [(&str, Loss); 6] = [
    ("the folder is removed", |folder, _| fs::remove_dir_all(fs::canonicalize(folder).unwrap()).unwrap()),
    ("the folder is moved", |folder, away| fs::rename(fs::canonicalize(folder).unwrap(), away).unwrap()),
    ("another folder is in its place", |folder, away| {
        fs::create_dir_all(away.join("blobs")).unwrap();
        fs::create_dir(away.join("temp")).unwrap();
        fs::remove_file(folder).unwrap();
        symlink(away, folder).unwrap();
    }),
    ("the index is removed", |folder, _| fs::remove_file(folder.join("index.sqlite")).unwrap()),
    ("the log is removed", |folder, _| fs::remove_file(folder.join("index.sqlite-wal")).unwrap()),
    ("the files are moved", |folder, away| fs::rename(folder.join("blobs"), away).unwrap()),
];

fn is_lost<T: std::fmt::Debug>(outcome: Result<T, Error>, what: &str) {
    let error = outcome.expect_err(what);
    assert!(matches!(error, Error::Unavailable(_)), "{what}: {error:?}");
}

#[tokio::test]
async fn nothing_is_acknowledged_once_the_folder_is_lost_and_the_check_says_why() {
    for (way, lose) in WAYS {
        let place = TempDir::new().unwrap();
        let (folder, real, away) = (place.path().join("data"), place.path().join("real"), place.path().join("away"));
        fs::create_dir(&real).unwrap();
        symlink(&real, &folder).unwrap();
        let store = open(&folder).unwrap();
        put(&store, "small", &value(1, 10)).await;
        lose(&folder, &away);
        is_lost(store.put("another", value(2, 10).into(), provided(Precondition::None)).await, way);
        is_lost(store.put("new", value(2, 10).into(), provided(Precondition::IfAbsent)).await, way);
        is_lost(store.put("large", value(3, INLINE_LIMIT * 3).into(), provided(Precondition::None)).await, way);
        is_lost(store.delete("small", Precondition::None).await, way);
        is_lost(store.delete_many(vec!["small".to_owned()]).await, way);
        // A read after a write without a response must not show the write.
        is_lost(store.head("another").await, way);
        is_lost(store.list(ListOptions { prefix: String::new(), start_after: None, limit: 10 }).await, way);
        let error = store.check().await.expect_err(way);
        let cause = error.source().and_then(|cause| cause.downcast_ref::<FolderLost>());
        assert_eq!(cause, Some(&FolderLost), "{way}: {error:?}");
        drop(store);
        if way == "another folder is in its place" {
            assert_eq!(fs::read_dir(&away).unwrap().count(), 2, "something was left in a folder of others");
        }
    }
}

#[tokio::test]
async fn a_folder_that_comes_back_is_served_from_again_with_all_that_was_acknowledged() {
    let place = TempDir::new().unwrap();
    let (folder, away) = (place.path().join("data"), place.path().join("away"));
    let store: EmbeddedStore = open(&folder).unwrap();
    put(&store, "before", &value(1, INLINE_LIMIT * 2)).await;
    fs::rename(&folder, &away).unwrap();
    is_lost(store.delete("before", Precondition::None).await, "it is away");
    fs::rename(&away, &folder).unwrap();
    assert_eq!(read(&store, "before").await.unwrap(), value(1, INLINE_LIMIT * 2));
    put(&store, "after", &value(2, 10)).await;
    assert!(store.check().await.is_ok());
    drop(store);
    let again = open(&folder).unwrap();
    assert_eq!(read(&again, "before").await.unwrap(), value(1, INLINE_LIMIT * 2));
    assert_eq!(read(&again, "after").await.unwrap(), value(2, 10));
}
