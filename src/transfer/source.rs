//! Where stores are imported from.

use std::{io::BufRead, path::PathBuf};

use super::{
    archive::{IndexLine, SHEET},
    error::{Error, Result},
    record::{Attributes, Checked, Record, StoreSheet},
};

/// A store that can be imported.
#[derive(Debug, Clone)]
pub struct SourceStore {
    /// What it is known by where it is.
    pub id: String,
    /// What it is.
    pub sheet: StoreSheet,
    /// How many records it has, if that is known.
    pub records: Option<u64>,
}

/// A record that can be imported.
#[derive(Debug, Clone)]
pub struct SourceRecord {
    /// Its key.
    pub key: String,
    /// Its bytes.
    pub size: u64,
    /// The file that they are in, if they are in one.
    pub file: String,
    /// What goes with them, if that is known before they are opened.
    pub attributes: Option<Attributes>,
    /// Their SHA-256, if it is known.
    pub sha256: Option<String>,
}

/// The records of a store, in an order that stays the same.
pub type SourceRecords<'a> = Box<dyn Iterator<Item = Result<SourceRecord>> + 'a>;

/// Where stores are imported from.
pub trait Source: Sync {
    /// Tells it from others.
    fn identity(&self) -> String;

    /// The stores there are.
    fn stores(&self) -> Result<Vec<SourceStore>>;

    /// The records of a store behind a key, in the order of their keys.
    fn records<'a>(&'a self, store: &SourceStore, after: Option<&str>) -> Result<SourceRecords<'a>>;

    /// A record with its bytes; `None` if it is gone meanwhile.
    fn open(&self, store: &SourceStore, record: &SourceRecord) -> Result<Option<Record>>;
}

/// The records that an index names behind a key.
pub fn indexed<'a>(index: impl BufRead + 'a, path: PathBuf, after: Option<&str>) -> SourceRecords<'a> {
    let after = after.map(str::to_owned);
    let lines = index.lines().map(move |line| {
        let IndexLine { key, file, content_type, content_encoding, size, sha256 } =
            IndexLine::parse(&line.map_err(Error::of(&path))?)?;
        let attributes = Some(Attributes { content_type, content_encoding });
        Ok(SourceRecord { key, size, file, attributes, sha256: Some(sha256) })
    });
    let is_behind = move |record: &Result<SourceRecord>| match (record, &after) {
        (Ok(record), Some(after)) => record.key > *after,
        (Ok(_), None) | (Err(_), _) => true,
    };
    Box::new(lines.filter(is_behind))
}

/// A record whose bytes are held to what the index says of them.
pub fn checked(bytes: impl std::io::Read + 'static, record: &SourceRecord) -> Record {
    let attributes = record
        .attributes
        .clone()
        .unwrap_or_else(|| Attributes { content_type: "application/octet-stream".to_owned(), content_encoding: None });
    let bytes: Box<dyn std::io::Read> = match &record.sha256 {
        Some(sha256) => Box::new(Checked::new(bytes, record.size, sha256)),
        None => Box::new(bytes),
    };
    Record { attributes, length: Some(record.size), bytes }
}

/// What a store is.
pub fn parse_sheet(text: &str) -> Result<StoreSheet> {
    serde_json::from_str(text).map_err(|error| Error::Unusable(format!("{SHEET} is not understood: {error}")))
}
