//! Sources of imports.

use crate::kv::RecordKey;

use super::{
    directory::FileName,
    error::Result,
    record::{Attributes, Record, StoreSheet},
    report::{Finding, Report},
};

/// Stores of a source, with the findings about it.
#[derive(Debug, Default)]
pub struct Contents {
    /// The stores, in a stable order.
    pub stores: Vec<SourceStore>,
    /// Findings about all of it.
    pub report: Report,
}

/// A store that can be imported.
#[derive(Debug, Clone)]
pub struct SourceStore {
    /// Identifier in the source.
    pub id: String,
    /// Place, for messages.
    pub place: String,
    /// Name and settings.
    pub sheet: StoreSheet,
    /// Number and size of the records.
    pub size: Size,
}

/// Number and size of records.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Size {
    /// Number of records.
    pub records: u64,
    /// Stored bytes.
    pub bytes: u64,
}

/// A record that can be imported.
#[derive(Debug, Clone)]
pub struct SourceRecord {
    /// The record's key.
    pub key: RecordKey,
    /// Its size in bytes, as far as known before it is opened.
    pub size: u64,
    /// The file with its bytes, if there is one.
    pub file: Option<FileName>,
    /// Its type and coding, if known before it is opened.
    pub attributes: Option<Attributes>,
    /// SHA-256 of its bytes, if known.
    pub sha256: Option<String>,
}

/// An entry of a list of records.
#[derive(Debug, Clone)]
pub enum SourceEntry {
    /// A record that can be imported.
    Record(SourceRecord),
    /// An entry that is no record.
    LeftOut(Finding),
}

/// The records of a store, in the order of their keys.
pub type SourceEntries<'a> = Box<dyn Iterator<Item = Result<SourceEntry>> + 'a>;

/// Source of an import, read in two passes: [`Source::contents`] examines it and writes nothing; [`Source::records`]
/// and [`Source::open`] return its records.
pub trait Source: Sync {
    /// Returns a text that distinguishes it from other sources.
    fn identity(&self) -> String;

    /// Returns its stores and the findings. An unreadable store does not affect the others.
    fn contents(&self) -> Result<Contents>;

    /// Lists the records of a store after a key.
    fn records<'a>(&'a self, store: &SourceStore, after: Option<&RecordKey>) -> Result<SourceEntries<'a>>;

    /// Opens a record; `None` if it was deleted since it was listed.
    fn open(&self, store: &SourceStore, record: &SourceRecord) -> Result<Option<Record>>;

    /// Returns the place of a record, for messages.
    fn place_of(&self, store: &SourceStore, record: &SourceRecord) -> String;

    /// Fails if the source is no longer reachable, so that the failure is not a record's.
    fn reach(&self, _store: &SourceStore) -> Result<()> {
        Ok(())
    }
}

impl Size {
    /// Adds a record of that many bytes.
    pub fn add(&mut self, bytes: u64) {
        self.records += 1;
        self.bytes += bytes;
    }
}

impl std::ops::AddAssign for Size {
    fn add_assign(&mut self, other: Self) {
        self.records += other.records;
        self.bytes += other.bytes;
    }
}

impl std::iter::Sum for Size {
    fn sum<I: Iterator<Item = Self>>(sizes: I) -> Self {
        sizes.fold(Self::default(), |mut sum, size| {
            sum += size;
            sum
        })
    }
}
