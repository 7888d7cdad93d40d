//! Collects, at the start, what an earlier process left behind: uploads without an end, files without an entry.

use std::{
    ffi::OsStr,
    fs, io,
    path::{Path, PathBuf},
};

use rusqlite::Connection;

use super::{folder::Folder, open_error::OpenError, rows};

/// What was found.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Collected {
    /// Files removed.
    pub removed: u64,
    /// Files that the index knows and that are there.
    pub alive: i64,
}

/// Removes what does not belong to any object. Work grows with the number of files, not of objects.
pub fn collect(folder: &Folder, index: &Connection) -> Result<Collected, OpenError> {
    let mut collected = Collected::default();
    for entry in list(&folder.temp())? {
        remove(&entry)?;
        collected.removed += 1;
    }
    for inner in list(&folder.files())? {
        let live = match name(&inner).and_then(Folder::numbers_in) {
            Some((first, last)) => {
                rows::live_files(index, first, last).map_err(|error| OpenError::of_index(&folder.index(), error))?
            }
            None => Vec::new(),
        };
        let mut alive = 0;
        for file in list_or_file(&inner)? {
            if is_live(&file, &live) {
                alive += 1;
            } else {
                remove(&file)?;
                collected.removed += 1;
            }
        }
        if alive == 0 && inner.is_dir() {
            fs::remove_dir(&inner).map_err(|error| OpenError::of_file(&inner, error))?;
        }
        collected.alive += alive;
    }
    Ok(collected)
}

fn is_live(file: &Path, live: &[i64]) -> bool {
    let number = name(file).and_then(|name| i64::from_str_radix(name, 16).ok().filter(|n| format!("{n:x}") == name));
    number.is_some_and(|number| live.binary_search(&number).is_ok())
}

fn name(path: &Path) -> Option<&str> {
    path.file_name().and_then(OsStr::to_str)
}

fn list(folder: &Path) -> Result<Vec<PathBuf>, OpenError> {
    let paths = || fs::read_dir(folder)?.map(|entry| entry.map(|entry| entry.path())).collect::<io::Result<_>>();
    paths().map_err(|error| OpenError::of_file(folder, error))
}

/// The files in `path`, or `path` itself if it is none: nothing of ours, and removed as such.
fn list_or_file(path: &Path) -> Result<Vec<PathBuf>, OpenError> {
    if path.is_dir() { list(path) } else { Ok(vec![path.to_owned()]) }
}

/// What stands there is a file; a folder that somebody put there is not ours to remove.
fn remove(path: &Path) -> Result<(), OpenError> {
    fs::remove_file(path).map_err(|error| OpenError::of_file(path, error))
}
