//! The index: one `SQLite` database, its settings and tables, and the pool of connections that read it.
//!
//! In WAL mode readers see a snapshot and are not blocked; `synchronous=FULL` syncs the WAL once per transaction.
//! See <https://www.sqlite.org/wal.html>.

use std::{path::Path, sync::Arc, thread, time::Duration};

use parking_lot::Mutex;
use rusqlite::{Connection, Error, OpenFlags, Result, config::DbConfig};

use crate::store;

use super::{
    folder::Folder,
    io_error::{closed_error, map_sqlite_error},
};

/// Name of its file.
pub const FILE: &str = "index.sqlite";
/// Bytes of a page: four small rows, and the size of a page of memory.
const PAGE_BYTES: u32 = 4096;
/// Cache of the writer.
const WRITER_CACHE_KIB: i64 = 16 * 1024;
/// Cache of each reader for pages in the WAL; small, since every commit empties it.
const READER_CACHE_KIB: i64 = 2 * 1024;
/// Bytes of the index that readers access through a memory map of the system's cache, instead of a call and a copy for
/// each page: about five million records. Reasons and cost: `docs/decisions/0005`.
const READER_MAP_BYTES: i64 = 1 << 30;
/// Timeout for a lock of the database, which only recovery and the truncation of the WAL hold.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// Size in bytes to which a longer WAL is truncated.
const MAX_WAL_FILE_BYTES: i64 = 8 * 1024 * 1024;
/// Number of prepared statements that each connection keeps: more than exist.
const MAX_CACHED_STATEMENTS: usize = 32;
/// Minimum number of free pages that stay in the file for the next writes.
const MIN_FREE_PAGES: i64 = 1024;
/// Maximum number of free pages that stay in the file, whatever its length, once all writes are answered.
const MAX_FREE_PAGES: i64 = 2048;
/// Free pages returned to the disk in one step, while the next write waits.
const PAGES_PER_VACUUM_STEP: i64 = 64;
/// Free pages returned to the disk in one step while the disk is full.
const PAGES_PER_FULL_VACUUM_STEP: i64 = 512;

/// The tables. `objects` has only small rows in the order of keys, so that a list of keys reads few pages;
/// `inline_values` grows at its end. A tiny value is in the object's row, a larger one is an inline value or a file, an
/// empty one is neither. `blobs` names the live files, for the collection of orphans.
const TABLES: &str = "
CREATE TABLE IF NOT EXISTS objects (
    key BLOB PRIMARY KEY,
    size INTEGER NOT NULL,
    etag BLOB NOT NULL,
    last_modified INTEGER NOT NULL,
    content_type TEXT NOT NULL,
    content_encoding TEXT,
    inline_value_id INTEGER,
    blob_id INTEGER,
    tiny_value BLOB
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS inline_values (id INTEGER PRIMARY KEY, bytes BLOB NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS blobs (id INTEGER PRIMARY KEY) STRICT;
";

fn connect(path: &Path) -> Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.set_prepared_statement_cache_capacity(MAX_CACHED_STATEMENTS);
    // Plans do not depend on values: otherwise the join below is planned again for each key.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    connection.pragma_update(None, "temp_store", "memory")?;
    connection.pragma_update(None, "trusted_schema", false)?;
    Ok(connection)
}

/// Opens a connection that may write, and creates the index if it does not exist.
pub fn connect_writer(path: &Path) -> Result<Connection> {
    let connection = connect(path)?;
    // These two only take effect before the first page is written; `auto_vacuum` allows returning space later.
    connection.pragma_update(None, "page_size", PAGE_BYTES)?;
    connection.pragma_update(None, "auto_vacuum", "incremental")?;
    connection.pragma_update(None, "journal_mode", "wal")?;
    connection.pragma_update(None, "synchronous", "full")?;
    connection.pragma_update(None, "cache_size", -WRITER_CACHE_KIB)?;
    connection.pragma_update(None, "journal_size_limit", MAX_WAL_FILE_BYTES)?;
    // The committing thread runs checkpoints itself, after it has answered.
    connection.pragma_update(None, "wal_autocheckpoint", 0)?;
    connection.execute_batch(&format!("BEGIN IMMEDIATE; {TABLES} COMMIT;"))?;
    Ok(connection)
}

/// Opens a connection that runs checkpoints beside the one that writes.
pub fn connect_checkpointer(path: &Path) -> Result<Connection> {
    let connection = connect(path)?;
    connection.pragma_update(None, "synchronous", "full")?;
    connection.pragma_update(None, "wal_autocheckpoint", 0)?;
    Ok(connection)
}

/// Opens a connection that only reads.
pub fn connect_reader(path: &Path) -> Result<Connection> {
    let connection = connect(path)?;
    connection.pragma_update(None, "cache_size", -READER_CACHE_KIB)?;
    connection.pragma_update(None, "mmap_size", READER_MAP_BYTES)?;
    connection.pragma_update(None, "query_only", true)?;
    Ok(connection)
}

/// Copies the index of the folder, as of this instant, into the new file `target`, without a sync. Writers go on
/// meanwhile; the WAL grows by their writes, since it cannot restart under a reader.
pub fn snapshot_into(path: &Path, target: &Path) -> Result<()> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.pragma_update(None, "trusted_schema", false)?;
    let text = target.to_str().ok_or_else(|| Error::InvalidPath(target.to_owned()))?;
    connection.execute("VACUUM INTO ?1", [text]).map(drop)
}

