//! Exported store in one ZIP file: the same files as in a folder, uncompressed, in the order of the index, so that
//! equal stores give equal files.

use std::{
    fs::File,
    io::{self, BufRead, BufReader, BufWriter, Read, Seek, SeekFrom, Take},
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use zip::{CompressionMethod, ZipArchive, ZipWriter, write::SimpleFileOptions};

use crate::kv::RecordKey;

use super::{
    archive::{INDEX, IndexLine, RECORDS, SHEET},
    directory::{Directory, FileName},
    error::{Error, Result},
    index::{indexed, look, read_sheet, verified},
    record::Record,
    source::{Contents, Size, Source, SourceEntries, SourceRecord, SourceStore},
};

/// Minimum length in bytes of a file with a ZIP64 entry.
const LARGE: u64 = 0xFFFF_0000;

/// Packs an exported store atomically: the result is a complete file, or none.
pub fn pack(folder: &Path, to: &Path) -> Result<()> {
    let (around, to_name) = Directory::around(to)?;
    let unfinished = to_name.with_ending("~part");
    let mut archive = ZipWriter::new(BufWriter::new(around.create(&unfinished)?));
    let folder = Directory::open(folder)?;
    let records = folder.folder(&RECORDS)?;
    let index_path = folder.path_of(&INDEX);
    for name in [SHEET, INDEX] {
        add(&mut archive, name.as_str(), &folder, &name)?;
    }
    for line in BufReader::new(folder.read(&INDEX)?).lines() {
        // A record that is left out of an index is left out of the archive.
        let Ok(line) = IndexLine::parse(&line.map_err(Error::of(&index_path))?)? else { continue };
        add(&mut archive, &name_of(&line.file), &records, &line.file)?;
    }
    let target = archive.finish().map_err(unusable)?.into_inner().map_err(|error| Error::of(to)(error.into_error()))?;
    target.sync_all().map_err(Error::of(to))?;
    around.rename(&unfinished, &to_name)
}

fn add(archive: &mut ZipWriter<BufWriter<File>>, name: &str, folder: &Directory, file_name: &FileName) -> Result<()> {
    let path = &folder.path_of(file_name);
    let mut file = folder.read(file_name)?;
    let length = file.metadata().map_err(Error::of(path))?.len();
    // The same time for all, so that equal stores give equal files.
    let options =
        SimpleFileOptions::default().compression_method(CompressionMethod::Stored).large_file(length >= LARGE);
    archive.start_file(name, options).map_err(unusable)?;
    io::copy(&mut file, archive).map(drop).map_err(Error::of(path))
}

/// Exported ZIP file.
pub struct ZipFile {
    path: PathBuf,
    archive: Mutex<ZipArchive<File>>,
}

impl ZipFile {
    /// Opens the file at `path`.
    pub fn open(path: PathBuf) -> Result<Self> {
        let file = File::open(&path).map_err(Error::of(&path))?;
        let archive = ZipArchive::new(file).map_err(unusable)?;
        Ok(Self { archive: Mutex::new(archive), path })
    }

    /// Returns the offset of a file in it, and its length.
    fn extent(&self, name: &str) -> Result<(u64, u64)> {
        let mut archive = self.archive.lock().unwrap_or_else(PoisonError::into_inner);
        let place = archive.index_for_name(name).ok_or(zip::result::ZipError::FileNotFound).map_err(unusable)?;
        // Without decompression: else a compressed file would give an error without advice.
        let entry = archive.by_index_raw(place).map_err(unusable)?;
        if entry.compression() != CompressionMethod::Stored {
            let message = "the ZIP file is compressed: unpack it, and import the folder";
            return Err(Error::Unusable(message.to_owned()));
        }
        let start = entry.data_start().ok_or_else(|| Error::Unusable(format!("{name} is nowhere")))?;
        Ok((start, entry.size()))
    }

    /// Opens a file in it with its own handle, so that many can be read at the same time.
    fn file(&self, name: &str) -> Result<Take<File>> {
        let (start, length) = self.extent(name)?;
        let mut file = File::open(&self.path).map_err(Error::of(&self.path))?;
        file.seek(SeekFrom::Start(start)).map_err(Error::of(&self.path))?;
        Ok(file.take(length))
    }
}

/// Returns the path of a record's file in an archive.
fn name_of(file: &FileName) -> String {
    format!("{RECORDS}/{file}")
}

impl Source for ZipFile {
    fn identity(&self) -> String {
        self.path.display().to_string()
    }

    fn contents(&self) -> Result<Contents> {
        let sheet = read_sheet(self.file(SHEET.as_str())?, &self.path)?;
        let mut store = SourceStore { id: SHEET.to_string(), place: self.identity(), sheet, size: Size::default() };
        let file_length = |record: &SourceRecord| match &record.file {
            Some(file) => self.extent(&name_of(file)).map(|(_, length)| length),
            None => Ok(record.size),
        };
        let (size, report) = look(self.records(&store, None)?, file_length, |record| self.place_of(&store, record))?;
        store.size = size;
        Ok(Contents { stores: vec![store], report })
    }

    fn records<'a>(&'a self, _store: &SourceStore, after: Option<&RecordKey>) -> Result<SourceEntries<'a>> {
        Ok(indexed(BufReader::new(self.file(INDEX.as_str())?), &self.path.join(INDEX.as_str()), after))
    }

    fn open(&self, _store: &SourceStore, record: &SourceRecord) -> Result<Option<Record>> {
        let Some(file) = &record.file else { return Ok(None) };
        Ok(Some(verified(self.file(&name_of(file))?, record)))
    }

    fn place_of(&self, _store: &SourceStore, record: &SourceRecord) -> String {
        let name = record.file.as_ref().map_or(record.key.as_str(), FileName::as_str);
        self.path.join(RECORDS.as_str()).join(name).display().to_string()
    }
}

#[expect(clippy::needless_pass_by_value, reason = "it maps errors")]
fn unusable(error: zip::result::ZipError) -> Error {
    Error::Unusable(format!("the ZIP file cannot be used: {error}"))
}
