//! Verifies all objects of a data folder against their hashes. Changes nothing.

use std::path::Path;

use rusqlite::Connection;

use crate::{
    error::{Error, Result},
    store::MAX_LIST_KEYS,
};

use super::{
    blob_files::BlobReader,
    folder::{Folder, Paths},
    folder_status::FolderStatus,
    index::{self, connect_reader},
    io_error::{OpenError, map_sqlite_error},
    rows::{self, Entry, Location},
};

/// Result of an inspection.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct IntegrityReport {
    /// Number of objects in the index.
    pub objects: u64,
    /// Bytes of the undamaged ones.
    pub bytes: u64,
    /// Number of damaged ones.
    pub damaged: u64,
    /// True if the index itself is damaged: then there may be more objects than it names.
    pub is_index_damaged: bool,
}

impl IntegrityReport {
    /// Returns whether nothing is damaged.
    pub fn is_sound(&self) -> bool {
        self.damaged == 0 && !self.is_index_damaged
    }
}

/// Reads every object in `folder`. Reports each damaged one by its key, and damage of the index by its name.
/// index, by its name. Blocks for as long as the disk takes.
///
/// # Errors
/// If a process serves from the folder, if it is missing, or if it has another format. Damage is no error.
pub fn check_integrity(
    folder: &Path,
    report: impl FnMut(&str, &str),
) -> std::result::Result<IntegrityReport, OpenError> {
    FolderStatus::require_current(folder)?;
    let folder = Folder::open(folder)?;
    check_objects(&folder, report)
}

/// Inspects a folder that is locked already, or unknown to others.
pub fn check_objects(paths: &Paths, report: impl FnMut(&str, &str)) -> std::result::Result<IntegrityReport, OpenError> {
    let connection = connect_reader(&paths.index()).map_err(|error| OpenError::from_sqlite(&paths.index(), error))?;
    let mut check = IntegrityCheck { paths, connection, found: IntegrityReport::default(), report };
    check.read_index();
    check.read_objects();
    Ok(check.found)
}

struct IntegrityCheck<'a, F> {
    paths: &'a Paths,
    connection: Connection,
    found: IntegrityReport,
    report: F,
}

impl<F: FnMut(&str, &str)> IntegrityCheck<'_, F> {
    fn read_index(&mut self) {
        let problems = index::integrity_problems(&self.connection).unwrap_or_else(|error| vec![error.to_string()]);
        for problem in problems {
            self.report_index(&problem);
        }
    }

    fn read_objects(&mut self) {
        let mut last: Option<String> = None;
        loop {
            let page = match rows::list(&self.connection, "", last.as_deref(), MAX_LIST_KEYS) {
                Ok(page) => page,
                Err(error) => {
                    let behind = last.map_or_else(String::new, |last| format!(" behind {last}"));
                    return self.report_index(&format!("no keys can be read{behind}: {error}"));
                }
            };
            let Some(end) = page.last() else { return };
            last = Some(end.key.clone());
            for object in page {
                self.found.objects += 1;
                match self.read_object(&object.key) {
                    Ok(size) => self.found.bytes += size,
                    Err(error) => {
                        self.found.damaged += 1;
                        (self.report)(&object.key, &error.to_string());
                    }
                }
            }
        }
    }

    fn report_index(&mut self, wrong: &str) {
        self.found.is_index_damaged = true;
        (self.report)(index::FILE, wrong);
    }

    /// Returns the size.
    fn read_object(&self, key: &str) -> Result<u64> {
        let (entry, bytes) =
            rows::find_with_value(&self.connection, key).map_err(map_sqlite_error)?.ok_or(Error::NotFound)?;
        match entry.location {
            Location::Blob(number) => self.read_file(number, &entry)?,
            Location::Empty | Location::Row | Location::Inline(_) => drop(entry.check_inline(bytes)?),
        }
        Ok(entry.size)
    }

    fn read_file(&self, number: i64, entry: &Entry) -> Result<()> {
        let mut reader = BlobReader::open(&self.paths.blob(number), entry, &(0..entry.size))
            .map_err(|error| Error::Corrupt(format!("its file {number:x} cannot be opened: {error}")))??;
        while !reader.read()?.is_empty() {}
        Ok(())
    }
}
