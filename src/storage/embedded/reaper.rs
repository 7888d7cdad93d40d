//! Removes files that nobody needs any more, on a thread of its own: removing a large file takes its time. What objects
//! had waits while a backup holds it.

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

/// Files that may wait for their removal; who brings one more removes it himself.
const QUEUE: usize = 4096;

/// Numbers of files that may wait for the end of a backup, 8 MiB of them; what is beyond stays until the next start.
const HELD: usize = 1 << 20;

/// Files that are removed in one go once nothing is held, while a backup that begins waits.
const AT_ONCE: usize = 64;

/// The pause between two looks whether the backup has ended.
const PAUSE: Duration = Duration::from_secs(1);

enum Job {
    Remove(PathBuf),
    Retire(i64),
    Stop,
}

/// Removes files in the background.
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

    /// Removes `path`, which never was an object's, soon. What is not removed when the process ends is collected at the
    /// next start.
    pub fn remove(&self, path: PathBuf) {
        if let Err(TrySendError::Full(Job::Remove(path))) = self.jobs.try_send(Job::Remove(path)) {
            remove(&path);
        }
    }

    /// Removes the file `number`, which the index does not name any more, soon, or once no backup holds it.
    pub fn retire(&self, number: i64) {
        if let Err(TrySendError::Full(_)) = self.jobs.try_send(Job::Retire(number)) {
            self.retired.remove(number);
        }
    }

    /// Removes what is queued and ends the thread.
    pub fn stop(&self) {
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread {
            // Both fail only if the thread is gone already.
            let _ = self.jobs.send(Job::Stop);
            let _ = thread.join();
        }
    }
}

/// Files that objects had.
#[derive(Debug)]
struct Retired {
    folder: Arc<Folder>,
    removals: Removals,
    held: Mutex<Vec<i64>>,
}

impl Retired {
    fn remove(&self, number: i64) {
        // Numbers of another folder in its place are those of other objects.
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

    /// Removes what has waited, as far as nothing is held any more.
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
