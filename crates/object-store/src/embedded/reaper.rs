//! Deletes unused files on a thread of its own, since deleting a large file takes time. Files of former objects wait
//! while a backup holds them.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use super::{folder::Folder, hold::Removals};

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
