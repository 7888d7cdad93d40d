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
        Arc, Mutex, MutexGuard, PoisonError,
        mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use rusqlite::Connection;

use super::{
    folder::{Folder, Paths},
    io_error::OpenError,
    permissions::kept_file,
    rows,
};

/// Capacity of the queue of files to delete; beyond it, the caller deletes its file itself.
const QUEUE: usize = 4096;

/// Maximum number of files that wait for the end of a backup, 8 MiB of numbers; further ones stay until the next start.
const HELD: usize = 1 << 20;

/// Number of files deleted in one go after a hold, while a new backup waits.
const AT_ONCE: usize = 64;

/// Interval between checks for the end of the backup.
const PAUSE: Duration = Duration::from_secs(1);

enum Job {
    Remove(PathBuf),
    Retire(i64),
    Stop,
}

/// Deletes files in the background.
#[derive(Debug)]
pub struct Reaper {
    jobs: SyncSender<Job>,
    thread: Mutex<Option<JoinHandle<()>>>,
    retired: Arc<Retired>,
}

impl Reaper {
    /// Starts the thread.
    pub fn start(folder: Arc<Folder>) -> io::Result<Self> {
        let removals = Removals::open(&folder.hold())?;
        let retired = Arc::new(Retired { folder, removals, held: Mutex::default() });
        let (jobs, queue) = sync_channel(QUEUE);
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
    pub fn retire(&self, number: i64) {
        if let Err(TrySendError::Full(_)) = self.jobs.try_send(Job::Retire(number)) {
            self.retired.remove(number);
        }
    }

    /// Deletes the queued files and ends the thread.
    pub fn stop(&self) {
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread {
            // Both fail only if the thread is gone already.
            let _ = self.jobs.send(Job::Stop);
            let _ = thread.join();
        }
    }
}

/// Files of former objects.
#[derive(Debug)]
struct Retired {
    folder: Arc<Folder>,
    removals: Removals,
    held: Mutex<Vec<i64>>,
}

impl Retired {
    fn remove(&self, number: i64) {
        // In another folder at the same path these numbers belong to other objects.
        if self.folder.check().is_err() {
            return;
        }
        if self.removals.unless_held(|| self.remove_now(number)).is_none() {
            self.wait(number);
        }
    }

    fn wait(&self, number: i64) {
        let mut held = self.held();
        if held.len() < HELD {
            held.push(number);
        } else {
            tracing::warn!(number, "too many files wait for the end of a backup; this one stays until the next start");
        }
    }

    /// Deletes the waiting files, unless they are still held.
    fn look_again(&self) {
        loop {
            let some = self.some_held();
            if some.is_empty() || self.folder.check().is_err() {
                return;
            }
            let removed = self.removals.unless_held(|| some.iter().for_each(|number| self.remove_now(*number)));
            if removed.is_none() {
                return self.held().extend(some);
            }
        }
    }

    fn some_held(&self) -> Vec<i64> {
        let mut held = self.held();
        let kept = held.len().saturating_sub(AT_ONCE);
        held.split_off(kept)
    }

    fn has_held(&self) -> bool {
        !self.held().is_empty()
    }

    fn remove_now(&self, number: i64) {
        remove(&self.folder.file(number));
    }

    fn held(&self) -> MutexGuard<'_, Vec<i64>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn run(queue: &Receiver<Job>, retired: &Retired) {
    loop {
        let job = if retired.has_held() { queue.recv_timeout(PAUSE) } else { queue.recv().map_err(Into::into) };
        match job {
            Ok(Job::Remove(path)) => remove(&path),
            Ok(Job::Retire(number)) => retired.remove(number),
            Ok(Job::Stop) | Err(RecvTimeoutError::Disconnected) => break,
            Err(RecvTimeoutError::Timeout) => {}
        }
        retired.look_again();
    }
    retired.look_again();
}

fn remove(path: &Path) {
    match fs::remove_file(path) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => {
            tracing::warn!(path = %path.display(), %error, "a file that is no longer needed stays until the next start");
        }
    }
}

/// A hold on all files of a folder until it is dropped.
#[derive(Debug)]
pub struct Hold {
    _shared: File,
}

impl Hold {
    /// Waits for the deletion under way, and keeps every file from then on.
    pub fn take(path: &Path) -> io::Result<Self> {
        let shared = kept_file(path)?;
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
        Ok(Self { lock: Mutex::new(kept_file(path)?) })
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
        remove_orphan(&entry)?;
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
            } else if let Some(done) = removals.unless_held(|| remove_orphan(&file)) {
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
fn remove_orphan(path: &Path) -> Result<(), OpenError> {
    fs::remove_file(path).map_err(|error| OpenError::of_file(path, error))
}
