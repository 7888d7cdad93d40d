//! Backups of a data folder: one instant, nothing lost under it, and nothing taken for a backup that is none.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use larder_object_store::{
    ObjectStore, Precondition,
    embedded::{BackupError, EmbeddedStore, INLINE_LIMIT, Manifest, OpenError, back_up, check_integrity, restore},
};
use larder_runtime::clock::SystemClock;
use tempfile::TempDir;

use crate::{
    embedded_folder::files_in,
    stores,
    values::{keys, put, read, value},
};

/// Files of a caller in the folder, beside those of the engine.
const BESIDE: [&str; 2] = ["token", "not there"];

/// From a number, the size of an object: a row's, an inline value's, a file's.
fn size(number: u64) -> usize {
    [0, 100, 1000, INLINE_LIMIT + 1, INLINE_LIMIT * 3][usize::try_from(number % 5).unwrap()]
}

fn open(folder: &Path) -> EmbeddedStore {
    stores::open(folder, Arc::new(SystemClock)).unwrap()
}

/// Returns a folder of twenty objects.
async fn filled() -> (TempDir, EmbeddedStore) {
    let folder = TempDir::new().unwrap();
    let store = open(folder.path());
    for number in 0..20 {
        put(&store, &format!("k{number:02}"), &value(number, size(number))).await;
    }
    fs::write(folder.path().join("token"), "secret").unwrap();
    (folder, store)
}

#[expect(clippy::print_stdout, reason = "a failed test shows the damage")]
fn take(folder: &Path, target: &Path) -> Result<Manifest, BackupError> {
    back_up(folder, target, &BESIDE, &SystemClock, |what, wrong| println!("{what}: {wrong}"))
}

#[expect(clippy::print_stdout, reason = "as above")]
fn bring_back(backup: &Path, folder: &Path) -> Result<Manifest, BackupError> {
    restore(backup, folder, |what, wrong| println!("{what}: {wrong}"))
}

/// Returns a folder of twenty objects, a backup of it, and a place for more.
async fn backed_up() -> (TempDir, PathBuf) {
    let (folder, store) = filled().await;
    let place = TempDir::new().unwrap();
    let backup = place.path().join("backup");
    take(folder.path(), &backup).unwrap();
    drop(store);
    (place, backup)
}

async fn holds_all(folder: &Path) {
    let store = open(folder);
    assert_eq!(keys(&store, "k", 1000).await.len(), 20);
    for number in 0..20 {
        assert!(read(&store, &format!("k{number:02}")).await.unwrap() == value(number, size(number)), "{number}");
    }
    store.close().await;
}

#[tokio::test]
async fn a_backup_of_a_folder_in_use_restores_to_what_was_in_it() {
    let (folder, store) = filled().await;
    let place = TempDir::new().unwrap();
    let (backup, restored) = (place.path().join("a/backup"), place.path().join("b/restored"));
    let manifest = take(folder.path(), &backup).unwrap();
    assert_eq!((manifest.objects, manifest.extra_files.len()), (20, 1));
    put(&store, "k00", &value(99, INLINE_LIMIT * 2)).await;
    store.delete("k03", Precondition::None).await.unwrap();
    put(&store, "later", &value(1, 10)).await;
    assert_eq!(bring_back(&backup, &restored).unwrap(), manifest);
    holds_all(&restored).await;
    assert_eq!(fs::read_to_string(restored.join("token")).unwrap(), "secret");
    let found = check_integrity(&restored, |what, wrong| panic!("{what}: {wrong}")).unwrap();
    assert_eq!((found.objects, found.bytes), (manifest.objects, manifest.bytes));
    // The folder that was restored is one like any other, which gives its space back.
    let index = rusqlite::Connection::open(restored.join("index.sqlite")).unwrap();
    let setting = |name| index.pragma_query_value(None, name, |row| row.get::<_, i64>(0)).unwrap();
    assert_eq!((setting("auto_vacuum"), setting("page_size")), (2, 4096));
}

