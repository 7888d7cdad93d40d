//! Contents of a data folder.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// Returns the data folder below the working folder of a program without a setting for it.
pub fn data(folder: &Path) -> PathBuf {
    folder.join("larder-data")
}

/// Files below a folder, at any depth.
pub fn files_below(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display())) {
            let entry = entry.expect("an entry");
            if entry.file_type().expect("its type").is_dir() {
                folders.push(entry.path());
            } else {
                files.push(entry.path());
            }
        }
    }
    files
}

/// Large values, each a file.
pub fn large_values(folder: &Path) -> usize {
    files_below(&data(folder).join("blobs")).len()
}

/// Uploads under way.
pub fn unfinished(folder: &Path) -> usize {
    files_below(&data(folder).join("temp")).len()
}
