//! File modes of a data folder, a backup and a restored folder: only their user may enter them.

use std::{
    fs::{self, Permissions},
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
};

use larder_object_store::embedded::{INLINE_LIMIT, back_up, restore};
use larder_runtime::clock::SystemClock;
use tempfile::TempDir;

use crate::{
    embedded_folder::open,
    values::{put, value},
};

/// Returns everything in a folder, itself included.
fn everything_in(folder: &Path) -> Vec<PathBuf> {
    let mut found = vec![folder.to_owned()];
    let mut at = 0;
    while at < found.len() {
        if found[at].is_dir() {
            found.extend(fs::read_dir(&found[at]).unwrap().map(|entry| entry.unwrap().path()));
        }
        at += 1;
    }
    found
}

fn mode(path: &Path) -> u32 {
    fs::symlink_metadata(path).unwrap().mode() & 0o7777
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

/// Asserts that nothing in a folder may be used in ways that are not for files and folders.
fn assert_modes(folder: &Path, of_files: u32, of_folders: u32) {
    for path in everything_in(folder) {
        let expected = if path.is_dir() { of_folders } else { of_files };
        assert_eq!(mode(&path), expected, "{:o} {}", mode(&path), path.display());
    }
}

/// Stores small and large objects in a folder.
async fn fill(folder: &Path) {
    let store = open(folder).unwrap();
    put(&store, "small", &value(1, 10)).await;
    put(&store, "large", &value(2, INLINE_LIMIT + 1)).await;
    store.close().await;
}

#[tokio::test]
async fn what_is_made_in_a_folder_is_for_its_user_alone_whatever_the_umask_is() {
    let above = TempDir::new().unwrap();
    set_mode(above.path(), 0o777);
    let folder = above.path().join("data");
    let store = open(&folder).unwrap();
    put(&store, "small", &value(1, 10)).await;
    put(&store, "large", &value(2, INLINE_LIMIT + 1)).await;
    assert!(folder.join("index.sqlite-wal").exists() && folder.join("reserve").exists());
    assert_modes(&folder, 0o600, 0o700);
}

#[tokio::test]
async fn a_folder_that_others_may_enter_is_corrected_at_the_start_with_all_files() {
    let folder = TempDir::new().unwrap();
    fill(folder.path()).await;
    fs::write(folder.path().join("admin-token"), "secret").unwrap();
    for path in everything_in(folder.path()) {
        set_mode(&path, if path.is_dir() { 0o755 } else { 0o644 });
    }
    let store = open(folder.path()).unwrap();
    assert_modes(folder.path(), 0o600, 0o700);
    drop(store);
}

#[tokio::test]
async fn a_folder_of_a_group_stays_shared_with_the_group_only() {
    // As Kubernetes makes it for a pod with `fsGroup`.
    let folder = TempDir::new().unwrap();
    set_mode(folder.path(), 0o2775);
    let store = open(folder.path()).unwrap();
    put(&store, "small", &value(1, 10)).await;
    put(&store, "large", &value(2, INLINE_LIMIT + 1)).await;
    assert_modes(folder.path(), 0o660, 0o2770);
    drop(store);
    for path in everything_in(folder.path()) {
        set_mode(&path, if path.is_dir() { 0o2775 } else { 0o664 });
    }
    drop(open(folder.path()).unwrap());
    assert_modes(folder.path(), 0o660, 0o2770);
}

#[tokio::test]
async fn a_folder_with_other_things_in_it_is_left_to_its_owner_and_what_is_ours_is_not_read() {
    let home = TempDir::new().unwrap();
    fill(home.path()).await;
    fs::write(home.path().join("letter.txt"), "x").unwrap();
    set_mode(&home.path().join("letter.txt"), 0o644);
    set_mode(home.path(), 0o755);
    fill(home.path()).await;
    assert_eq!((mode(home.path()), mode(&home.path().join("letter.txt"))), (0o755, 0o644));
    for name in ["blobs", "temp"] {
        assert_eq!(mode(&home.path().join(name)), 0o700, "{name}");
    }
    for name in ["index.sqlite", "format", "lock"] {
        assert_eq!(mode(&home.path().join(name)), 0o600, "{name}");
    }
}

#[test]
fn a_folder_of_other_things_is_not_made_a_data_folder_and_stays_as_it_is() {
    let home = TempDir::new().unwrap();
    fs::write(home.path().join("letter.txt"), "x").unwrap();
    let error = open(home.path()).expect_err("it is refused").to_string();
    assert!(error.contains("letter.txt") && error.contains("an empty or absent folder"), "{error}");
    assert_eq!(fs::read_dir(home.path()).unwrap().count(), 1);
    // Files that a disk or an operator puts into an empty folder are no reason to refuse it.
    let volume = TempDir::new().unwrap();
    fs::create_dir(volume.path().join("lost+found")).unwrap();
    fs::write(volume.path().join("admin-token"), "apify_api_for_tests").unwrap();
    drop(open(volume.path()).unwrap());
}

#[tokio::test]
async fn a_backup_and_what_is_restored_of_it_are_for_their_user_alone() {
    let (folder, place) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    fill(folder.path()).await;
    fs::write(folder.path().join("admin-token"), "secret").unwrap();
    // A backup is taken of what no start has corrected yet, too.
    for path in everything_in(folder.path()) {
        set_mode(&path, if path.is_dir() { 0o755 } else { 0o644 });
    }
    let (backup, restored) = (place.path().join("backup"), place.path().join("restored"));
    back_up(folder.path(), &backup, &["admin-token"], &SystemClock, |_, _| {}).unwrap();
    assert_modes(&backup, 0o600, 0o700);
    restore(&backup, &restored, |_, _| {}).unwrap();
    assert_modes(&restored, 0o600, 0o700);
}
