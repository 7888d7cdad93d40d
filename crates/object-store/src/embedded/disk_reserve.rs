//! Disk reserve, so that objects can be deleted from a full disk.
//!
//! Deleting needs space: a delete is written to the write-ahead log (WAL), and a full WAL must be checkpointed before it
//! can restart. So a file of some megabytes is reserved. On a full disk the reserve is released and the WAL is
//! checkpointed; then only deletes are accepted, until there is space for the file again.

use std::{
    fs,
    io::{self, Write},
    path::PathBuf,
    time::Duration,
};

use rusqlite::Connection;

use super::{folder::create_or_truncate, index};

/// Bytes of the reserve: the longest WAL before its checkpoint, and one more transaction.
const RESERVE_BYTES: u64 = 16 * 1024 * 1024;
/// Bytes of the reserve written at a time.
const BLOCK_BYTES: usize = 1024 * 1024;
/// Interval between attempts to refill the reserve, if nothing was deleted meanwhile.
const REFILL_INTERVAL: Duration = Duration::from_secs(1);
/// Maximum number of steps in which the index returns its free pages, before giving up for now.
const MAX_VACUUM_STEPS: usize = 64;
/// Number of steps between checks for enough space.
const VACUUM_STEPS_PER_CHECK: usize = 8;

/// The disk reserve.
#[derive(Debug)]
pub struct DiskReserve {
    path: PathBuf,
    is_held: bool,
    /// Time of the last attempt, by the monotonic clock; `None` if the next one should be immediate.
    tried_at: Option<Duration>,
}

impl DiskReserve {
    /// Fills the reserve in the file `reserve`, if there is space.
    pub fn new(path: PathBuf) -> Self {
        let mut reserve = Self { path, is_held: false, tried_at: None };
        if !reserve.refill() {
            tracing::warn!("the disk is full: objects can be read and deleted, but not written");
        }
        reserve
    }

    /// Returns whether the reserve is full, so that objects may be written.
    pub fn is_held(&self) -> bool {
        self.is_held
    }

    /// Returns whether objects may be written; tries to refill the reserve, but not too often.
    pub fn try_refill(&mut self, connection: &Connection, now: Duration) -> bool {
        if self.is_held || self.tried_at.is_some_and(|tried_at| now < tried_at + REFILL_INTERVAL) {
            return self.is_held;
        }
        self.tried_at = Some(now);
        if self.refill() || self.vacuum_and_refill(connection) {
            tracing::info!("the disk has free space again: objects can be written");
        }
        self.is_held
    }

    /// Hints that space was freed, so that a refill is worth trying.
    pub fn hint_freed(&mut self) {
        self.tried_at = None;
    }

    /// Releases the reserve for the WAL and its checkpoint. Then refills it if there is enough space all the same; returns
    /// whether it did.
    pub fn consume(&mut self, connection: &Connection) -> bool {
        if self.is_held {
            tracing::warn!("the disk is full: objects can be read and deleted, but not written until space is free");
        }
        self.release();
        if let Err(error) = index::restart_wal(connection) {
            tracing::warn!(%error, "cannot checkpoint the index");
        }
        self.refill()
    }

    /// Releases the reserve.
    pub fn release(&mut self) {
        self.is_held = false;
        if let Err(error) = fs::remove_file(&self.path)
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!(%error, "cannot release the disk reserve");
        }
    }

    /// Makes the index return free pages until there is enough space.
    fn vacuum_and_refill(&mut self, connection: &Connection) -> bool {
        for step in 1..=MAX_VACUUM_STEPS {
            let shrunk = index::vacuum_all_pages(connection)
                .and_then(|more| index::restart_wal(connection).map(|()| more))
                .inspect_err(|error| tracing::warn!(%error, "cannot shrink the index"));
            let is_last = !matches!(shrunk, Ok(true)) || step == MAX_VACUUM_STEPS;
            if (is_last || step % VACUUM_STEPS_PER_CHECK == 0) && self.refill() {
                return true;
            }
            if is_last {
                break;
            }
        }
        false
    }

    fn refill(&mut self) -> bool {
        if !self.is_held {
            match fill(&self.path) {
                Ok(()) => self.is_held = true,
                Err(error) => {
                    tracing::debug!(%error, "cannot fill the disk reserve");
                    self.release();
                }
            }
        }
        self.is_held
    }
}

/// Extends the file to its full length, without a sync, since it need not survive a crash. Its bytes are not zeros,
/// which some file systems would not store.
fn fill(reserve: &PathBuf) -> io::Result<()> {
    if fs::metadata(reserve).is_ok_and(|found| found.len() == RESERVE_BYTES) {
        return Ok(());
    }
    let mut file = create_or_truncate(reserve)?;
    let block = vec![0x5A; BLOCK_BYTES];
    for _ in 0..RESERVE_BYTES / BLOCK_BYTES as u64 {
        file.write_all(&block)?;
    }
    Ok(())
}
