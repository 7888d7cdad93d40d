//! Exported store: its format, and reading and writing of it, in a folder or in one ZIP file.
//!
//! ```text
//! manifest.json     name and settings of the store
//! records.ndjson    a line for each record, in the order of the keys: key, attributes, and SHA-256 of the bytes
//! records/          the bytes of each record as they were stored, mostly under its key
//! ```
//!
//! While an export is incomplete, the lines are in another file, and `export.partial.json` names its origin: an
//! interrupted export resumes after its last whole line. A ZIP file has the same files, uncompressed, in the order of
//! the index, so that equal stores give equal files. Everything that is read is untrusted.

use std::{
    fs::File,
    io::{self, BufRead, BufReader, BufWriter, Read, Seek, SeekFrom, Take, Write},
    path::{Path, PathBuf},
};

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use zip::{CompressionMethod, ZipArchive, ZipWriter, write::SimpleFileOptions};

use crate::kv::RecordKey;

use super::{
    directory::{Directory, FileName},
    error::{Error, Finding, Report, Result},
    record::{
        Attributes, CHECKSUM_MISMATCH, HashingReader, InvalidKey, RawKey, Record, StoreManifest, VerifyingReader,
    },
    source::{Contents, Size, Source, SourceEntries, SourceEntry, SourceRecord, SourceStore},
};

/// File with the store's name and settings.
pub const MANIFEST: FileName = FileName::fixed("manifest.json");

/// File with the index of the records.
pub const INDEX: FileName = FileName::fixed("records.ndjson");

/// Folder with the bytes of the records.
pub const RECORDS: FileName = FileName::fixed("records");

/// Index of an incomplete export.
const PARTIAL_INDEX: FileName = FileName::fixed("records.ndjson.partial");

/// Marker with the origin of an incomplete export.
pub const PARTIAL_MARKER: FileName = FileName::fixed("export.partial.json");

/// Maximum length of the marker in bytes.
const MAX_MARKER_BYTES: u64 = 64 * 1024;

/// Suffix of a record's file until it is complete. No key can contain it.
const PARTIAL_SUFFIX: &str = "~partial";

/// Maximum length of a key that is used as a file name unchanged: with a possible suffix, file systems allow 255 bytes.
const MAX_PLAIN_NAME_BYTES: usize = 200;

/// A record in the index.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct IndexLine<K = RecordKey> {
    /// The record's key.
    pub key: K,
    /// The file with its bytes, in the folder of records.
    pub file: FileName,
    /// Its media type.
    pub content_type: String,
    /// Its content coding.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content_encoding: Option<String>,
    /// Number of bytes.
    pub size: u64,
    /// SHA-256 of the bytes, in hexadecimal digits.
    pub sha256: String,
}

impl IndexLine {
    /// Parses a line. An invalid key is the inner error.
    pub fn parse(line: &str) -> Result<std::result::Result<Self, InvalidKey>> {
        let parsed: IndexLine<RawKey> = serde_json::from_str(line)
            .map_err(|error| Error::Invalid(format!("{INDEX} has an invalid line: {error}")))?;
        let IndexLine { key, file, content_type, content_encoding, size, sha256 } = parsed;
        Ok(match key {
            RawKey::Valid(key) => Ok(Self { key, file, content_type, content_encoding, size, sha256 }),
            RawKey::Invalid(invalid) => Err(invalid),
        })
    }
}

/// Origin of an export.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// The server.
    pub server: String,
    /// The store's id.
    pub store: String,
}

/// An export in progress.
pub struct PartialExport {
    folder: Directory,
    files: RecordFiles,
    index: File,
    /// Key of its last record.
    last: Option<RecordKey>,
    /// Number and size of its records.
    size: Size,
}

/// Writer for the bytes of records, usable from many threads.
#[derive(Clone)]
pub struct RecordFiles {
    folder: Directory,
    is_case_sensitive: bool,
}

