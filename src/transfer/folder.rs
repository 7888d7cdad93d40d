//! Import from an exported store in a folder.

use std::{io::BufReader, path::Path};

use crate::kv::RecordKey;

use super::{
    archive::{INDEX, RECORDS, SHEET},
    directory::Directory,
    error::Result,
    index::{indexed, look, read_sheet, verified},
    record::Record,
    source::{Contents, Size, Source, SourceEntries, SourceRecord, SourceStore},
};

/// Exported store in a folder, which is untrusted.
pub struct Folder {
    identity: String,
    root: Directory,
    records: Directory,
}

impl Folder {
    /// Opens the export in the folder at `path`.
    pub fn open(path: &Path) -> Result<Self> {
        let root = Directory::open(path)?;
        let records = root.folder(&RECORDS)?;
        Ok(Self { identity: path.display().to_string(), root, records })
    }
}

impl Source for Folder {
    fn identity(&self) -> String {
        self.identity.clone()
    }

    fn contents(&self) -> Result<Contents> {
        let sheet = read_sheet(self.root.read(&SHEET)?, &self.root.path_of(&SHEET))?;
        let mut store =
            SourceStore { id: SHEET.to_string(), place: self.identity.clone(), sheet, size: Size::default() };
        let file_length = |record: &SourceRecord| match &record.file {
            Some(name) => self.records.file_length(name),
            None => Ok(record.size),
        };
        let (size, report) = look(self.records(&store, None)?, file_length, |record| self.place_of(&store, record))?;
        store.size = size;
        Ok(Contents { stores: vec![store], report })
    }

    fn records<'a>(&'a self, _store: &SourceStore, after: Option<&RecordKey>) -> Result<SourceEntries<'a>> {
        let file = self.root.read(&INDEX)?;
        Ok(indexed(BufReader::new(file), &self.root.path_of(&INDEX), after))
    }

    fn open(&self, _store: &SourceStore, record: &SourceRecord) -> Result<Option<Record>> {
        let Some(name) = &record.file else { return Ok(None) };
        Ok(Some(verified(self.records.read(name)?, record)))
    }

    fn place_of(&self, _store: &SourceStore, record: &SourceRecord) -> String {
        let path = record.file.as_ref().map(|file| self.records.path_of(file));
        path.map_or_else(|| record.key.to_string(), |path| path.display().to_string())
    }
}
