//! An exported store in a folder.
//!
//! ```text
//! manifest.json     what the store is
//! records.ndjson    a line for each record, in the order of the keys: what it is, and the sum of its bytes
//! records/          the bytes of each, as they were stored, mostly under its key
//! ```
//!
//! While an export is incomplete, the lines are in another file, and `export.partial.json` names its origin: an
//! interrupted export resumes after its last whole line.

use std::{
    fs::File,
    io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write},
    path::Path,
};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::kv::RecordKey;

use super::{
    directory::{Directory, FileName},
    error::{Error, Result},
    record::{Attributes, Hashing, Record, StoreSheet, UnusableKey, WrittenKey},
    source::Size,
};

/// File with the store's name and settings.
pub const SHEET: FileName = FileName::fixed("manifest.json");

/// File with the index of the records.
pub const INDEX: FileName = FileName::fixed("records.ndjson");

/// Folder with the bytes of the records.
pub const RECORDS: FileName = FileName::fixed("records");

/// Index of an incomplete export.
const UNFINISHED_INDEX: FileName = FileName::fixed("records.ndjson.part");

/// Marker with the origin of an incomplete export.
pub const UNFINISHED: FileName = FileName::fixed("export.partial.json");

/// Maximum length of the marker in bytes.
const MAX_MARKER_BYTES: u64 = 64 * 1024;

/// Suffix of a record's file until it is complete. No key can contain it.
const UNFINISHED_ENDING: &str = "~part";

