//! Connections that read the index, kept for the next reader.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rusqlite::Connection;

use super::{
    super::error::Result,
    faults::{closed, index_fault},
    folder::Folder,
    index::connect_reader,
};

/// Number of connections kept without readers. More concurrent reads open more, which are closed again.
const KEPT: usize = 8;

/// Connections that read the index.
#[derive(Debug)]
pub struct Readers {
    folder: Arc<Folder>,
    /// `None` once closed.
    resting: Mutex<Option<Vec<Connection>>>,
}

impl Readers {
    /// Opens the first connection, so that a wrong path fails at once.
    pub fn open(folder: Arc<Folder>) -> rusqlite::Result<Self> {
        let first = connect_reader(&folder.index())?;
        Ok(Self { folder, resting: Mutex::new(Some(vec![first])) })
    }

    /// Runs `read` on a connection of its own. A connection on which it failed is not reused. Fails while the folder is
    /// known to be lost: data written since is not permanent.
    pub fn read<T>(&self, read: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T> {
        self.folder.recheck()?;
        let resting = self.resting().as_mut().ok_or_else(closed)?.pop();
        let connection = match resting {
            Some(connection) => connection,
            None => connect_reader(&self.folder.index()).map_err(index_fault)?,
        };
        let found = read(&connection).map_err(index_fault)?;
        let surplus = match &mut *self.resting() {
            Some(resting) if resting.len() < KEPT => {
                resting.push(connection);
                None
            }
            Some(_) | None => Some(connection),
        };
        // Closed after the lock is released.
        drop(surplus);
        Ok(found)
    }

    /// Closes all connections; later reads fail.
    pub fn close(&self) {
        let closed = self.resting().take();
        drop(closed);
    }

    fn resting(&self) -> MutexGuard<'_, Option<Vec<Connection>>> {
        self.resting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
