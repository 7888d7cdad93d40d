//! Deletion of unused files: by a thread while the folder is served from, and by garbage collection at start. Neither
//! deletes files of former objects while a backup is being taken.
//!
//! A backup copies the files that the index named at one instant; those that have left the index since must stay until it
//! is done. The file `backup.lock` is the lock: backups, which are separate processes, hold it shared; a deleter holds it
//! exclusively for the moment of each deletion. The system releases the lock of a process that dies.

use std::{
    ffi::OsStr,
    fs::{self, File, TryLockError},
    io,
    path::{Path, PathBuf},
    sync::{
        Arc,
        mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use parking_lot::Mutex;
use rusqlite::Connection;

use super::{
    folder::{Folder, Paths, open_or_create},
    io_error::OpenError,
    rows,
};

/// Capacity of the queue of files to delete; beyond it, the caller deletes its file itself.
const QUEUE_CAPACITY: usize = 4096;

/// Maximum number of files that wait for the end of a backup, 8 MiB of numbers; further ones stay until the next start.
const MAX_HELD_BLOBS: usize = 1 << 20;

/// Number of files deleted in one go after a hold, while a new backup waits.
const BLOBS_PER_HOLD_CHECK: usize = 64;

/// Interval between checks for the end of the backup.
const HOLD_CHECK_INTERVAL: Duration = Duration::from_secs(1);

enum Job {
    Remove(PathBuf),
    Delete(i64),
    Stop,
}

/// Deletes files in the background.
#[derive(Debug)]
pub struct Reaper {
    jobs: SyncSender<Job>,
    thread: Mutex<Option<JoinHandle<()>>>,
    retired: Arc<RetiredBlobs>,
}

impl Reaper {
    /// Starts the thread.
    pub fn start(folder: Arc<Folder>) -> io::Result<Self> {
        let gate = DeletionGate::open(&folder.backup_lock())?;
        let retired = Arc::new(RetiredBlobs { folder, gate, held: Mutex::default() });
        let (jobs, queue) = sync_channel(QUEUE_CAPACITY);
        let work = Arc::clone(&retired);
        let thread = thread::Builder::new().name("storage-reaper".to_owned()).spawn(move || run(&queue, &work))?;
        Ok(Self { jobs, thread: Mutex::new(Some(thread)), retired })
    }

    /// Deletes `path`, which never belonged to an object, soon. If the process ends before, the next start collects it.
    pub fn remove(&self, path: PathBuf) {
        if let Err(TrySendError::Full(Job::Remove(path))) = self.jobs.try_send(Job::Remove(path)) {
            remove(&path);
        }
    }

    /// Deletes the file `number`, which the index no longer names, soon, or once no backup holds it.
    pub fn delete_blob(&self, number: i64) {
        if let Err(TrySendError::Full(_)) = self.jobs.try_send(Job::Delete(number)) {
            self.retired.remove(number);
        }
    }

    /// Deletes the queued files and ends the thread.
    pub fn stop(&self) {
        let thread = self.thread.lock().take();
        if let Some(thread) = thread {
            // Both fail only if the thread is gone already.
            let _ = self.jobs.send(Job::Stop);
            let _ = thread.join();
        }
    }
}

/// Files of former objects.
#[derive(Debug)]
struct RetiredBlobs {
    folder: Arc<Folder>,
    gate: DeletionGate,
    held: Mutex<Vec<i64>>,
}

impl RetiredBlobs {
    fn remove(&self, number: i64) {
        // In another folder at the same path these numbers belong to other objects.
        if self.folder.check().is_err() {
            return;
        }
        if self.gate.unless_held(|| self.remove_now(number)).is_none() {
            self.wait(number);
        }
    }

    fn wait(&self, number: i64) {
        let mut held = self.held.lock();
        if held.len() < MAX_HELD_BLOBS {
            held.push(number);
        } else {
            tracing::warn!(number, "too many files wait for the end of a backup; the next start deletes this one");
        }
    }

    /// Deletes the waiting files, unless they are still held.
    fn delete_released(&self) {
        loop {
            let some = self.next_held();
            if some.is_empty() || self.folder.check().is_err() {
                return;
            }
            let removed = self.gate.unless_held(|| some.iter().for_each(|number| self.remove_now(*number)));
            if removed.is_none() {
                return self.held.lock().extend(some);
            }
        }
    }

    fn next_held(&self) -> Vec<i64> {
        let mut held = self.held.lock();
        let kept = held.len().saturating_sub(BLOBS_PER_HOLD_CHECK);
        held.split_off(kept)
    }

    fn has_held(&self) -> bool {
        !self.held.lock().is_empty()
    }

    fn remove_now(&self, number: i64) {
        remove(&self.folder.blob(number));
    }
}

fn run(queue: &Receiver<Job>, retired: &RetiredBlobs) {
    loop {
        let job =
            if retired.has_held() { queue.recv_timeout(HOLD_CHECK_INTERVAL) } else { queue.recv().map_err(Into::into) };
        match job {
            Ok(Job::Remove(path)) => remove(&path),
            Ok(Job::Delete(number)) => retired.remove(number),
            Ok(Job::Stop) | Err(RecvTimeoutError::Disconnected) => break,
            Err(RecvTimeoutError::Timeout) => {}
        }
        retired.delete_released();
    }
    retired.delete_released();
}

fn remove(path: &Path) {
    match fs::remove_file(path) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => {
            tracing::warn!(path = %path.display(), %error, "cannot delete an unused file; the next start deletes it");
        }
    }
}

/// A hold on all files of a folder until it is dropped.
#[derive(Debug)]
pub struct BackupHold {
    _shared: File,
}

impl BackupHold {
    /// Waits for the deletion under way, and keeps every file from then on.
    pub fn acquire(path: &Path) -> io::Result<Self> {
        let shared = open_or_create(path)?;
        shared.lock_shared()?;
        Ok(Self { _shared: shared })
    }
}

/// Checks before each deletion whether files are held.
#[derive(Debug)]
pub struct DeletionGate {
    lock: Mutex<File>,
}

impl DeletionGate {
    /// Opens the file `backup.lock` at `path`.
    pub fn open(path: &Path) -> io::Result<Self> {
        Ok(Self { lock: Mutex::new(open_or_create(path)?) })
    }

    /// Runs `work` while no hold can begin; returns `None` without running it while files are held.
    pub fn unless_held<T>(&self, work: impl FnOnce() -> T) -> Option<T> {
        let file = self.lock.lock();
        match file.try_lock() {
            Ok(()) => {
                let done = work();
                // Never fails for an open and locked file; if it did, a backup would wait, and no data be lost.
                let _ = file.unlock();
                Some(done)
            }
            Err(TryLockError::WouldBlock) => None,
            Err(TryLockError::Error(error)) => {
                tracing::warn!(%error, "cannot check whether a backup is running; no files are deleted");
                None
            }
        }
    }
}

/// Result of the collection.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct GcReport {
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
pub fn collect_orphans(folder: &Folder, index: &Connection) -> Result<GcReport, OpenError> {
    let hold = folder.backup_lock();
    let gate = DeletionGate::open(&hold).map_err(|error| OpenError::from_io(&hold, error))?;
    let mut report = GcReport::default();
    for entry in list(&folder.temp())? {
        remove_orphan(&entry)?;
        report.removed += 1;
    }
    for inner in list(&folder.blobs())? {
        let live = match name(&inner).and_then(Paths::numbers_in) {
            Some((first, last)) => {
                rows::live_blobs(index, first, last).map_err(|error| OpenError::from_sqlite(&folder.index(), error))?
            }
            None => Vec::new(),
        };
        let mut left = 0;
        for file in list_or_file(&inner)? {
            let number = name(&file).and_then(Paths::number_of);
            if number.is_some_and(|number| live.binary_search(&number).is_ok()) {
                report.alive += 1;
            } else if let Some(done) = gate.unless_held(|| remove_orphan(&file)) {
                done?;
                report.removed += 1;
                continue;
            } else {
                report.held += 1;
            }
            left += 1;
            report.highest = report.highest.max(number.unwrap_or_default());
        }
        if left == 0 && inner.is_dir() {
            fs::remove_dir(&inner).map_err(|error| OpenError::from_io(&inner, error))?;
        }
    }
    Ok(report)
}

fn name(path: &Path) -> Option<&str> {
    path.file_name().and_then(OsStr::to_str)
}

fn list(folder: &Path) -> Result<Vec<PathBuf>, OpenError> {
    let paths = || fs::read_dir(folder)?.map(|entry| entry.map(|entry| entry.path())).collect::<io::Result<_>>();
    paths().map_err(|error| OpenError::from_io(folder, error))
}

/// Lists the files in `path`, or `path` itself if it is no folder: not ours, and removed as such.
fn list_or_file(path: &Path) -> Result<Vec<PathBuf>, OpenError> {
    if path.is_dir() { list(path) } else { Ok(vec![path.to_owned()]) }
}

/// Removes a file; a folder in its place was put there by others, and stays.
fn remove_orphan(path: &Path) -> Result<(), OpenError> {
    fs::remove_file(path).map_err(|error| OpenError::from_io(path, error))
}