/// Maximum length of a key that is used as a file name unchanged: with a possible suffix, file systems allow 255 bytes.
const LONGEST_NAME: usize = 200;

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
    pub fn parse(line: &str) -> Result<std::result::Result<Self, UnusableKey>> {
        let parsed: IndexLine<WrittenKey> = serde_json::from_str(line)
            .map_err(|error| Error::Unusable(format!("{INDEX} has a line that is not understood: {error}")))?;
        let IndexLine { key, file, content_type, content_encoding, size, sha256 } = parsed;
        Ok(match key {
            WrittenKey::Valid(key) => Ok(Self { key, file, content_type, content_encoding, size, sha256 }),
            WrittenKey::Invalid(invalid) => Err(invalid),
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
pub struct Unfinished {
    folder: Directory,
    files: Files,
    index: File,
    /// Key of its last record.
    last: Option<RecordKey>,
    /// Number and size of its records.
    size: Size,
}

/// Writer for the bytes of records, usable from many threads.
#[derive(Clone)]
pub struct Files {
    folder: Directory,
    tells_case: bool,
}

impl Unfinished {
    /// Begins an export in `folder`, or resumes it.
    pub fn open(folder: &Path, origin: &Origin) -> Result<Self> {
        let path = folder.display();
        let folder = Directory::make(folder)?;
        if folder.has(&INDEX) {
            return Err(Error::Unusable(format!("{path} is a whole export already")));
        }
        if folder.has(&UNFINISHED) {
            let mut text = String::new();
            let marker = folder.read(&UNFINISHED)?.take(MAX_MARKER_BYTES).read_to_string(&mut text);
            marker.map_err(Error::of(&folder.path_of(&UNFINISHED)))?;
            if serde_json::from_str::<Origin>(&text).ok().as_ref() != Some(origin) {
                return Err(Error::Unusable(format!("{path} is the unfinished export of another store")));
            }
        } else {
            if !folder.names()?.is_empty() {
                return Err(Error::Unusable(format!("{path} is not empty")));
            }
            let text = serde_json::to_string(origin).map_err(|error| Error::Unusable(error.to_string()))?;
            folder.replace(&UNFINISHED, text.as_bytes())?;
        }
        let records_folder = folder.make_folder(&RECORDS)?;
        let tells_case = tells_case(&records_folder)?;
        let mut index = folder.append(&UNFINISHED_INDEX)?;
        let (last, size) = resume(&mut index).map_err(Error::of(&folder.path_of(&UNFINISHED_INDEX)))?;
        let files = Files { folder: records_folder, tells_case };
        Ok(Self { folder, files, index, last, size })
    }

    /// Returns the key after which it resumes, and the number and size of the records before it.
    pub fn last(&self) -> (Option<RecordKey>, Size) {
        (self.last.clone(), self.size)
    }

    /// Returns the writer for the bytes of records.
    pub fn files(&self) -> Files {
        self.files.clone()
    }

    /// Appends a record whose bytes are written; must be called in the order of the keys.
    pub fn note(&mut self, line: &IndexLine) -> Result<()> {
        let mut text = serde_json::to_string(line).map_err(|error| Error::Unusable(error.to_string()))?;
        text.push('\n');
        self.index.write_all(text.as_bytes()).map_err(Error::of(&self.folder.path_of(&UNFINISHED_INDEX)))
    }

    /// Completes the export, durably.
    pub fn finish(self, sheet: &StoreSheet) -> Result<()> {
        let Self { folder, index, .. } = self;
        let text = serde_json::to_string_pretty(sheet).map_err(|error| Error::Unusable(error.to_string()))?;
        folder.replace(&SHEET, (text + "\n").as_bytes())?;
        index.sync_all().map_err(Error::of(&folder.path_of(&UNFINISHED_INDEX)))?;
        folder.sync_disk()?;
        folder.rename(&UNFINISHED_INDEX, &INDEX)?;
        folder.remove(&UNFINISHED)?;
        folder.sync()
    }
}

impl Files {
    /// Writes a record's bytes.
    pub fn write(&self, key: &RecordKey, record: Record) -> Result<IndexLine> {
        let Record { attributes, length, bytes } = record;
        let file = file_name(key, self.tells_case)?;
        let unfinished = file.with_ending(UNFINISHED_ENDING);
        let mut target = self.folder.create(&unfinished)?;
        let mut bytes = Hashing::new(bytes);
        let mut buffer = vec![0; 128 * 1024];
        loop {
            let read = bytes
                .read(&mut buffer)
                .map_err(|error| Error::from_io(error).unwrap_or_else(|error| Error::NoAnswer(error.to_string())))?;
            if read == 0 {
                break;
            }
            target.write_all(&buffer[..read]).map_err(Error::of(&self.folder.path_of(&unfinished)))?;
        }
        let (size, sha256) = bytes.sum();
        if let Some(promised) = length.filter(|length| *length != size) {
            return Err(Error::NoAnswer(format!("the record has {size} bytes instead of {promised}")));
        }
        self.folder.rename(&unfinished, &file)?;
        let Attributes { content_type, content_encoding } = attributes;
        Ok(IndexLine { key: key.clone(), file, content_type, content_encoding, size, sha256 })
    }
}

/// Returns the file name for a key: the key itself if it is a valid name, else a part of it and a hash.
pub fn file_name(key: &RecordKey, tells_case: bool) -> Result<FileName> {
    let name = file_text(key.as_str(), tells_case);
    FileName::try_from(name).map_err(|error| Error::Unusable(format!("{key}: {error}")))
}

fn file_text(key: &str, tells_case: bool) -> String {
    let is_told_apart = tells_case || !key.bytes().any(|byte| byte.is_ascii_uppercase());
    if key.len() <= LONGEST_NAME && is_told_apart && !key.starts_with("..") && key != "." {
        return key.to_owned();
    }
    let sum = Sha256::digest(key.as_bytes());
    let beginning: String = key.chars().filter(|sign| *sign != '.').take(LONGEST_NAME / 2).collect();
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
fn tells_case(folder: &Directory) -> Result<bool> {
    let (lower, upper) = (FileName::fixed("~case"), FileName::fixed("~CASE"));
    folder.create(&lower)?;
    let tells_case = !folder.has(&upper);
    folder.remove(&lower)?;
    Ok(tells_case)
}
