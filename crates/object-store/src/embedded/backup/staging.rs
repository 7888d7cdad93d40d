//! A staged copy of a data folder: not usable before it is sealed, and removed if it never is.

use std::{
    fs::{self, File},
    io::{self, Read},
    path::{Path, PathBuf},
};

use sha2::{Digest as _, Sha256};

use crate::embedded::{
    folder::{Paths, sync_folder},
    index::connect_reader,
    integrity_check::{Inspection, read_all},
    io_error::OpenError,
    permissions::{self, create_inner_folder},
    rows,
};

use super::error::BackupError;

/// Number of files read from the index at a time.
const PAGE: usize = 1000;

/// Bytes hashed at a time.
const BLOCK_BYTES: usize = 256 * 1024;

/// A staged copy.
#[derive(Debug)]
pub struct Parcel {
    paths: Paths,
    /// Paths that were there before, and stay.
    kept: Vec<PathBuf>,
    is_folder_ours: bool,
    is_sealed: bool,
}

impl Parcel {
    /// Starts a copy in an existing folder, which is empty except for `kept`; an abandoned copy removes the folder,
    /// too, if it `is_folder_ours`.
    pub fn begin(folder: &Path, kept: Vec<PathBuf>, is_folder_ours: bool) -> Result<Self, BackupError> {
        let paths = Paths::new(folder);
        let parcel = Self { paths, kept, is_folder_ours, is_sealed: false };
        // Created first: found without the last file, it shows that the copy is incomplete.
        create_inner_folder(&parcel.paths.files())
            .map_err(|error| BackupError::of_file(&parcel.paths.files(), error))?;
        Ok(parcel)
    }

    /// Returns the paths in the copy.
    pub fn paths(&self) -> &Paths {
        &self.paths
    }

    /// Copies the file `name`, and returns its hash; `None` if there is no such file. The copy is durable once the
    /// parcel is.
    pub fn add(&self, from: &Paths, name: &str) -> Result<Option<String>, BackupError> {
        let (source, target) = (from.root().join(name), self.paths.root().join(name));
        if !copy(&source, &target)? {
            return Ok(None);
        }
        hash_of(&target).map(Some)
    }

    /// Copies every file that the index in this copy names. A missing one is found when everything is read.
    pub fn add_files(&self, from: &Paths) -> Result<(), BackupError> {
        let index = self.paths.index();
        let failed = |error| BackupError::Folder(OpenError::of_index(&index, error));
        let connection = connect_reader(&index).map_err(failed)?;
        let (mut last, mut around) = (i64::MIN, None);
        loop {
            let page = rows::files_behind(&connection, last, PAGE).map_err(failed)?;
            let Some(end) = page.last() else { break };
            last = *end;
            for number in page {
                let folder = self.paths.files_around(number);
                if around.as_ref() != Some(&folder) {
                    around.take().map_or(Ok(()), |full: PathBuf| sync(&full))?;
                    create_inner_folder(&folder).map_err(|error| BackupError::of_file(&folder, error))?;
                    around = Some(folder);
                }
                copy(&from.file(number), &self.paths.file(number))?;
            }
        }
        around.map_or(Ok(()), |full| sync(&full))?;
        sync(&self.paths.files())
    }

    /// Reads every object and verifies it, like [`inspect`](crate::embedded::inspect).
    pub fn read(&self, tell: impl FnMut(&str, &str)) -> Result<Inspection, BackupError> {
        Ok(read_all(&self.paths, tell)?)
    }

    /// Syncs the names of all files, so that one more file can seal the copy.
    pub fn settle(&self) -> Result<(), BackupError> {
        sync(self.paths.root())
    }

    /// Keeps the copy.
    pub fn seal(mut self) {
        self.is_sealed = true;
    }

    fn remove(&self) -> io::Result<()> {
        for entry in fs::read_dir(self.paths.root())? {
            let path = entry?.path();
            if self.kept.contains(&path) {
                continue;
            }
            if path.symlink_metadata()?.is_dir() { fs::remove_dir_all(path)? } else { fs::remove_file(path)? }
        }
        if self.is_folder_ours { fs::remove_dir(self.paths.root()) } else { Ok(()) }
    }
}

impl Drop for Parcel {
    fn drop(&mut self) {
        if !self.is_sealed
            && let Err(error) = self.remove()
        {
            tracing::warn!(folder = %self.paths.root().display(), %error, "what was written could not be removed again");
        }
    }
}

/// Returns the hash of a file, in hexadecimal digits.
pub fn hash_of(path: &Path) -> Result<String, BackupError> {
    let failed = |error| BackupError::of_file(path, error);
    let mut file = File::open(path).map_err(failed)?;
    let (mut hash, mut block) = (Sha256::new(), vec![0; BLOCK_BYTES]);
    loop {
        match file.read(&mut block).map_err(failed)? {
            0 => break,
            read => hash.update(&block[..read]),
        }
    }
    Ok(hash.finalize().iter().fold(String::new(), |text, byte| format!("{text}{byte:02x}")))
}

/// Copies a file, durably except for its name; returns whether it exists.
fn copy(from: &Path, to: &Path) -> Result<bool, BackupError> {
    match permissions::copy(from, to).and_then(|copied| copied.sync_all()) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound && !from.exists() => Ok(false),
        Err(error) => Err(BackupError::of_file(to, error)),
    }
}

/// Syncs the bytes of a file.
pub fn sync_file(path: &Path) -> Result<(), BackupError> {
    File::open(path).and_then(|file| file.sync_all()).map_err(|error| BackupError::of_file(path, error))
}

fn sync(folder: &Path) -> Result<(), BackupError> {
    sync_folder(folder).map_err(|error| BackupError::of_file(folder, error))
}
