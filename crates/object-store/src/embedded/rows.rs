//! The statements that read and change the index, each on one connection, without starting or ending a transaction.

use bytes::Bytes;
use rusqlite::{Connection, OptionalExtension, Result, Row, params, types::ValueRef};

use larder_runtime::clock::Timestamp;

use crate::{
    body::{content_hash, etag},
    object::{Attributes, ListedObject, ObjectMeta},
    store::{self, Error},
};

/// Location of an object's bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Location {
    /// Nowhere: the object is empty.
    Empty,
    /// In the object's own row.
    Row,
    /// In the table `inline_values`, under this id.
    Inline(i64),
    /// In the file with this number.
    Blob(i64),
}

/// Index entry of an object.
#[derive(Debug, Clone)]
pub struct Entry {
    /// Length in bytes.
    pub size: u64,
    /// Hash behind the `ETag`.
    pub hash: u128,
    /// Time of the write.
    pub last_modified: Timestamp,
    /// Attributes stored beside the bytes.
    pub attributes: Attributes,
    /// Location of the bytes.
    pub location: Location,
}

impl Entry {
    /// Returns the entry as metadata of the contract.
    pub fn meta(&self) -> ObjectMeta {
        ObjectMeta {
            size: self.size,
            etag: etag(self.hash),
            last_modified: self.last_modified,
            attributes: self.attributes.clone(),
        }
    }

    /// Verifies the bytes of an object without a file, as the index returned them: complete, and those that were
    /// stored.
    pub fn check_inline(&self, found: Option<Bytes>) -> store::Result<Bytes> {
        let bytes = match (self.location, found) {
            (Location::Empty, _) => Bytes::new(),
            (_, Some(bytes)) => bytes,
            (_, None) => return Err(Error::Corrupt("its value is missing in the index".to_owned())),
        };
        if content_hash(&bytes, &self.attributes) == self.hash {
            Ok(bytes)
        } else {
            Err(Error::Corrupt(HASH_MISMATCH.to_owned()))
        }
    }
}

/// The problem of bytes that differ from the stored ones.
pub const HASH_MISMATCH: &str = "its bytes do not have the hash they were stored with";

/// Upper bound of the keys with a prefix: the prefix followed by this byte, which no key contains, being UTF-8.
const KEY_UPPER_BOUND: u8 = 0xFF;

/// Returns the entry of `key`.
pub fn find(connection: &Connection, key: &str) -> Result<Option<Entry>> {
    connection
        .prepare_cached(
            "SELECT size, etag, last_modified, content_type, content_encoding, inline_value_id, blob_id
             FROM objects WHERE key = ?1",
        )?
        .query_row([key.as_bytes()], read_entry)
        .optional()
}

/// Returns the entry with inline bytes. One statement, so that both are from the same moment.
pub fn find_with_value(connection: &Connection, key: &str) -> Result<Option<(Entry, Option<Bytes>)>> {
    connection
        .prepare_cached(
            "SELECT size, etag, last_modified, content_type, content_encoding, inline_value_id, blob_id,
                    ifnull(tiny_value, bytes)
             FROM objects LEFT JOIN inline_values ON id = inline_value_id WHERE key = ?1",
        )?
        .query_row([key.as_bytes()], |row| {
            let bytes = row.get_ref(7)?.as_blob_or_null()?.map(Bytes::copy_from_slice);
            Ok((read_entry(row)?, bytes))
        })
        .optional()
}

/// Returns the hash and the location of the object under `key`.
pub fn find_current(connection: &Connection, key: &str) -> Result<Option<(u128, Location)>> {
    connection
        .prepare_cached("SELECT size, etag, inline_value_id, blob_id FROM objects WHERE key = ?1")?
        .query_row([key.as_bytes()], |row| Ok((read_hash(row, 1)?, read_location(row, 0, 2)?)))
        .optional()
}

/// Writes the entry of `key`, replacing the old one; `value` has its bytes if their location is the row.
pub fn write_entry(connection: &Connection, key: &str, entry: &Entry, value: Option<&[u8]>) -> Result<()> {
    let (inline_value, file) = match entry.location {
        Location::Empty | Location::Row => (None, None),
        Location::Inline(id) => (Some(id), None),
        Location::Blob(number) => (None, Some(number)),
    };
    connection
        .prepare_cached(
            "REPLACE INTO objects
             (key, size, etag, last_modified, content_type, content_encoding, inline_value_id, blob_id, tiny_value)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
        )?
        .execute(params![
            key.as_bytes(),
            i64::try_from(entry.size).unwrap_or(i64::MAX),
            entry.hash.to_be_bytes(),
            entry.last_modified.as_millis(),
            entry.attributes.content_type,
            entry.attributes.content_encoding,
            inline_value,
            file,
            value,
        ])
        .map(drop)
}

/// Removes the entry of `key`.
pub fn delete_entry(connection: &Connection, key: &str) -> Result<()> {
    connection.prepare_cached("DELETE FROM objects WHERE key = ?1")?.execute([key.as_bytes()]).map(drop)
}

/// Adds an inline value, and returns its id.
pub fn insert_inline_value(connection: &Connection, bytes: &[u8]) -> Result<i64> {
    connection.prepare_cached("INSERT INTO inline_values (bytes) VALUES (?1)")?.insert([bytes])
}

