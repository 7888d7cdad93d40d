//! Imports from an exported store in a folder.

use std::{
    fs::{self, File},
    io::{BufRead, BufReader},
    path::PathBuf,
};

use super::{
    archive::{INDEX, RECORDS, SHEET},
    error::{Error, Result},
    record::Record,
    source::{Source, SourceRecord, SourceRecords, SourceStore, checked, indexed, parse_sheet},
};

/// An exported store in a folder.
pub struct Folder {
    path: PathBuf,
}

impl Folder {
    /// The export in the folder at `path`.
    pub fn new(path: PathBuf) -> Self {
        Self { path }
    }
}

impl Source for Folder {
    fn identity(&self) -> String {
        self.path.display().to_string()
    }

    fn stores(&self) -> Result<Vec<SourceStore>> {
        let (sheet, index) = (self.path.join(SHEET), self.path.join(INDEX));
        let text = fs::read_to_string(&sheet).map_err(Error::of(&sheet))?;
        let lines = BufReader::new(File::open(&index).map_err(Error::of(&index))?).split(b'\n');
        Ok(vec![SourceStore { id: SHEET.to_owned(), sheet: parse_sheet(&text)?, records: Some(lines.count() as u64) }])
    }

    fn records<'a>(&'a self, _store: &SourceStore, after: Option<&str>) -> Result<SourceRecords<'a>> {
        let index = self.path.join(INDEX);
        let file = File::open(&index).map_err(Error::of(&index))?;
        Ok(indexed(BufReader::new(file), index, after))
    }

    fn open(&self, _store: &SourceStore, record: &SourceRecord) -> Result<Option<Record>> {
        let path = self.path.join(RECORDS).join(&record.file);
        let file = File::open(&path).map_err(Error::of(&path))?;
        Ok(Some(checked(file, record)))
    }
}