#[tokio::test]
async fn a_backup_of_a_folder_without_a_gateway_has_what_a_crash_left() {
    let (folder, store) = filled().await;
    // Neither closed nor given up: acknowledged writes are in the log.
    let (_, store) = (fs::remove_file(folder.path().join("lock")), std::mem::ManuallyDrop::new(store));
    let place = TempDir::new().unwrap();
    take(folder.path(), &place.path().join("backup")).unwrap();
    bring_back(&place.path().join("backup"), &place.path().join("restored")).unwrap();
    holds_all(&place.path().join("restored")).await;
    drop(std::mem::ManuallyDrop::into_inner(store));
}

#[tokio::test]
async fn files_of_removed_objects_stay_while_they_are_held_and_go_then() {
    let (folder, store) = filled().await;
    let files = || files_in(&folder.path().join("blobs")).len();
    let before = files();
    let hold = fs::File::options().write(true).open(folder.path().join("backup.lock")).unwrap();
    hold.lock_shared().unwrap();
    store.delete("k03", Precondition::None).await.unwrap();
    store.delete_many(vec!["k04".to_owned(), "k08".to_owned()]).await.unwrap();
    put(&store, "k09", &value(7, 5)).await;
    tokio::time::sleep(Duration::from_millis(1500)).await;
    assert_eq!(files(), before, "a file went while it was held");
    // Uploads that fail belong to no object.
    store.copy("k13", "k13", Precondition::IfAbsent).await.unwrap_err();
    hold.unlock().unwrap();
    for _ in 0..100 {
        if files() == before - 4 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("{} files are left of {before}", files());
}

#[tokio::test]
async fn a_start_during_a_backup_neither_removes_a_held_file_nor_writes_over_it() {
    let (folder, store) = filled().await;
    let files = || files_in(&folder.path().join("blobs"));
    let hold = fs::File::options().write(true).open(folder.path().join("backup.lock")).unwrap();
    hold.lock_shared().unwrap();
    let before: Vec<_> = files().iter().map(|file| fs::read(folder.path().join("blobs").join(file)).unwrap()).collect();
    let files_then = files();
    // The last one has the highest number of all.
    store.delete("k19", Precondition::None).await.unwrap();
    store.close().await;
    drop(store);
    let store = open(folder.path());
    put(&store, "new", &value(50, INLINE_LIMIT * 2)).await;
    for (file, bytes) in files_then.iter().zip(before) {
        assert!(fs::read(folder.path().join("blobs").join(file)).unwrap() == bytes, "{file:?} is another one");
    }
    assert_eq!(files().len(), files_then.len() + 1);
    drop((store, hold));
    let store = open(folder.path());
    assert_eq!(files().len(), files_then.len(), "what was held is left for ever");
    assert!(read(&store, "new").await.unwrap() == value(50, INLINE_LIMIT * 2));
}

#[tokio::test]
async fn nothing_is_replaced_by_a_backup_or_by_what_is_restored() {
    let (folder, _store) = filled().await;
    let place = TempDir::new().unwrap();
    assert!(matches!(take(folder.path(), place.path()), Err(BackupError::TargetExists { .. })));
    let inside = folder.path().join("backups/today");
    assert!(matches!(take(folder.path(), &inside), Err(BackupError::TargetInside { .. })));
    assert!(!folder.path().join("backups").exists());
    assert!(matches!(take(&place.path().join("none"), &place.path().join("x")), Err(BackupError::Folder(_))));
    let backup = place.path().join("backup");
    take(folder.path(), &backup).unwrap();
    let before = files_in(folder.path());
    assert!(matches!(bring_back(&backup, folder.path()), Err(BackupError::NotEmpty { .. })));
    assert_eq!(files_in(folder.path()), before);
    assert!(matches!(bring_back(folder.path(), &place.path().join("y")), Err(BackupError::NoBackup { .. })));
    // Files that a disk has in its topmost folder are no obstacle.
    let disk = TempDir::new().unwrap();
    fs::create_dir(disk.path().join("lost+found")).unwrap();
    bring_back(&backup, disk.path()).unwrap();
    holds_all(disk.path()).await;
}

#[tokio::test]
async fn a_folder_with_something_damaged_in_it_gives_no_backup() {
    let (folder, _store) = filled().await;
    let file = files_in(&folder.path().join("blobs")).remove(2);
    let path = folder.path().join("blobs").join(file);
    let sound = fs::read(&path).unwrap();
    let place = TempDir::new().unwrap();
    let backup = place.path().join("backup");
    let spoils: [&dyn Fn(); 2] = [
        &|| {
            let mut bytes = sound.clone();
            bytes[70] ^= 1;
            fs::write(&path, bytes).unwrap();
        },
        &|| fs::remove_file(&path).unwrap(),
    ];
    for spoil in spoils {
        spoil();
        let mut named = Vec::new();
        let taken = back_up(folder.path(), &backup, &BESIDE, &SystemClock, |what, _| named.push(what.to_owned()));
        assert!(matches!(taken, Err(BackupError::DamagedFolder { count: 1 })), "{taken:?}");
        assert!(named.len() == 1 && named[0].starts_with('k'), "{named:?}");
        assert!(!backup.exists());
    }
    fs::write(&path, sound).unwrap();
    take(folder.path(), &backup).unwrap();
}

#[tokio::test]
async fn a_backup_is_not_served_from() {
    let (_place, backup) = backed_up().await;
    let before = files_in(&backup);
    let refused = stores::open(&backup, Arc::new(SystemClock)).unwrap_err();
    assert!(matches!(refused, OpenError::IsBackup { .. }) && refused.to_string().contains("restore"), "{refused}");
    assert_eq!(files_in(&backup), before);
}

#[tokio::test]
async fn every_byte_of_a_backup_counts() {
    let (place, backup) = backed_up().await;
    let restored = place.path().join("restored");
    for file in files_in(&backup) {
        let path = backup.join(&file);
        let sound = fs::read(&path).unwrap();
        for at in [0, sound.len() / 2, sound.len() - 3] {
            let mut bytes = sound.clone();
            bytes[at] ^= 0x20;
            fs::write(&path, &bytes).unwrap();
            let outcome = bring_back(&backup, &restored);
            if file == Path::new("backup.json") && outcome.is_ok() {
                // When it was taken changes nothing that is restored.
                fs::remove_dir_all(&restored).unwrap();
            } else {
                assert!(
                    matches!(outcome, Err(BackupError::DamagedBackup { .. } | BackupError::Folder(_))),
                    "{file:?}: {outcome:?}"
                );
                assert!(!restored.exists(), "{file:?}");
            }
        }
        fs::remove_file(&path).unwrap();
        let outcome = bring_back(&backup, &restored);
        assert!(outcome.is_err() && !restored.exists(), "{file:?}: {outcome:?}");
        fs::write(&path, sound).unwrap();
    }
    bring_back(&backup, &restored).unwrap();
}

#[tokio::test]
async fn a_backup_of_an_unknown_format_is_refused_with_the_version_that_took_it() {
    let (place, backup) = backed_up().await;
    let manifest = fs::read_to_string(backup.join("backup.json")).unwrap();
    for (is, becomes) in [("\"format\": 1", "\"format\": 2"), ("version 1", "version 2")] {
        let changed = manifest.replace(is, becomes).replace(env!("CARGO_PKG_VERSION"), "9.8.7");
        assert_ne!(changed, manifest);
        fs::write(backup.join("backup.json"), changed).unwrap();
        let refused = bring_back(&backup, &place.path().join("restored")).unwrap_err();
        assert!(
            matches!(refused, BackupError::UnknownFormat { .. }) && refused.to_string().contains("9.8.7"),
            "{refused}"
        );
    }
    fs::remove_file(backup.join("backup.json")).unwrap();
    let refused = bring_back(&backup, &place.path().join("restored")).unwrap_err();
    assert!(matches!(refused, BackupError::Incomplete { .. }), "{refused}");
    assert!(matches!(stores::open(&backup, Arc::new(SystemClock)).unwrap_err(), OpenError::Incomplete { .. }));
    assert!(!place.path().join("restored").exists());
}