impl PartialExport {
    /// Begins an export in `folder`, or resumes it.
    pub fn open(folder: &Path, origin: &Origin) -> Result<Self> {
        let path = folder.display();
        let folder = Directory::open_or_create(folder)?;
        if folder.has(&INDEX) {
            return Err(Error::Invalid(format!("{path} already contains a complete export")));
        }
        if folder.has(&PARTIAL_MARKER) {
            let mut text = String::new();
            let marker = folder.read(&PARTIAL_MARKER)?.take(MAX_MARKER_BYTES).read_to_string(&mut text);
            marker.map_err(Error::at_path(&folder.path_of(&PARTIAL_MARKER)))?;
            if serde_json::from_str::<Origin>(&text).ok().as_ref() != Some(origin) {
                return Err(Error::Invalid(format!("{path} contains an interrupted export of another store")));
            }
        } else {
            if !folder.names()?.is_empty() {
                return Err(Error::Invalid(format!("{path} is not empty")));
            }
            let text = serde_json::to_string(origin).map_err(|error| Error::Invalid(error.to_string()))?;
            folder.replace(&PARTIAL_MARKER, text.as_bytes())?;
        }
        let records_folder = folder.open_or_create_folder(&RECORDS)?;
        let is_case_sensitive = is_case_sensitive(&records_folder)?;
        let mut index = folder.append(&PARTIAL_INDEX)?;
        let (last, size) = resume(&mut index).map_err(Error::at_path(&folder.path_of(&PARTIAL_INDEX)))?;
        let files = RecordFiles { folder: records_folder, is_case_sensitive };
        Ok(Self { folder, files, index, last, size })
    }

    /// Returns the key after which it resumes, and the number and size of the records before it.
    pub fn resume_point(&self) -> (Option<RecordKey>, Size) {
        (self.last.clone(), self.size)
    }

    /// Returns the writer for the bytes of records.
    pub fn files(&self) -> RecordFiles {
        self.files.clone()
    }

    /// Appends a record whose bytes are written; must be called in the order of the keys.
    pub fn append(&mut self, line: &IndexLine) -> Result<()> {
        let mut text = serde_json::to_string(line).map_err(|error| Error::Invalid(error.to_string()))?;
        text.push('\n');
        self.index.write_all(text.as_bytes()).map_err(Error::at_path(&self.folder.path_of(&PARTIAL_INDEX)))
    }

    /// Completes the export, durably.
    pub fn finish(self, manifest: &StoreManifest) -> Result<()> {
        let Self { folder, index, .. } = self;
        let text = serde_json::to_string_pretty(manifest).map_err(|error| Error::Invalid(error.to_string()))?;
        folder.replace(&MANIFEST, (text + "\n").as_bytes())?;
        index.sync_all().map_err(Error::at_path(&folder.path_of(&PARTIAL_INDEX)))?;
        folder.sync_disk()?;
        folder.rename(&PARTIAL_INDEX, &INDEX)?;
        folder.remove(&PARTIAL_MARKER)?;
        folder.sync()
    }
}

impl RecordFiles {
    /// Writes a record's bytes.
    pub fn write(&self, key: &RecordKey, record: Record) -> Result<IndexLine> {
        let Record { attributes, length, bytes } = record;
        let file = file_name(key, self.is_case_sensitive)?;
        let partial = file.with_suffix(PARTIAL_SUFFIX);
        let mut target = self.folder.create(&partial)?;
        let mut bytes = HashingReader::new(bytes);
        let mut buffer = vec![0; 128 * 1024];
        loop {
            let read = bytes
                .read(&mut buffer)
                .map_err(|error| Error::from_io(error).unwrap_or_else(|error| Error::NoResponse(error.to_string())))?;
            if read == 0 {
                break;
            }
            target.write_all(&buffer[..read]).map_err(Error::at_path(&self.folder.path_of(&partial)))?;
        }
        let (size, sha256) = bytes.finish();
        if let Some(promised) = length.filter(|length| *length != size) {
            return Err(Error::NoResponse(format!("the record has {size} bytes instead of {promised}")));
        }
        self.folder.rename(&partial, &file)?;
        let Attributes { content_type, content_encoding } = attributes;
        Ok(IndexLine { key: key.clone(), file, content_type, content_encoding, size, sha256 })
    }
}

