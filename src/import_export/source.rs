//! Sources of imports: their stores and records, the source at a path, and rules for names that the server rejects.

use std::{fs, path::Path};

use crate::kv::{MAX_KEY_LENGTH, MAX_NAME_LENGTH, RecordKey, StoreName};

use super::{
    archive::{ExportFolder, INDEX, MANIFEST, PARTIAL_MARKER, ZipFile},
    crawlee::CrawleeFolder,
    directory::{Directory, FileName},
    error::{Error, Finding, Report, Result},
    record::{Attributes, Record, StoreManifest},
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
    pub manifest: StoreManifest,
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
    fn check_reachable(&self, _store: &SourceStore) -> Result<()> {
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

/// Opens the source at a path: an exported store, in a folder or a ZIP file, or a storage folder of Crawlee's. Rejects
/// anything else.
pub fn open(path: &Path, naming: Naming) -> Result<Box<dyn Source>> {
    let path = fs::canonicalize(path).map_err(Error::at_path(path))?;
    if path.is_file() {
        return Ok(Box::new(ZipFile::open(path)?));
    }
    let folder = Directory::open(&path)?;
    if folder.has(&INDEX) {
        return Ok(Box::new(ExportFolder::open(&path)?));
    }
    if folder.has(&MANIFEST) || folder.has(&PARTIAL_MARKER) {
        return Err(Error::Invalid(format!(
            "{} contains an interrupted export; rerun the export to complete it",
            path.display()
        )));
    }
    Ok(Box::new(CrawleeFolder::open(&path, naming)?))
}

/// Treatment of names of stores and keys of records that the server rejects.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Naming {
    /// Leave them out.
    #[default]
    Keep,
    /// Replace each rejected character by a hyphen. Remove hyphens at the ends of the name of a store, and truncate a
    /// name that is too long.
    Map,
}

impl Naming {
    /// Returns the name for a store whose own name is rejected, if there is one.
    pub fn store(self, refused: &str) -> Option<StoreName> {
        let text: String = refused.chars().map(|sign| if sign.is_ascii_alphanumeric() { sign } else { '-' }).collect();
        let text = text.trim_matches('-');
        text[..text.len().min(MAX_NAME_LENGTH)].trim_end_matches('-').parse().ok().filter(|_| self == Self::Map)
    }

    /// Returns the key for a record whose own key is rejected, if there is one.
    pub fn key(self, refused: &str) -> Option<RecordKey> {
        let is_allowed = |sign: char| sign.to_string().parse::<RecordKey>().is_ok();
        let text: String = refused.chars().map(|sign| if is_allowed(sign) { sign } else { '-' }).collect();
        text[..text.len().min(MAX_KEY_LENGTH)].parse().ok().filter(|_| self == Self::Map)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refused_names_of_stores_become_names() {
        let long = format!("{}_b", "a".repeat(62));
        for (refused, mapped) in [
            ("my_store", Some("my-store")),
            ("_My store é", Some("My-store")),
            ("a__b", Some("a--b")),
            (long.as_str(), Some(&long[..62])),
            ("___", None),
            ("", None),
        ] {
            let name = Naming::Map.store(refused);
            assert_eq!(name.as_ref().map(StoreName::as_str), mapped, "{refused:?}");
            assert!(Naming::Keep.store(refused).is_none());
        }
    }

    #[test]
    fn refused_keys_of_records_become_keys() {
        let long = "k".repeat(300);
        for (refused, mapped) in
            [("no key", Some("no-key")), ("é/a.b", Some("--a.b")), (long.as_str(), Some(&long[..256])), ("", None)]
        {
            let key = Naming::Map.key(refused);
            assert_eq!(key.as_ref().map(RecordKey::as_str), mapped, "{refused:?}");
            assert!(Naming::Keep.key(refused).is_none());
        }
    }
}
