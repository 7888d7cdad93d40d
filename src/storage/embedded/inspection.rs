//! Everything in a data folder, read once and compared with what it was stored with. Nothing is changed.

use std::path::Path;

use rusqlite::Connection;

use super::{
    super::{
        error::{Error, Result},
        store::MAX_LIST_KEYS,
    },
    download::Download,
    faults::index_fault,
    folder::Folder,
    index::{self, connect_reader},
    open_error::OpenError,
    paths::Paths,
    rows::{self, Entry, Place},
    standing::FolderStanding,
};

/// What was read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Inspection {
    /// Objects that the index knows.
    pub objects: u64,
    /// Bytes of those that are whole.
    pub bytes: u64,
    /// Those of them that are damaged.
    pub damaged: u64,
    /// Whether something is wrong with the index itself: then there may be more objects than it knows.
    pub is_index_damaged: bool,
}

impl Inspection {
    /// Whether nothing is wrong.
    pub fn is_sound(&self) -> bool {
        self.damaged == 0 && !self.is_index_damaged
    }
}

/// Reads every object in `folder`, tells of each that is not what was stored, by its key, and of what is wrong with the
/// index, by its name. Blocks for as long as the disk takes.
///
/// # Errors
/// When a process serves from the folder, when there is none, and when it is of another format. Damage is none.
pub fn inspect(folder: &Path, tell: impl FnMut(&str, &str)) -> std::result::Result<Inspection, OpenError> {
    FolderStanding::require_current(folder)?;
    let folder = Folder::open(folder)?;
    read_all(&folder, tell)
}

/// The same for a folder that is taken already, or that nobody else knows.
pub fn read_all(paths: &Paths, tell: impl FnMut(&str, &str)) -> std::result::Result<Inspection, OpenError> {
    let connection = connect_reader(&paths.index()).map_err(|error| OpenError::of_index(&paths.index(), error))?;
    let mut inspector = Inspector { paths, connection, found: Inspection::default(), tell };
    inspector.read_index();
    inspector.read_objects();
    Ok(inspector.found)
}

struct Inspector<'a, F> {
    paths: &'a Paths,
    connection: Connection,
    found: Inspection,
    tell: F,
}

impl<F: FnMut(&str, &str)> Inspector<'_, F> {
    fn read_index(&mut self) {
        let problems = index::problems(&self.connection).unwrap_or_else(|error| vec![error.to_string()]);
        for problem in problems {
            self.tell_of_index(&problem);
        }
    }

    fn read_objects(&mut self) {
        let mut last: Option<String> = None;
        loop {
            let page = match rows::list(&self.connection, "", last.as_deref(), MAX_LIST_KEYS) {
                Ok(page) => page,
                Err(error) => {
                    let behind = last.map_or_else(String::new, |last| format!(" behind {last}"));
                    return self.tell_of_index(&format!("no keys can be read{behind}: {error}"));
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
                        (self.tell)(&object.key, &error.to_string());
                    }
                }
            }
        }
    }

    fn tell_of_index(&mut self, wrong: &str) {
        self.found.is_index_damaged = true;
        (self.tell)(index::FILE, wrong);
    }

    /// Its size.
    fn read_object(&self, key: &str) -> Result<u64> {
        let (entry, bytes) =
            rows::find_with_value(&self.connection, key).map_err(index_fault)?.ok_or(Error::NotFound)?;
        match entry.place {
            Place::File(number) => self.read_file(number, &entry)?,
            Place::Nowhere | Place::Row | Place::Inline(_) => drop(entry.check_inline(bytes)?),
        }
        Ok(entry.size)
    }

    fn read_file(&self, number: i64, entry: &Entry) -> Result<()> {
        let mut download = Download::open(&self.paths.file(number), entry, &(0..entry.size))
            .map_err(|error| Error::Corrupt(format!("its file {number:x} cannot be opened: {error}")))??;
        while !download.read()?.is_empty() {}
        Ok(())
    }
}
