//! The thread that makes every change: it takes what is queued, commits it with one sync, and answers.
//!
//! When it dies (a bug), whoever waits for an answer gets [`Error::Unavailable`](super::super::Error::Unavailable),
//! as does every later write; reads go on.

use std::{
    io,
    sync::{Mutex, MutexGuard, PoisonError},
    thread::{self, JoinHandle},
};

use tokio::{
    sync::{mpsc, oneshot},
    task::spawn_blocking,
};

use crate::clock::Timestamp;

use super::{
    super::error::Result,
    batch::{Batches, Change, Request},
    faults::closed,
    index,
};

/// Changes that may wait; whoever brings one more waits for his turn.
const QUEUE: usize = 256;
/// The most changes in one transaction.
const BATCH_CHANGES: usize = 256;
/// About the most bytes the log grows by in one transaction.
const BATCH_BYTES: usize = 4 * 1024 * 1024;
/// Pages in the log (of 4 KiB) from which on it is moved into the index, after each batch until that succeeds. With
/// a batch more it must stay within what `room` sets aside.
const LOG_PAGES: i64 = 2048;

/// The way to the thread.
#[derive(Debug)]
pub struct Committer {
    /// `None` once closed.
    queue: Mutex<Option<mpsc::Sender<Request>>>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Committer {
    /// Starts the thread.
    pub fn start(batches: Batches) -> io::Result<Self> {
        let (queue, requests) = mpsc::channel(QUEUE);
        let thread =
            thread::Builder::new().name("storage-committer".to_owned()).spawn(move || run(requests, batches))?;
        Ok(Self { queue: Mutex::new(Some(queue)), thread: Mutex::new(Some(thread)) })
    }

    /// Makes a change; the moment at which it was made. A future dropped while the queue is full changes nothing;
    /// one dropped later leaves the change to happen or not, as a whole.
    pub async fn commit(&self, change: Change) -> Result<Timestamp> {
        let queue = self.queue().clone().ok_or_else(closed)?;
        let (answer, answered) = oneshot::channel();
        queue.send(Request { change, answer }).await.map_err(|_| closed())?;
        drop(queue);
        answered.await.map_err(|_| closed())?
    }

    /// Whether changes can be made.
    pub fn is_alive(&self) -> bool {
        self.queue().as_ref().is_some_and(|queue| !queue.is_closed())
    }

    /// Refuses further changes, makes those that are queued, and ends the thread.
    pub async fn close(&self) {
        drop(self.queue().take());
        if let Some(thread) = self.thread() {
            // Either fails only when the thread panicked or the runtime is going away.
            let _ = spawn_blocking(move || thread.join()).await;
        }
    }

    /// Like [`close`](Self::close), but blocks.
    pub fn end(&self) {
        drop(self.queue().take());
        if let Some(thread) = self.thread() {
            // A panic of the thread was reported where it happened.
            let _ = thread.join();
        }
    }

    fn queue(&self) -> MutexGuard<'_, Option<mpsc::Sender<Request>>> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn thread(&self) -> Option<JoinHandle<()>> {
        self.thread.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

fn run(mut requests: mpsc::Receiver<Request>, mut batches: Batches) {
    while let Some(first) = requests.blocking_recv() {
        let batch = gather(first, &mut requests);
        batches.make(batch);
        if let Err(error) = keep_house(&batches, &requests) {
            tracing::warn!(%error, "the index's log could not be moved, or its space not be given back");
        }
    }
    if let Err(error) = index::empty_log(&batches.connection) {
        tracing::warn!(%error, "the index's log could not be emptied; the next start replays it");
    }
}

/// What is queued already, within limits. Nobody is waited for: while one batch is synced, the next gathers by itself.
fn gather(first: Request, requests: &mut mpsc::Receiver<Request>) -> Vec<Request> {
    let mut weight = first.change.weight();
    let mut batch = vec![first];
    while batch.len() < BATCH_CHANGES && weight < BATCH_BYTES {
        let Ok(next) = requests.try_recv() else { break };
        weight += next.change.weight();
        batch.push(next);
    }
    batch
}

/// Work that can wait until everybody has his answer.
fn keep_house(batches: &Batches, requests: &mpsc::Receiver<Request>) -> rusqlite::Result<()> {
    let connection = &batches.connection;
    let mut gave_space = false;
    while requests.is_empty() && index::give_space_back(connection)? {
        gave_space = true;
        move_long_log(connection)?;
    }
    // The file becomes shorter when the log is moved, not before.
    if gave_space { index::move_log(connection) } else { move_long_log(connection) }
}

fn move_long_log(connection: &rusqlite::Connection) -> rusqlite::Result<()> {
    if index::log_pages(connection)? >= LOG_PAGES { index::move_log(connection) } else { Ok(()) }
}
