//! What keeps the files of removed objects for a backup: it copies what the index named at one instant, and files that have
//! left the index since must stay until it has copied them.
//!
//! A lock on the file `backup.lock`: shared by backups, which are processes of their own, and taken for the moment of each
//! removal by whoever removes. The system gives up the lock of a process that dies.

use std::{
    fs::{File, TryLockError},
    io,
    path::Path,
    sync::{Mutex, PoisonError},
};

use super::access::kept_file;

/// Keeps all files of a folder until it is dropped.
#[derive(Debug)]
pub struct Hold {
    _shared: File,
}

impl Hold {
    /// Waits for the removal under way, and keeps every file from then on.
    pub fn take(path: &Path) -> io::Result<Self> {
        let shared = open(path)?;
        shared.lock_shared()?;
        Ok(Self { _shared: shared })
    }
}

/// Asks before each removal whether files are held.
#[derive(Debug)]
pub struct Removals {
    lock: Mutex<File>,
}

impl Removals {
    /// Those of the folder whose file `backup.lock` is at `path`.
    pub fn open(path: &Path) -> io::Result<Self> {
        Ok(Self { lock: Mutex::new(open(path)?) })
    }

    /// Does `work`, during which no hold begins; `None`, and nothing is done, while files are held.
    pub fn unless_held<T>(&self, work: impl FnOnce() -> T) -> Option<T> {
        let file = self.lock.lock().unwrap_or_else(PoisonError::into_inner);
        match file.try_lock() {
            Ok(()) => {
                let done = work();
                // Fails for no file that is open and locked; if it did, a backup would wait, and nothing be lost.
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
