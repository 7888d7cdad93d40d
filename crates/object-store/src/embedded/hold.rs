//! Prevents the deletion of files while a backup copies them. The backup copies the files that the index named at one
//! instant; those that have left the index since must stay until it is done.
//!
//! The file `backup.lock` is the lock: backups, which are separate processes, hold it shared; a deleter holds it
//! exclusively for the moment of each deletion. The system releases the lock of a process that dies.

use std::{
    fs::{File, TryLockError},
    io,
    path::Path,
    sync::{Mutex, PoisonError},
};

use super::access::kept_file;

/// A hold on all files of a folder until it is dropped.
#[derive(Debug)]
pub struct Hold {
    _shared: File,
}

impl Hold {
    /// Waits for the deletion under way, and keeps every file from then on.
    pub fn take(path: &Path) -> io::Result<Self> {
        let shared = open(path)?;
        shared.lock_shared()?;
        Ok(Self { _shared: shared })
    }
}

/// Checks before each deletion whether files are held.
#[derive(Debug)]
pub struct Removals {
    lock: Mutex<File>,
}

impl Removals {
    /// Opens the file `backup.lock` at `path`.
    pub fn open(path: &Path) -> io::Result<Self> {
        Ok(Self { lock: Mutex::new(open(path)?) })
    }

    /// Runs `work` while no hold can begin; returns `None` without running it while files are held.
    pub fn unless_held<T>(&self, work: impl FnOnce() -> T) -> Option<T> {
        let file = self.lock.lock().unwrap_or_else(PoisonError::into_inner);
        match file.try_lock() {
            Ok(()) => {
                let done = work();
                // Never fails for an open and locked file; if it did, a backup would wait, and no data be lost.
                let _ = file.unlock();
                Some(done)
            }
            Err(TryLockError::WouldBlock) => None,
            Err(TryLockError::Error(error)) => {
                tracing::warn!(%error, "whether a backup is being taken cannot be found out, so files stay");
                None
            }
        }
    }
}

fn open(path: &Path) -> io::Result<File> {
    kept_file(path)
}
