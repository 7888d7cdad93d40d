//! Disk reserve, so that objects can be deleted from a full disk.
//!
//! Deleting needs space: it is written to the log first, and the present log must be moved into the index before it can
//! restart. So a file of some megabytes is reserved. On a full disk the reserve is released and the log is moved; then
//! only deletes are accepted, until there is space for the file again.

use std::{
    fs,
    io::{self, Write},
    path::PathBuf,
    time::Duration,
};

use rusqlite::Connection;

use super::{index, permissions::replaced_file};

/// Bytes of the reserve: the longest log that was just not moved, and one more transaction.
const RESERVE_BYTES: u64 = 16 * 1024 * 1024;
/// Bytes of the reserve written at a time.
const BLOCK_BYTES: usize = 1024 * 1024;
/// Interval between attempts to refill the reserve, if nothing was deleted meanwhile.
const PATIENCE: Duration = Duration::from_secs(1);
/// Maximum number of steps in which the index returns its free pages, before giving up for now.
const STEPS: usize = 64;
/// Number of steps between checks for enough space.
const STEPS_BETWEEN: usize = 8;

/// The disk reserve.
#[derive(Debug)]
pub struct Room {
    reserve: PathBuf,
    is_held: bool,
    /// Time of the last attempt, by the monotonic clock; `None` if the next one should be immediate.
    looked_at: Option<Duration>,
}

impl Room {
    /// Fills the reserve in the file `reserve`, if there is space.
    pub fn new(reserve: PathBuf) -> Self {
        let mut room = Self { reserve, is_held: false, looked_at: None };
        if !room.restore() {
            tracing::warn!("the disk is full: objects can be read and deleted, but not written");
        }
        room
    }

    /// Returns whether the reserve is full, so that objects may be written.
    pub fn is_held(&self) -> bool {
        self.is_held
    }

    /// Returns whether objects may be written; tries to refill the reserve, but not too often.
    pub fn regain(&mut self, connection: &Connection, now: Duration) -> bool {
        if self.is_held || self.looked_at.is_some_and(|looked_at| now < looked_at + PATIENCE) {
            return self.is_held;
        }
        self.looked_at = Some(now);
        if self.restore() || self.shrink(connection) {
            tracing::info!("the disk has room again: objects can be written");
        }
        self.is_held
    }

    /// Hints that space was freed, so that a refill is worth trying.
    pub fn expect_some(&mut self) {
        self.looked_at = None;
    }

    /// Releases the reserve for the log and for moving it into the index. Then refills it if there is enough space all
    /// the same; returns whether it did.
    pub fn spend(&mut self, connection: &Connection) -> bool {
        if self.is_held {
            tracing::warn!("the disk is full: objects can be read and deleted, but not written until there is room");
        }
        self.release();
        if let Err(error) = index::restart_log(connection) {
            tracing::warn!(%error, "the log could not be moved into the index");
        }
        self.restore()
    }

    /// Releases the reserve.
    pub fn release(&mut self) {
        self.is_held = false;
        if let Err(error) = fs::remove_file(&self.reserve)
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!(%error, "the room that was set aside cannot be used");
        }
    }

    /// Makes the index return free pages until there is enough space.
    fn shrink(&mut self, connection: &Connection) -> bool {
        for step in 1..=STEPS {
            let shrunk = index::give_all_space_back(connection)
                .and_then(|more| index::restart_log(connection).map(|()| more))
                .inspect_err(|error| tracing::warn!(%error, "the index could not be made smaller"));
            let is_last = !matches!(shrunk, Ok(true)) || step == STEPS;
            if (is_last || step % STEPS_BETWEEN == 0) && self.restore() {
                return true;
            }
            if is_last {
                break;
            }
        }
        false
    }

    fn restore(&mut self) -> bool {
        if !self.is_held {
            match fill(&self.reserve) {
                Ok(()) => self.is_held = true,
                Err(error) => {
                    tracing::debug!(%error, "no room could be set aside");
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
    let mut file = replaced_file(reserve)?;
    let block = vec![0x5A; BLOCK_BYTES];
    for _ in 0..RESERVE_BYTES / BLOCK_BYTES as u64 {
        file.write_all(&block)?;
    }
    Ok(())
}
