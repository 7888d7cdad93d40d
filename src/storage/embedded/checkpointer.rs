//! The thread that moves the index's log into the index while writes go on.
//!
//! A checkpoint writes thousands of pages and syncs the file. A write that waits for it is slow. So most of it is done here, by a
//! connection of its own, which `SQLite` allows beside a writer; the writer moves what has come since, which is little.
//! See <https://www.sqlite.org/wal.html>, section 2.3.

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

/// The way to the thread.
#[derive(Debug)]
pub struct Checkpointer {
    wake: SyncSender<()>,
    thread: JoinHandle<()>,
    under_way: Arc<Mutex<()>>,
}

impl Checkpointer {
    /// Starts the thread over a connection to the index.
    pub fn start(connection: Connection) -> io::Result<Self> {
        // One call may wait: what is written meanwhile is in the log by then.
        let (wake, calls) = sync_channel(1);
        let under_way = Arc::default();
        let held = Arc::clone(&under_way);
        let thread = thread::Builder::new()
            .name("storage-checkpointer".to_owned())
            .spawn(move || run(&calls, &connection, &held))?;
        Ok(Self { wake, thread, under_way })
    }

    /// Has the log moved soon.
    pub fn wake(&self) {
        // Fails if a call waits already, or the thread is gone, in whose place the writer moves the log.
        let _ = self.wake.try_send(());
    }

    /// Waits for a move that is under way, and keeps the next one off: `SQLite` lets one connection move the log at a time.
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
