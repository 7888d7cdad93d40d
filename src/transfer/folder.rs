//! Imports from an exported store in a folder.

use std::{io::BufReader, path::Path};

use crate::kv::RecordKey;

use super::{
    archive::{INDEX, RECORDS, SHEET},
    directory::Directory,
    error::{Error, Result},
    record::Record,
    source::{Source, SourceEntries, SourceRecord, SourceStore, checked, count_lines, indexed, read_sheet},
};

/// An exported store in a folder. Who made it need not be who imports it.
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

    fn stores(&self) -> Result<Vec<SourceStore>> {
        let sheet = read_sheet(self.root.read(&SHEET)?, &self.root.path_of(&SHEET))?;
        let lines = BufReader::new(self.root.read(&INDEX)?);
        let records = count_lines(lines).map_err(Error::of(&self.root.path_of(&INDEX)))?;
        Ok(vec![SourceStore { id: SHEET.to_string(), sheet, records: Some(records) }])
    }

    fn records<'a>(&'a self, _store: &SourceStore, after: Option<&RecordKey>) -> Result<SourceEntries<'a>> {
        let file = self.root.read(&INDEX)?;
        Ok(indexed(BufReader::new(file), self.root.path_of(&INDEX), after))
    }

    fn open(&self, _store: &SourceStore, record: &SourceRecord) -> Result<Option<Record>> {
        let Some(name) = &record.file else { return Ok(None) };
        Ok(Some(checked(self.records.read(name)?, record)))
    }
}
