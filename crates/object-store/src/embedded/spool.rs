//! Files of large objects before the index names them: allocated, written, published, or removed.

use std::{
    fs::{self, File},
    io::{self, Write},
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
};

use super::{
    super::fingerprint::Fingerprint,
    access::{copy, create_inner_folder, new_file},
    folder::{Folder, sync_folder},
    reaper::Reaper,
};

/// Bytes written to an upload between two syncs: few enough that the last sync is short and no other sync waits for
/// gigabytes of ours.
const SYNC_EVERY_BYTES: u64 = 32 * 1024 * 1024;

/// Allocates new files.
#[derive(Debug)]
pub struct Spool {
    folder: Arc<Folder>,
    reaper: Arc<Reaper>,
    next: AtomicI64,
}

impl Spool {
    /// Allocates numbers from `first` on.
    pub fn new(folder: Arc<Folder>, reaper: Arc<Reaper>, first: i64) -> Self {
        Self { folder, reaper, next: AtomicI64::new(first) }
    }

    /// Allocates a file that does not exist yet.
    pub fn reserve(&self) -> NewFile {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let path = self.folder.upload(number);
        NewFile { number, path, folder: Arc::clone(&self.folder), reaper: Arc::clone(&self.reaper), is_kept: false }
    }
}

/// A file that is removed when this is dropped, unless it was kept.
#[derive(Debug)]
pub struct NewFile {
    number: i64,
    path: PathBuf,
    folder: Arc<Folder>,
    reaper: Arc<Reaper>,
    is_kept: bool,
}

impl NewFile {
    /// Returns its number, which no other file ever had.
    pub fn number(&self) -> i64 {
        self.number
    }

    /// Creates it, empty.
    pub fn create(&self) -> io::Result<File> {
        new_file(&self.path)
    }

    /// Creates it as a hard link to the file `number` if the disk supports that, else as a synced copy.
    pub fn link_or_copy(&self, number: i64) -> io::Result<()> {
        let from = self.folder.file(number);
        match fs::hard_link(&from, &self.path) {
            Ok(()) => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Err(error),
            Err(_) => copy(&from, &self.path)?.sync_all(),
        }
    }

    /// Renames it to its final name, which is durable once the returned folder is synced.
    pub fn put_in_place(&mut self) -> io::Result<PathBuf> {
        let (target, around) = (self.folder.file(self.number), self.folder.files_around(self.number));
        match fs::rename(&self.path, &target) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                create_inner_folder(&around)?;
                sync_folder(&self.folder.files())?;
                fs::rename(&self.path, &target)?;
            }
            other => other?,
        }
        self.path = target;
        Ok(around)
    }

    /// Keeps the file.
    pub fn keep(&mut self) {
        self.is_kept = true;
    }
}

impl Drop for NewFile {
    fn drop(&mut self) {
        if !self.is_kept {
            self.reaper.remove(std::mem::take(&mut self.path));
        }
    }
}

/// Writes and hashes a new file. Blocks: not for the async threads.
#[derive(Debug)]
pub struct Writer {
    target: NewFile,
    file: Option<File>,
    fingerprint: Fingerprint,
    unsynced: u64,
}

impl Writer {
    /// Starts without a file, not even an empty one.
    pub fn new(target: NewFile) -> Self {
        Self { target, file: None, fingerprint: Fingerprint::new(), unsynced: 0 }
    }

    /// Appends `bytes`.
    pub fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        let file = match &mut self.file {
            Some(file) => file,
            empty @ None => empty.insert(self.target.create()?),
        };
        file.write_all(bytes)?;
        self.fingerprint.update(bytes);
        self.unsynced += bytes.len() as u64;
        if self.unsynced >= SYNC_EVERY_BYTES {
            file.sync_data()?;
            self.unsynced = 0;
        }
        Ok(())
    }

    /// Syncs the bytes, but not the name.
    pub fn finish(mut self) -> io::Result<(NewFile, Fingerprint)> {
        if let Some(file) = self.file.take() {
            file.sync_data()?;
        }
        Ok((self.target, self.fingerprint))
    }
}