/// Returns the file name for a key: the key itself if it is a valid name, else a part of it and a hash.
pub fn file_name(key: &RecordKey, is_case_sensitive: bool) -> Result<FileName> {
    let name = file_name_text(key.as_str(), is_case_sensitive);
    FileName::try_from(name).map_err(|error| Error::Invalid(format!("{key}: {error}")))
}

fn file_name_text(key: &str, is_case_sensitive: bool) -> String {
    let is_distinct = is_case_sensitive || !key.bytes().any(|byte| byte.is_ascii_uppercase());
    if key.len() <= MAX_PLAIN_NAME_BYTES && is_distinct && !key.starts_with("..") && key != "." {
        return key.to_owned();
    }
    let sum = Sha256::digest(key.as_bytes());
    let beginning: String = key.chars().filter(|sign| *sign != '.').take(MAX_PLAIN_NAME_BYTES / 2).collect();
    sum.iter().take(8).fold(format!("{beginning}~"), |name, byte| format!("{name}{byte:02x}"))
}

/// Returns the key of the last whole line, and the number and size of the records up to it; truncates the rest.
fn resume(index: &mut File) -> io::Result<(Option<RecordKey>, Size)> {
    index.seek(SeekFrom::Start(0))?;
    let (mut last, mut size, mut whole) = (None, Size::default(), 0);
    let mut line = String::new();
    let mut lines = BufReader::new(&*index);
    while lines.read_line(&mut line)? > 0 {
        let parsed = line.strip_suffix('\n').and_then(|line| IndexLine::parse(line).ok());
        let Some(Ok(parsed)) = parsed else { break };
        whole += line.len() as u64;
        last = Some(parsed.key);
        size.add(parsed.size);
        line.clear();
    }
    index.set_len(whole)?;
    Ok((last, size))
}

/// Returns whether file names are case-sensitive in the folder.
fn is_case_sensitive(folder: &Directory) -> Result<bool> {
    let (lower, upper) = (FileName::fixed("~case"), FileName::fixed("~CASE"));
    folder.create(&lower)?;
    let is_case_sensitive = !folder.has(&upper);
    folder.remove(&lower)?;
    Ok(is_case_sensitive)
}

/// Maximum length of a manifest in bytes: more than any schema needs.
const MAX_MANIFEST_BYTES: u64 = 1024 * 1024;

/// Maximum length of a line of an index in bytes: more than a key, a file's name and the longest header need.
const MAX_LINE_BYTES: u64 = 1024 * 1024;

/// Reason for leaving out a line of an index that is not in order.
const OUT_OF_ORDER: &str = "duplicate key, or lines not sorted by key";

/// Lists the records after a key in the index in the file at `path`. An invalid line is left out; after a line without
/// an end nothing can be read.
pub fn index_entries<'a>(mut index: impl BufRead + 'a, path: &Path, after: Option<&RecordKey>) -> SourceEntries<'a> {
    let (after, path) = (after.cloned(), path.to_owned());
    let mut is_finished = false;
    let lines = std::iter::from_fn(move || {
        let line = if is_finished { Ok(None) } else { next_line(&mut index, &path) };
        is_finished |= line.is_err();
        line.transpose().map(|line| line.map(|line| (path.display().to_string(), line)))
    });
    let mut last: Option<RecordKey> = None;
    let entries = lines.zip(1..).map(move |(line, number)| {
        let (path, line) = line?;
        let unusable = |what: &str| SourceEntry::LeftOut(Finding::new(format!("{path}, line {number}"), what));
        let IndexLine { key, file, content_type, content_encoding, size, sha256 } = match IndexLine::parse(&line) {
            Ok(Ok(line)) => line,
            Ok(Err(invalid)) => return Ok(unusable(&format!("invalid key {}: {}", invalid.text, invalid.reason))),
            Err(error) => return Ok(unusable(&error.to_string())),
        };
        if last.as_ref().is_some_and(|last| key <= *last) {
            return Ok(unusable(&format!("{key}: {OUT_OF_ORDER}")));
        }
        last = Some(key.clone());
        let attributes = Some(Attributes { content_type, content_encoding });
        Ok(SourceEntry::Record(SourceRecord { key, size, file: Some(file), attributes, sha256: Some(sha256) }))
    });
    let is_behind = move |entry: &Result<SourceEntry>| match (entry, &after) {
        (Ok(SourceEntry::Record(record)), Some(after)) => record.key > *after,
        (Ok(_) | Err(_), _) => true,
    };
    Box::new(entries.filter(is_behind))
}

