//! The thread that checkpoints the index's log while writes go on.
//!
//! A checkpoint writes thousands of pages and syncs the file. A write that waits for it is slow. So this thread does
//! most of it on its own connection, which `SQLite` allows beside a writer; the writer moves the small rest that came
//! since. See <https://www.sqlite.org/wal.html>, section 2.3.

use std::{
    io,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread::{self, JoinHandle},
};

use rusqlite::Connection;

use super::index;

/// Handle of the thread.
#[derive(Debug)]
pub struct Checkpointer {
    wake: SyncSender<()>,
    thread: JoinHandle<()>,
    under_way: Arc<Mutex<()>>,
}

impl Checkpointer {
    /// Starts the thread over a connection to the index.
    pub fn start(connection: Connection) -> io::Result<Self> {
        // One call may wait: writes made meanwhile are in the log by then.
        let (wake, calls) = sync_channel(1);
        let under_way = Arc::default();
        let held = Arc::clone(&under_way);
        let thread = thread::Builder::new()
            .name("storage-checkpointer".to_owned())
            .spawn(move || run(&calls, &connection, &held))?;
        Ok(Self { wake, thread, under_way })
    }

    /// Requests a checkpoint.
    pub fn wake(&self) {
        // Fails if a call waits already, or if the thread is gone: then the writer moves the log.
        let _ = self.wake.try_send(());
    }

    /// Waits for a checkpoint under way, and prevents the next one: in `SQLite` only one connection may run one at a
    /// time.
    pub fn pause(&self) -> MutexGuard<'_, ()> {
        self.under_way.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends the thread.
    pub fn stop(self) {
        drop(self.wake);
        // A panic of the thread was reported where it happened.
        let _ = self.thread.join();
    }
}

fn run(calls: &Receiver<()>, connection: &Connection, under_way: &Mutex<()>) {
    while calls.recv().is_ok() {
        let _moving = under_way.lock().unwrap_or_else(PoisonError::into_inner);
        if let Err(error) = index::move_log(connection) {
            tracing::warn!(%error, "the index's log could not be moved beside writes");
        }
    }
}
