//! Room that is set aside, so that a full disk can still be emptied.
//!
//! Deleting takes room: its log is written first, and what is in the log already must be moved into the index before
//! the log can begin again. So a file of some megabytes stands by. When the disk is full it is given up, the log is
//! moved, and from then on only deletes are made, until the file finds room again.

use std::{
    fs,
    io::{self, Write},
    path::PathBuf,
    time::Duration,
};

use rusqlite::Connection;

use super::{access::replaced_file, index};

/// Bytes set aside: what the log may hold when it has just missed being moved, and a transaction more.
const RESERVE_BYTES: u64 = 16 * 1024 * 1024;
/// Bytes written at once when they are set aside.
const BLOCK_BYTES: usize = 1024 * 1024;
/// How long to wait before looking for room again, when nothing was deleted meanwhile.
const PATIENCE: Duration = Duration::from_secs(1);
/// Steps in which the index gives its free pages back before giving up for now.
const STEPS: usize = 64;
/// Steps after which to see whether that was enough.
const STEPS_BETWEEN: usize = 8;

/// Room that is set aside.
#[derive(Debug)]
pub struct Room {
    reserve: PathBuf,
    is_held: bool,
    /// By the monotonic clock; `None` when there is reason to look at once.
    looked_at: Option<Duration>,
}

impl Room {
    /// Sets room aside in the file `reserve`, if there is any.
    pub fn new(reserve: PathBuf) -> Self {
        let mut room = Self { reserve, is_held: false, looked_at: None };
        if !room.restore() {
            tracing::warn!("the disk is full: objects can be read and deleted, but not written");
        }
        room
    }

    /// Returns whether room is set aside, so that objects may be written.
    pub fn is_held(&self) -> bool {
        self.is_held
    }

    /// Whether objects may be written; where not so far, looks for room, but not too often.
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

    /// Says that something was deleted, so that it is worth looking for room.
    pub fn expect_some(&mut self) {
        self.looked_at = None;
    }

    /// Gives up what was set aside, to make room for the log and for what it moves into the index; sets it aside
    /// again if there was enough room all the same, which is the answer.
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

    /// Gives up what was set aside.
    pub fn release(&mut self) {
        self.is_held = false;
        if let Err(error) = fs::remove_file(&self.reserve)
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!(%error, "the room that was set aside cannot be used");
        }
    }

    /// Lets the index give its free pages back until there is enough room.
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

/// Makes the file as long as it should be. It need not survive a crash, so it is not synced; and its bytes are not
/// zeros, which some file systems would not store.
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