/// Replaces an inline value.
pub fn update_inline_value(connection: &Connection, id: i64, bytes: &[u8]) -> Result<()> {
    connection
        .prepare_cached("UPDATE inline_values SET bytes = ?2 WHERE id = ?1")?
        .execute(params![id, bytes])
        .map(drop)
}

/// Removes an inline value.
pub fn delete_inline_value(connection: &Connection, id: i64) -> Result<()> {
    connection.prepare_cached("DELETE FROM inline_values WHERE id = ?1")?.execute([id]).map(drop)
}

/// Marks a file as live.
pub fn insert_blob(connection: &Connection, number: i64) -> Result<()> {
    connection.prepare_cached("INSERT INTO blobs (id) VALUES (?1)")?.execute([number]).map(drop)
}

/// Marks a file as no longer live.
pub fn delete_blob(connection: &Connection, number: i64) -> Result<()> {
    connection.prepare_cached("DELETE FROM blobs WHERE id = ?1")?.execute([number]).map(drop)
}

/// Returns the live files from the number `first` to `last`, ascending.
pub fn live_blobs(connection: &Connection, first: i64, last: i64) -> Result<Vec<i64>> {
    connection
        .prepare_cached("SELECT id FROM blobs WHERE id BETWEEN ?1 AND ?2 ORDER BY id")?
        .query_map([first, last], |row| row.get(0))?
        .collect()
}

/// Returns up to `limit` live files with numbers above `number`, ascending.
pub fn blobs_after(connection: &Connection, number: i64, limit: usize) -> Result<Vec<i64>> {
    connection
        .prepare_cached("SELECT id FROM blobs WHERE id > ?1 ORDER BY id LIMIT ?2")?
        .query_map(params![number, i64::try_from(limit).unwrap_or(i64::MAX)], |row| row.get(0))?
        .collect()
}

/// Returns the number of live files, and the highest number among them.
pub fn count_blobs(connection: &Connection) -> Result<(i64, i64)> {
    connection.query_row("SELECT count(*), ifnull(max(id), 0) FROM blobs", [], |row| Ok((row.get(0)?, row.get(1)?)))
}

/// Lists up to `limit` keys that begin with `prefix` and come after `start_after`.
pub fn list(
    connection: &Connection,
    prefix: &str,
    start_after: Option<&str>,
    limit: usize,
) -> Result<Vec<ListedObject>> {
    let mut end = prefix.as_bytes().to_vec();
    end.push(KEY_UPPER_BOUND);
    let (sql, start) = match start_after {
        Some(after) if after >= prefix => (
            "SELECT key, size, etag, last_modified FROM objects WHERE key > ?1 AND key < ?2 ORDER BY key LIMIT ?3",
            after,
        ),
        Some(_) | None => (
            "SELECT key, size, etag, last_modified FROM objects WHERE key >= ?1 AND key < ?2 ORDER BY key LIMIT ?3",
            prefix,
        ),
    };
    connection
        .prepare_cached(sql)?
        .query_map(params![start.as_bytes(), end, i64::try_from(limit).unwrap_or(i64::MAX)], read_listed)?
        .collect()
}

/// Checks that the index can be read.
pub fn check_readable(connection: &Connection) -> Result<()> {
    connection.prepare_cached("SELECT 1 FROM objects LIMIT 1")?.query_row([], |_| Ok(())).optional().map(drop)
}

fn read_entry(row: &Row<'_>) -> Result<Entry> {
    Ok(Entry {
        size: read_size(row, 0)?,
        hash: read_hash(row, 1)?,
        last_modified: Timestamp::from_millis(row.get(2)?),
        attributes: Attributes { content_type: row.get(3)?, content_encoding: row.get(4)? },
        location: read_location(row, 0, 5)?,
    })
}

fn read_listed(row: &Row<'_>) -> Result<ListedObject> {
    let key = match row.get_ref(0)? {
        ValueRef::Blob(key) => String::from_utf8_lossy(key).into_owned(),
        other => return Err(wrong_type(0, &other)),
    };
    Ok(ListedObject {
        key,
        size: read_size(row, 1)?,
        etag: Some(etag(read_hash(row, 2)?)),
        last_modified: Timestamp::from_millis(row.get(3)?),
    })
}

fn read_size(row: &Row<'_>, column: usize) -> Result<u64> {
    Ok(row.get::<_, i64>(column)?.unsigned_abs())
}

/// Reads a hash, stored with the highest byte first, so that `hex(etag)` is the value that clients see.
fn read_hash(row: &Row<'_>, column: usize) -> Result<u128> {
    row.get(column).map(u128::from_be_bytes)
}

/// Reads a location from the columns `size` and `inline_value`; the file's column follows.
fn read_location(row: &Row<'_>, size: usize, inline_value: usize) -> Result<Location> {
    Ok(match (row.get(inline_value)?, row.get(inline_value + 1)?) {
        (Some(id), _) => Location::Inline(id),
        (None, Some(number)) => Location::Blob(number),
        (None, None) if read_size(row, size)? == 0 => Location::Empty,
        (None, None) => Location::Row,
    })
}

fn wrong_type(column: usize, value: &ValueRef<'_>) -> rusqlite::Error {
    rusqlite::Error::InvalidColumnType(column, "key".to_owned(), value.data_type())
}