fn next_line(index: &mut impl BufRead, path: &Path) -> Result<Option<String>> {
    let mut line = Vec::new();
    let read = index.by_ref().take(MAX_LINE_BYTES).read_until(b'\n', &mut line).map_err(Error::at_path(path))?;
    if read as u64 >= MAX_LINE_BYTES {
        return Err(Error::Invalid(format!("{INDEX} has a line that is longer than {MAX_LINE_BYTES} bytes")));
    }
    Ok((read > 0).then(|| String::from_utf8_lossy(&line).into_owned()))
}

/// Counts the records in an index, and reports its other lines and the files that differ from the index.
pub fn count_records(
    entries: SourceEntries<'_>,
    file_size: impl Fn(&SourceRecord) -> Result<u64>,
    place_of: impl Fn(&SourceRecord) -> String,
) -> Result<(Size, Report)> {
    let (mut size, mut report) = (Size::default(), Report::default());
    for entry in entries {
        match entry? {
            SourceEntry::LeftOut(finding) => report.leave_out(finding),
            SourceEntry::Record(record) => match file_size(&record) {
                Ok(bytes) if bytes == record.size => size.add(bytes),
                Ok(_) => report.leave_out(Finding::new(place_of(&record), CHECKSUM_MISMATCH)),
                Err(error) => report.leave_out(Finding::from_error(place_of(&record), &error)),
            },
        }
    }
    Ok((size, report))
}

/// Returns a record whose bytes are verified while they are read.
pub fn verifying_record(bytes: impl Read + 'static, record: &SourceRecord) -> Record {
    let attributes = record.attributes.clone().unwrap_or_else(Attributes::unknown);
    let bytes = VerifyingReader::new(bytes, record.size, record.sha256.as_deref().unwrap_or_default());
    Record { attributes, length: Some(record.size), bytes: Box::new(bytes) }
}

/// Reads the manifest in the file at `path`.
pub fn read_manifest(file: impl Read, path: &Path) -> Result<StoreManifest> {
    let mut text = Vec::new();
    file.take(MAX_MANIFEST_BYTES + 1).read_to_end(&mut text).map_err(Error::at_path(path))?;
    if text.len() as u64 > MAX_MANIFEST_BYTES {
        return Err(Error::Invalid(format!("{MANIFEST} is longer than {MAX_MANIFEST_BYTES} bytes")));
    }
    serde_json::from_slice(&text).map_err(|error| Error::Invalid(format!("{MANIFEST} is invalid: {error}")))
}

/// Exported store in a folder, which is untrusted.
pub struct ExportFolder {
    identity: String,
    root: Directory,
    records: Directory,
}

impl ExportFolder {
    /// Opens the export in the folder at `path`.
    pub fn open(path: &Path) -> Result<Self> {
        let root = Directory::open(path)?;
        let records = root.folder(&RECORDS)?;
        Ok(Self { identity: path.display().to_string(), root, records })
    }
}

impl Source for ExportFolder {
    fn identity(&self) -> String {
        self.identity.clone()
    }

    fn contents(&self) -> Result<Contents> {
        let manifest = read_manifest(self.root.read(&MANIFEST)?, &self.root.path_of(&MANIFEST))?;
        let mut store =
            SourceStore { id: MANIFEST.to_string(), place: self.identity.clone(), manifest, size: Size::default() };
        let file_length = |record: &SourceRecord| match &record.file {
            Some(name) => self.records.file_length(name),
            None => Ok(record.size),
        };
        let (size, report) =
            count_records(self.records(&store, None)?, file_length, |record| self.place_of(&store, record))?;
        store.size = size;
        Ok(Contents { stores: vec![store], report })
    }

