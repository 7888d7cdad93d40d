//! Sources of an import at a path.

use std::{fs, path::Path};

use super::{
    archive::{INDEX, SHEET, UNFINISHED},
    crawlee::CrawleeFolder,
    directory::Directory,
    error::{Error, Result},
    folder::Folder,
    naming::Naming,
    source::Source,
    zipped::ZipFile,
};

/// Opens the source at a path: an exported store, in a folder or a ZIP file, or a storage folder of Crawlee's. Rejects
/// anything else.
pub fn open(path: &Path, naming: Naming) -> Result<Box<dyn Source>> {
    let path = fs::canonicalize(path).map_err(Error::of(path))?;
    if path.is_file() {
        return Ok(Box::new(ZipFile::open(path)?));
    }
    let folder = Directory::open(&path)?;
    if folder.has(&INDEX) {
        return Ok(Box::new(Folder::open(&path)?));
    }
    if folder.has(&SHEET) || folder.has(&UNFINISHED) {
        return Err(Error::Unusable(format!("{} is an export that was cut off: finish it first", path.display())));
    }
    Ok(Box::new(CrawleeFolder::open(&path, naming)?))
}
