//! Progress of the sweep in the data folder while the program serves from it, observed from outside.

use std::{fs, path::Path};

use rusqlite::{Connection, OpenFlags, OptionalExtension};

use crate::figures::Outcome;

/// Progress of the sweep of a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Every record is there.
    Whole,
    /// Some are.
    Sweeping,
    /// None is.
    Swept,
}

/// The records of a store, in the index.
#[derive(Debug)]
pub struct Watch {
    connection: Connection,
    prefix: Vec<u8>,
    first: Option<Vec<u8>>,
}

impl Watch {
    /// Begins to look at the records of `store` in the data folder `data`.
    pub fn begin(data: &Path, store: &str) -> Outcome<Self> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY;
        let connection = Connection::open_with_flags(data.join("index.sqlite"), flags)?;
        let prefix = format!("larder/permanent/{store}/").into_bytes();
        let mut watch = Self { connection, prefix, first: None };
        watch.first = watch.look()?;
        if watch.first.is_some() { Ok(watch) } else { Err("the store has no records".into()) }
    }

    /// Returns the progress of the sweep. It follows the order of keys, so the first key shows it.
    pub fn stage(&self) -> Outcome<Stage> {
        let first = self.look()?;
        Ok(match first {
            None => Stage::Swept,
            first if first == self.first => Stage::Whole,
            Some(_) => Stage::Sweeping,
        })
    }

    fn look(&self) -> Outcome<Option<Vec<u8>>> {
        let behind = [&self.prefix[..], &[0xff]].concat();
        let first = self
            .connection
            .prepare_cached("SELECT key FROM objects WHERE key > ?1 AND key < ?2 ORDER BY key LIMIT 1")?
            .query_row((&self.prefix, behind), |row| row.get(0));
        Ok(first.optional()?)
    }
}

/// Bytes that the folder takes on the disk.
pub fn bytes(folder: &Path) -> Outcome<u64> {
    let mut bytes = 0;
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        // A file may go while it is counted.
        bytes += if path.is_dir() { self::bytes(&path)? } else { fs::metadata(&path).map_or(0, |found| found.len()) };
    }
    Ok(bytes)
}