    fn records<'a>(&'a self, _store: &SourceStore, after: Option<&RecordKey>) -> Result<SourceEntries<'a>> {
        let file = self.root.read(&INDEX)?;
        Ok(index_entries(BufReader::new(file), &self.root.path_of(&INDEX), after))
    }

    fn open(&self, _store: &SourceStore, record: &SourceRecord) -> Result<Option<Record>> {
        let Some(name) = &record.file else { return Ok(None) };
        Ok(Some(verifying_record(self.records.read(name)?, record)))
    }

    fn place_of(&self, _store: &SourceStore, record: &SourceRecord) -> String {
        let path = record.file.as_ref().map(|file| self.records.path_of(file));
        path.map_or_else(|| record.key.to_string(), |path| path.display().to_string())
    }
}

/// Minimum length in bytes of a file with a ZIP64 entry.
const MIN_ZIP64_BYTES: u64 = 0xFFFF_0000;

/// Packs an exported store atomically: the result is a complete file, or none.
pub fn write_zip(folder: &Path, to: &Path) -> Result<()> {
    let (parent, to_name) = Directory::parent_of(to)?;
    let partial = to_name.with_suffix("~partial");
    let mut archive = ZipWriter::new(BufWriter::new(parent.create(&partial)?));
    let folder = Directory::open(folder)?;
    let records = folder.folder(&RECORDS)?;
    let index_path = folder.path_of(&INDEX);
    for name in [MANIFEST, INDEX] {
        add(&mut archive, name.as_str(), &folder, &name)?;
    }
    for line in BufReader::new(folder.read(&INDEX)?).lines() {
        // A record that is left out of an index is left out of the archive.
        let Ok(line) = IndexLine::parse(&line.map_err(Error::at_path(&index_path))?)? else { continue };
        add(&mut archive, &record_path(&line.file), &records, &line.file)?;
    }
    let target =
        archive.finish().map_err(zip_error)?.into_inner().map_err(|error| Error::at_path(to)(error.into_error()))?;
    target.sync_all().map_err(Error::at_path(to))?;
    parent.rename(&partial, &to_name)
}

fn add(archive: &mut ZipWriter<BufWriter<File>>, name: &str, folder: &Directory, file_name: &FileName) -> Result<()> {
    let path = &folder.path_of(file_name);
    let mut file = folder.read(file_name)?;
    let length = file.metadata().map_err(Error::at_path(path))?.len();
    // The same time for all, so that equal stores give equal files.
    let options = SimpleFileOptions::default()
        .compression_method(CompressionMethod::Stored)
        .large_file(length >= MIN_ZIP64_BYTES);
    archive.start_file(name, options).map_err(zip_error)?;
    io::copy(&mut file, archive).map(drop).map_err(Error::at_path(path))
}

/// Exported ZIP file.
pub struct ZipFile {
    path: PathBuf,
    archive: Mutex<ZipArchive<File>>,
}

impl ZipFile {
    /// Opens the file at `path`.
    pub fn open(path: PathBuf) -> Result<Self> {
        let file = File::open(&path).map_err(Error::at_path(&path))?;
        let archive = ZipArchive::new(file).map_err(zip_error)?;
        Ok(Self { archive: Mutex::new(archive), path })
    }

    /// Returns the offset of a file in it, and its length.
    fn extent(&self, name: &str) -> Result<(u64, u64)> {
        let mut archive = self.archive.lock();
        let place = archive.index_for_name(name).ok_or(zip::result::ZipError::FileNotFound).map_err(zip_error)?;
        // Without decompression: else a compressed file would give an error without advice.
        let entry = archive.by_index_raw(place).map_err(zip_error)?;
        if entry.compression() != CompressionMethod::Stored {
            let message = "the ZIP file is compressed; unpack it and import the folder";
            return Err(Error::Invalid(message.to_owned()));
        }
        let start = entry.data_start().ok_or_else(|| Error::Invalid(format!("{name} has no data in the ZIP file")))?;
        Ok((start, entry.size()))
    }

    /// Opens a file in it with its own handle, so that many can be read at the same time.
    fn file(&self, name: &str) -> Result<Take<File>> {
        let (start, length) = self.extent(name)?;
        let mut file = File::open(&self.path).map_err(Error::at_path(&self.path))?;
        file.seek(SeekFrom::Start(start)).map_err(Error::at_path(&self.path))?;
        Ok(file.take(length))
    }
}

