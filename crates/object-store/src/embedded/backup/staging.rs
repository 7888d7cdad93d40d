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
    integrity_check::{IntegrityReport, check_objects},
    io_error::OpenError,
    permissions::{self, create_inner_folder},
    rows,
};

use super::error::BackupError;

/// Number of files read from the index at a time.
const BLOBS_PER_PAGE: usize = 1000;

/// Bytes hashed at a time.
const BLOCK_BYTES: usize = 256 * 1024;

/// A staged copy.
#[derive(Debug)]
pub struct StagedBackup {
    paths: Paths,
    /// Paths that were there before, and stay.
    kept: Vec<PathBuf>,
    created_folder: bool,
    is_committed: bool,
}

impl StagedBackup {
    /// Starts a copy in an existing folder, which is empty except for `kept`; an abandoned copy removes the folder,
    /// too, if it `created_folder`.
    pub fn create(folder: &Path, kept: Vec<PathBuf>, created_folder: bool) -> Result<Self, BackupError> {
        let paths = Paths::new(folder);
        let staged = Self { paths, kept, created_folder, is_committed: false };
        // Created first: found without the last file, it shows that the copy is incomplete.
        create_inner_folder(&staged.paths.blobs())
            .map_err(|error| BackupError::from_io(&staged.paths.blobs(), error))?;
        Ok(staged)
    }

    /// Returns the paths in the copy.
    pub fn paths(&self) -> &Paths {
        &self.paths
    }

    /// Copies the file `name`, and returns its hash; `None` if there is no such file. The copy is durable once the
    /// backup is.
    pub fn copy_file(&self, from: &Paths, name: &str) -> Result<Option<String>, BackupError> {
        let (source, target) = (from.root().join(name), self.paths.root().join(name));
        if !copy(&source, &target)? {
            return Ok(None);
        }
        hash_of(&target).map(Some)
    }

    /// Copies every file that the index in this copy names. A missing one is found when everything is read.
    pub fn copy_blobs(&self, from: &Paths) -> Result<(), BackupError> {
        let index = self.paths.index();
        let failed = |error| BackupError::Folder(OpenError::from_sqlite(&index, error));
        let connection = connect_reader(&index).map_err(failed)?;
        let (mut last, mut open_folder) = (i64::MIN, None);
        loop {
            let page = rows::blobs_after(&connection, last, BLOBS_PER_PAGE).map_err(failed)?;
            let Some(end) = page.last() else { break };
            last = *end;
            for number in page {
                let folder = self.paths.blob_folder(number);
                if open_folder.as_ref() != Some(&folder) {
                    open_folder.take().map_or(Ok(()), |full: PathBuf| sync_names(&full))?;
                    create_inner_folder(&folder).map_err(|error| BackupError::from_io(&folder, error))?;
                    open_folder = Some(folder);
                }
                copy(&from.blob(number), &self.paths.blob(number))?;
            }
        }
        open_folder.map_or(Ok(()), |full| sync_names(&full))?;
        sync_names(&self.paths.blobs())
    }

    /// Reads every object and verifies it, like [`check_integrity`](crate::embedded::check_integrity).
    pub fn verify(&self, report: impl FnMut(&str, &str)) -> Result<IntegrityReport, BackupError> {
        Ok(check_objects(&self.paths, report)?)
    }

    /// Syncs the names of all files, so that one more file can seal the copy.
    pub fn sync(&self) -> Result<(), BackupError> {
        sync_names(self.paths.root())
    }

    /// Keeps the copy.
    pub fn commit(mut self) {
        self.is_committed = true;
    }

    fn remove(&self) -> io::Result<()> {
        for entry in fs::read_dir(self.paths.root())? {
            let path = entry?.path();
            if self.kept.contains(&path) {
                continue;
            }
            if path.symlink_metadata()?.is_dir() { fs::remove_dir_all(path)? } else { fs::remove_file(path)? }
        }
        if self.created_folder { fs::remove_dir(self.paths.root()) } else { Ok(()) }
    }
}

impl Drop for StagedBackup {
    fn drop(&mut self) {
        if !self.is_committed
            && let Err(error) = self.remove()
        {
            tracing::warn!(folder = %self.paths.root().display(), %error, "what was written could not be removed again");
        }
    }
}

/// Returns the hash of a file, in hexadecimal digits.
pub fn hash_of(path: &Path) -> Result<String, BackupError> {
    let failed = |error| BackupError::from_io(path, error);
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
        Err(error) => Err(BackupError::from_io(to, error)),
    }
}

/// Syncs the bytes of a file.
pub fn sync_file(path: &Path) -> Result<(), BackupError> {
    File::open(path).and_then(|file| file.sync_all()).map_err(|error| BackupError::from_io(path, error))
}

fn sync_names(folder: &Path) -> Result<(), BackupError> {
    sync_folder(folder).map_err(|error| BackupError::from_io(folder, error))
}