/// Returns the problems that the database itself reports; none if it is intact.
pub fn integrity_problems(connection: &Connection) -> Result<Vec<String>> {
    let mut statement = connection.prepare("PRAGMA integrity_check")?;
    let lines = statement.query_map([], |row| row.get::<_, String>(0))?.collect::<Result<Vec<_>>>()?;
    Ok(if lines == ["ok"] { Vec::new() } else { lines })
}

/// Returns the number of pages in the WAL.
pub fn wal_pages(connection: &Connection) -> Result<i64> {
    run_checkpoint(connection, "PRAGMA wal_checkpoint(NOOP)")
}

/// Checkpoints the WAL as far as readers allow, without waiting for them.
pub fn checkpoint(connection: &Connection) -> Result<()> {
    run_checkpoint(connection, "PRAGMA wal_checkpoint(PASSIVE)").map(drop)
}

/// Checkpoints the WAL, so that it restarts at its beginning; waits for readers.
pub fn restart_wal(connection: &Connection) -> Result<()> {
    run_checkpoint(connection, "PRAGMA wal_checkpoint(RESTART)").map(drop)
}

/// Checkpoints the WAL and empties it.
pub fn truncate_wal(connection: &Connection) -> Result<()> {
    run_checkpoint(connection, "PRAGMA wal_checkpoint(TRUNCATE)").map(drop)
}

/// Runs a checkpoint, and returns the number of pages in the WAL.
fn run_checkpoint(connection: &Connection, sql: &str) -> Result<i64> {
    connection.prepare_cached(sql)?.query_row([], |row| row.get(1))
}

/// Returns whether free pages should return to the disk.
///
/// Not while they are few, or no more than [`MAX_FREE_PAGES`] and less than a quarter of all: the next writes need
/// them.
pub fn has_spare_pages(connection: &Connection) -> Result<bool> {
    let free = number(connection, "freelist_count")?;
    let is_little = free <= MAX_FREE_PAGES && free < number(connection, "page_count")? / 4;
    Ok(free > MIN_FREE_PAGES && !is_little)
}

/// Returns free pages to the disk, one step. Returns whether there were any.
pub fn vacuum_spare_pages(connection: &Connection) -> Result<bool> {
    if !has_spare_pages(connection)? {
        return Ok(false);
    }
    let spare = number(connection, "freelist_count")? - MIN_FREE_PAGES;
    incremental_vacuum(connection, PAGES_PER_VACUUM_STEP.min(spare))?;
    Ok(true)
}

/// Returns free pages to the disk, one step, however few there are. Returns whether there were any.
pub fn vacuum_all_pages(connection: &Connection) -> Result<bool> {
    let free = number(connection, "freelist_count")?;
    if free > 0 {
        incremental_vacuum(connection, PAGES_PER_FULL_VACUUM_STEP.min(free))?;
    }
    Ok(free > 0)
}

fn number(connection: &Connection, pragma: &str) -> Result<i64> {
    connection.pragma_query_value(None, pragma, |row| row.get(0))
}

fn incremental_vacuum(connection: &Connection, pages: i64) -> Result<()> {
    // One row for each page, which is returned when the row is fetched.
    let mut statement = connection.prepare(&format!("PRAGMA incremental_vacuum({pages})"))?;
    let mut pages = statement.query([])?;
    while pages.next()?.is_some() {
        // Threads that wait for the processor are more urgent.
        thread::yield_now();
    }
    Ok(())
}

/// Number of connections kept without readers. More concurrent reads open more, which are closed again.
const MAX_IDLE_READERS: usize = 8;

/// Connections that read the index.
#[derive(Debug)]
pub struct ReaderPool {
    folder: Arc<Folder>,
    /// `None` once closed.
    idle: Mutex<Option<Vec<Connection>>>,
}

impl ReaderPool {
    /// Opens the first connection, so that a wrong path fails at once.
    pub fn open(folder: Arc<Folder>) -> rusqlite::Result<Self> {
        let first = connect_reader(&folder.index())?;
        Ok(Self { folder, idle: Mutex::new(Some(vec![first])) })
    }

    /// Runs `read` on a connection of its own. A connection on which it failed is not reused. Fails while the folder is
    /// known to be lost: data written since is not permanent.
    pub fn read<T>(&self, read: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> store::Result<T> {
        self.folder.recheck()?;
        let idle = self.idle.lock().as_mut().ok_or_else(closed_error)?.pop();
        let connection = match idle {
            Some(connection) => connection,
            None => connect_reader(&self.folder.index()).map_err(map_sqlite_error)?,
        };
        let found = read(&connection).map_err(map_sqlite_error)?;
        let surplus = match &mut *self.idle.lock() {
            Some(idle) if idle.len() < MAX_IDLE_READERS => {
                idle.push(connection);
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
        let closed = self.idle.lock().take();
        drop(closed);
    }
}