/// Returns the path of a record's file in an archive.
fn record_path(file: &FileName) -> String {
    format!("{RECORDS}/{file}")
}

impl Source for ZipFile {
    fn identity(&self) -> String {
        self.path.display().to_string()
    }

    fn contents(&self) -> Result<Contents> {
        let manifest = read_manifest(self.file(MANIFEST.as_str())?, &self.path)?;
        let mut store =
            SourceStore { id: MANIFEST.to_string(), place: self.identity(), manifest, size: Size::default() };
        let file_length = |record: &SourceRecord| match &record.file {
            Some(file) => self.extent(&record_path(file)).map(|(_, length)| length),
            None => Ok(record.size),
        };
        let (size, report) =
            count_records(self.records(&store, None)?, file_length, |record| self.place_of(&store, record))?;
        store.size = size;
        Ok(Contents { stores: vec![store], report })
    }

    fn records<'a>(&'a self, _store: &SourceStore, after: Option<&RecordKey>) -> Result<SourceEntries<'a>> {
        Ok(index_entries(BufReader::new(self.file(INDEX.as_str())?), &self.path.join(INDEX.as_str()), after))
    }

    fn open(&self, _store: &SourceStore, record: &SourceRecord) -> Result<Option<Record>> {
        let Some(file) = &record.file else { return Ok(None) };
        Ok(Some(verifying_record(self.file(&record_path(file))?, record)))
    }

    fn place_of(&self, _store: &SourceStore, record: &SourceRecord) -> String {
        let name = record.file.as_ref().map_or(record.key.as_str(), FileName::as_str);
        self.path.join(RECORDS.as_str()).join(name).display().to_string()
    }
}

#[expect(clippy::needless_pass_by_value, reason = "it maps errors")]
fn zip_error(error: zip::result::ZipError) -> Error {
    Error::Invalid(format!("cannot read or write the ZIP file: {error}"))
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    fn line(key: &str) -> String {
        format!("{{\"key\":\"{key}\",\"file\":\"a\",\"contentType\":\"b/c\",\"size\":0,\"sha256\":\"\"}}")
    }

    /// Lists an index: the keys of records, and markers for lines that are left out or end it.
    fn listed(index: impl BufRead) -> Vec<String> {
        let entries = index_entries(index, Path::new(INDEX.as_str()), None);
        let shown = entries.map(|entry| match entry {
            Ok(SourceEntry::Record(record)) => record.key.to_string(),
            Ok(SourceEntry::LeftOut(finding)) => format!("left out: {}", finding.place),
            Err(_) => "error".to_owned(),
        });
        shown.collect()
    }

    #[test]
    fn a_line_without_an_end_is_not_gathered() {
        let endless = io::Cursor::new(format!("{}\n{}", line("a"), line("b"))).chain(io::repeat(b' '));
        assert_eq!(listed(io::BufReader::new(endless)), ["a", "error"]);
    }

    #[test]
    fn a_line_that_is_no_record_does_not_hide_the_others() {
        let index = format!("{}\nno JSON\n{}\n{}\n", line("a"), line("no key"), line("b"));
        let second = "left out: records.ndjson, line 2";
        assert_eq!(listed(index.as_bytes()), ["a", second, "left out: records.ndjson, line 3", "b"]);
    }

    #[test]
    fn a_key_that_is_there_twice_is_one_record() {
        let index = ["b", "b", "a", "c"].map(line).join("\n");
        let left_out = [2, 3].map(|number| format!("left out: records.ndjson, line {number}"));
        assert_eq!(listed(index.as_bytes()), ["b", left_out[0].as_str(), left_out[1].as_str(), "c"]);
    }

    #[test]
    fn a_manifest_without_an_end_is_not_gathered() {
        assert!(read_manifest(io::repeat(b' '), Path::new(MANIFEST.as_str())).is_err());
        assert!(read_manifest(&b"{\"name\":\"shop\"}"[..], Path::new(MANIFEST.as_str())).is_ok());
    }
}
