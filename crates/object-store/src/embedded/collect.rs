//! Garbage collection at start: removes unfinished uploads and files without an index entry. Files without an entry
//! stay while a backup is being taken, which may have seen their entries.

use std::{
    ffi::OsStr,
    fs, io,
    path::{Path, PathBuf},
};

use rusqlite::Connection;

use super::{folder::Folder, hold::Removals, open_error::OpenError, paths::Paths, rows};

/// Result of the collection.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Collected {
    /// Number of removed files.
    pub removed: u64,
    /// Number of orphaned files that a backup holds.
    pub held: u64,
    /// Number of files that the index names and that exist.
    pub alive: i64,
    /// Highest number of a file that still exists.
    pub highest: i64,
}

/// Removes orphaned files. The work grows with the number of files, not of objects.
pub fn collect(folder: &Folder, index: &Connection) -> Result<Collected, OpenError> {
    let hold = folder.hold();
    let removals = Removals::open(&hold).map_err(|error| OpenError::of_file(&hold, error))?;
    let mut collected = Collected::default();
    for entry in list(&folder.temp())? {
        remove(&entry)?;
        collected.removed += 1;
    }
    for inner in list(&folder.files())? {
        let live = match name(&inner).and_then(Paths::numbers_in) {
            Some((first, last)) => {
                rows::live_files(index, first, last).map_err(|error| OpenError::of_index(&folder.index(), error))?
            }
            None => Vec::new(),
        };
        let mut left = 0;
        for file in list_or_file(&inner)? {
            let number = name(&file).and_then(Paths::number_of);
            if number.is_some_and(|number| live.binary_search(&number).is_ok()) {
                collected.alive += 1;
            } else if let Some(done) = removals.unless_held(|| remove(&file)) {
                done?;
                collected.removed += 1;
                continue;
            } else {
                collected.held += 1;
            }
            left += 1;
            collected.highest = collected.highest.max(number.unwrap_or_default());
        }
        if left == 0 && inner.is_dir() {
            fs::remove_dir(&inner).map_err(|error| OpenError::of_file(&inner, error))?;
        }
    }
    Ok(collected)
}

fn name(path: &Path) -> Option<&str> {
    path.file_name().and_then(OsStr::to_str)
}

fn list(folder: &Path) -> Result<Vec<PathBuf>, OpenError> {
    let paths = || fs::read_dir(folder)?.map(|entry| entry.map(|entry| entry.path())).collect::<io::Result<_>>();
    paths().map_err(|error| OpenError::of_file(folder, error))
}

/// Lists the files in `path`, or `path` itself if it is no folder: not ours, and removed as such.
fn list_or_file(path: &Path) -> Result<Vec<PathBuf>, OpenError> {
    if path.is_dir() { list(path) } else { Ok(vec![path.to_owned()]) }
}

/// Removes a file; a folder in its place was put there by others, and stays.
fn remove(path: &Path) -> Result<(), OpenError> {
    fs::remove_file(path).map_err(|error| OpenError::of_file(path, error))
}
