//! Where stores are imported from.

use crate::kv::RecordKey;

use super::{
    directory::FileName,
    error::Result,
    record::{Attributes, Record, StoreSheet},
    report::{Finding, Report},
};

/// Stores of a source, and everything in it that is none or has something wrong with it.
#[derive(Debug, Default)]
pub struct Contents {
    /// The stores, in an order that stays the same.
    pub stores: Vec<SourceStore>,
    /// Findings about all of it.
    pub report: Report,
}

/// A store that can be imported.
#[derive(Debug, Clone)]
pub struct SourceStore {
    /// Its identifier in the source.
    pub id: String,
    /// Its place, for messages.
    pub place: String,
    /// Its name and settings.
    pub sheet: StoreSheet,
    /// Number and size of its records.
    pub size: Size,
}

/// Number and size of records.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Size {
    /// Number of records.
    pub records: u64,
    /// Bytes, as they are stored.
    pub bytes: u64,
}

/// A record that can be imported.
#[derive(Debug, Clone)]
pub struct SourceRecord {
    /// Its key.
    pub key: RecordKey,
    /// Its bytes, as far as that is known before it is opened.
    pub size: u64,
    /// The file that they are in, if they are in one.
    pub file: Option<FileName>,
    /// Its type and coding, if they are known before it is opened.
    pub attributes: Option<Attributes>,
    /// The SHA-256 of its bytes, if it is known.
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

/// Source of an import. It is read in two passes: [`Source::contents`] says what there is, and writes nothing anywhere;
/// [`Source::records`] and [`Source::open`] hand it on.
pub trait Source: Sync {
    /// Returns a text that tells it from other sources.
    fn identity(&self) -> String;

    /// Returns its stores and what is wrong with it. One store that cannot be read does not hide the others.
    fn contents(&self) -> Result<Contents>;

    /// Lists the records of a store behind a key.
    fn records<'a>(&'a self, store: &SourceStore, after: Option<&RecordKey>) -> Result<SourceEntries<'a>>;

    /// Opens a record; `None` if it was deleted since it was listed.
    fn open(&self, store: &SourceStore, record: &SourceRecord) -> Result<Option<Record>>;

    /// Returns the place of a record, for messages.
    fn place_of(&self, store: &SourceStore, record: &SourceRecord) -> String;

    /// Fails if the source can no longer be reached, so that no record is to blame.
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
