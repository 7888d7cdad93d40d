//! Imports from an exported store in a folder.

use std::{
    fs::{self, File},
    io::BufReader,
    path::PathBuf,
};

use super::{
    archive::{INDEX, RECORDS, SHEET},
    error::{Error, Result},
    record::Record,
    source::{Source, SourceRecord, SourceRecords, SourceStore, checked, count_lines, indexed, read_sheet},
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
        let read = read_sheet(File::open(&sheet).map_err(Error::of(&sheet))?, &sheet)?;
        let lines = BufReader::new(File::open(&index).map_err(Error::of(&index))?);
        let records = count_lines(lines).map_err(Error::of(&index))?;
        Ok(vec![SourceStore { id: SHEET.to_owned(), sheet: read, records: Some(records) }])
    }

    fn records<'a>(&'a self, _store: &SourceStore, after: Option<&str>) -> Result<SourceRecords<'a>> {
        let index = self.path.join(INDEX);
        let file = File::open(&index).map_err(Error::of(&index))?;
        Ok(indexed(BufReader::new(file), index, after))
    }

    fn open(&self, _store: &SourceStore, record: &SourceRecord) -> Result<Option<Record>> {
        let path = self.path.join(RECORDS).join(&record.file);
        // A link would lead out of the folder, of which whoever made it need not be the one who imports it.
        let target = fs::canonicalize(&path).map_err(Error::of(&path))?;
        if !target.starts_with(&self.path) {
            return Err(Error::Unusable(format!("{} leads outside of {}", path.display(), self.path.display())));
        }
        let file = File::open(&target).map_err(Error::of(&path))?;
        Ok(Some(checked(file, record)))
    }
}
