//! Stored bytes that changed behind the engine's back: reported, never handed out as if they were whole.

use std::{fs, path::Path, sync::Arc};

use larder_object_store::{
    BodyError, ByteRange, Error, GetOptions, ObjectStore, Precondition,
    embedded::{EmbeddedStore, INLINE_LIMIT, OpenError, check_integrity},
};
use larder_runtime::clock::SystemClock;
use tempfile::TempDir;

use crate::{
    stores,
    values::{MUCH, put, read, value},
};

const LARGE: usize = 1_000_000;

/// Returns a store whose folder was changed by `damage` while it was closed.
async fn damaged(damage: impl Fn(&Path)) -> (TempDir, EmbeddedStore) {
    let folder = TempDir::new().unwrap();
    let open = || stores::open(folder.path(), Arc::new(SystemClock)).unwrap();
    let store = open();
    put(&store, "small", &value(1, 1000)).await;
    put(&store, "large", &value(2, LARGE)).await;
    put(&store, "sound", &value(3, INLINE_LIMIT + 1)).await;
    store.close().await;
    drop(store);
    damage(folder.path());
    let store = open();
    assert!(read(&store, "sound").await.unwrap() == value(3, INLINE_LIMIT + 1));
    (folder, store)
}

fn in_index(folder: &Path, sql: &str) {
    let changed = rusqlite::Connection::open(folder.join("index.sqlite")).unwrap().execute(sql, []).unwrap();
    assert!(changed > 0, "nothing was damaged");
}

async fn assert_corrupt(store: &EmbeddedStore, key: &str) {
    let error = store.get(key, GetOptions::default()).await.unwrap_err();
    assert!(matches!(error, Error::Corrupt(_)), "{error:?}");
    let error = store.copy(key, "copy", Precondition::None).await;
    assert!(error.is_err() || key == "large", "a damaged value was copied");
}

#[tokio::test]
async fn a_changed_small_value_is_reported() {
    for sql in [
        "UPDATE inline_values SET bytes = zeroblob(1000)",
        "UPDATE inline_values SET bytes = x'00'",
        "DELETE FROM inline_values",
        "UPDATE objects SET content_type = 'text/html' WHERE key = CAST('small' AS BLOB)",
    ] {
        let (_folder, store) = damaged(|folder| in_index(folder, sql)).await;
        assert_corrupt(&store, "small").await;
        assert!(store.get("small", GetOptions { range: Some(ByteRange::From(5)) }).await.is_err());
    }
}

#[tokio::test]
async fn a_shortened_or_missing_file_is_reported_at_once() {
    let damages: [fn(&Path); 2] =
        [|file| fs::write(file, value(2, LARGE - 1)).unwrap(), |file| fs::remove_file(file).unwrap()];
    for damage in damages {
        let (_folder, store) = damaged(|folder| damage(&folder.join("blobs/0/1"))).await;
        let error = store.get("large", GetOptions::default()).await.unwrap_err();
        assert!(matches!(error, Error::Corrupt(_)), "{error:?}");
        put(&store, "large", &value(4, LARGE)).await;
        assert!(read(&store, "large").await.unwrap() == value(4, LARGE));
    }
}

#[tokio::test]
async fn a_changed_byte_of_a_file_breaks_the_body_before_its_end() {
    for at in [0, LARGE / 2, LARGE - 1] {
        let change = |folder: &Path| {
            let file = folder.join("blobs/0/1");
            let mut bytes = fs::read(&file).unwrap();
            bytes[at] ^= 1;
            fs::write(file, bytes).unwrap();
        };
        let (_folder, store) = damaged(change).await;
        let mut body = store.get("large", GetOptions::default()).await.unwrap().body;
        let mut received = 0;
        let error = loop {
            match body.next().await.expect("a damaged body came to its end") {
                Ok(chunk) => received += chunk.len(),
                Err(error) => break error,
            }
        };
        assert!(matches!(error, BodyError::Storage(_)), "{error:?}");
        assert!(received < LARGE);
        assert!(body.next().await.is_none());
        let part = GetOptions { range: Some(ByteRange::Bounded { first: 10, last: 19 }) };
        assert_eq!(store.get("large", part).await.unwrap().body.into_bytes(MUCH).await.unwrap().len(), 10);
    }
}

/// Something that happens to a data folder.
type Damage = fn(&Path);

/// Returns the findings of an inspection of the folder of a closed store, and whether all is sound.
fn inspected(folder: &TempDir, store: EmbeddedStore) -> (Vec<String>, bool) {
    drop(store);
    let mut told = Vec::new();
    let found = check_integrity(folder.path(), |what, _| told.push(what.to_owned())).unwrap();
    told.dedup();
    (told, found.is_sound())
}

#[tokio::test]
async fn an_inspection_names_every_object_that_is_damaged_and_no_other() {
    let (folder, store) = damaged(|_| ()).await;
    assert_eq!(inspected(&folder, store), (Vec::new(), true));
    let damages: [(&str, Damage); 5] = [
        ("small", |folder| in_index(folder, "UPDATE inline_values SET bytes = zeroblob(1000)")),
        ("small", |folder| in_index(folder, "DELETE FROM inline_values")),
        ("large", |folder| fs::remove_file(folder.join("blobs/0/1")).unwrap()),
        ("large", |folder| fs::write(folder.join("blobs/0/1"), value(2, LARGE - 1)).unwrap()),
        ("large", |folder| fs::write(folder.join("blobs/0/1"), value(5, LARGE)).unwrap()),
    ];
    for (key, damage) in damages {
        let (folder, store) = damaged(damage).await;
        assert_eq!(inspected(&folder, store), (vec![key.to_owned()], false));
    }
}

#[tokio::test]
async fn an_inspection_tells_of_a_damaged_index() {
    let (folder, store) = damaged(|_| ()).await;
    for at in 0..400 {
        put(&store, &format!("key/{at:04}"), &value(at, 2000)).await;
    }
    store.close().await;
    drop(store);
    // A page in the midst of the file: of one of the tables, or of none.
    let path = folder.path().join("index.sqlite");
    let mut index = fs::read(&path).unwrap();
    let middle = index.len() / 4096 / 2 * 4096;
    index[middle..middle + 4096].fill(0xAA);
    fs::write(&path, index).unwrap();
    let mut told = Vec::new();
    let found = check_integrity(folder.path(), |what, _| told.push(what.to_owned())).unwrap();
    assert!(found.is_index_damaged && told.contains(&"index.sqlite".to_owned()), "{told:?}");
    assert!(found.objects > 0, "the rest is read all the same");
}

#[tokio::test]
async fn an_inspection_takes_nothing_from_whom_it_belongs_to_and_makes_nothing() {
    let (folder, store) = damaged(|_| ()).await;
    assert!(matches!(check_integrity(folder.path(), |_, _| ()), Err(OpenError::Locked { .. })));
    assert!(read(&store, "small").await.is_ok());
    let nowhere = folder.path().join("nowhere");
    check_integrity(&nowhere, |_, _| ()).unwrap_err();
    assert!(!nowhere.exists());
}
