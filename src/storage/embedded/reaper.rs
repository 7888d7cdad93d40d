//! Removes files that nobody needs any more, on a thread of its own: removing a large file takes its time.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::{
        Mutex, PoisonError,
        mpsc::{Receiver, SyncSender, TrySendError, sync_channel},
    },
    thread::{self, JoinHandle},
};

/// Files that may wait for their removal; who brings one more removes it himself.
const QUEUE: usize = 4096;

enum Job {
    Remove(PathBuf),
    Stop,
}

/// Removes files in the background.
#[derive(Debug)]
pub struct Reaper {
    jobs: SyncSender<Job>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Reaper {
    /// Starts the thread.
    pub fn start() -> io::Result<Self> {
        let (jobs, queue) = sync_channel(QUEUE);
        let thread = thread::Builder::new().name("storage-reaper".to_owned()).spawn(move || run(&queue))?;
        Ok(Self { jobs, thread: Mutex::new(Some(thread)) })
    }

    /// Removes `path` soon. What is not removed when the process ends is collected at the next start.
    pub fn remove(&self, path: PathBuf) {
        match self.jobs.try_send(Job::Remove(path)) {
            Ok(()) | Err(TrySendError::Disconnected(_) | TrySendError::Full(Job::Stop)) => {}
            Err(TrySendError::Full(Job::Remove(path))) => remove(&path),
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

fn run(queue: &Receiver<Job>) {
    while let Ok(Job::Remove(path)) = queue.recv() {
        remove(&path);
    }
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
