//! An exported store in a folder.
//!
//! ```text
//! manifest.json     what the store is
//! records.ndjson    a line for each record, in the order of the keys: what it is, and the sum of its bytes
//! records/          the bytes of each, as they were stored, mostly under its key
//! ```
//!
//! While it is made, the lines stand in another file, and `export.partial.json` says what of: an export that was cut off goes on
//! behind its last whole line.

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

/// What the store is.
pub const SHEET: FileName = FileName::fixed("manifest.json");

/// What its records are.
pub const INDEX: FileName = FileName::fixed("records.ndjson");

/// Where their bytes are.
pub const RECORDS: FileName = FileName::fixed("records");

/// The lines of an unfinished export.
const UNFINISHED_INDEX: FileName = FileName::fixed("records.ndjson.part");

/// What is being exported, while it is.
pub const UNFINISHED: FileName = FileName::fixed("export.partial.json");

/// The most bytes of the file that says what is being exported.
const MAX_MARKER_BYTES: u64 = 64 * 1024;

/// Ends the name of a record's file until it is whole. No key can have it in it.
const UNFINISHED_ENDING: &str = "~part";

/// The longest key that is a file's name as it is: with what may follow it, file systems take 255 bytes.
const LONGEST_NAME: usize = 200;

/// A record in the index.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct IndexLine<K = RecordKey> {
    /// Its key.
    pub key: K,
    /// The file with its bytes, in the folder of records.
    pub file: FileName,
    /// Its MIME type.
    pub content_type: String,
    /// The coding of its bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content_encoding: Option<String>,
    /// How many bytes there are.
    pub size: u64,
    /// Their SHA-256, in hexadecimal digits.
    pub sha256: String,
}

impl IndexLine {
    /// Reads a line. A line that names no key is left out.
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

/// What is exported from where.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// The server.
    pub server: String,
    /// The store's id.
    pub store: String,
}

/// An export in the making.
pub struct Unfinished {
    folder: Directory,
    files: Files,
    index: File,
    /// The key of the last record that is in it.
    last: Option<RecordKey>,
    /// Records that are in it.
    size: Size,
}

/// Where the bytes of records go; many threads may write there.
#[derive(Clone)]
pub struct Files {
    folder: Directory,
    tells_case: bool,
}

impl Unfinished {
    /// Begins an export in `folder`, or goes on with it.
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

    /// Returns the key behind which it goes on, and the number and size of the records before it.
    pub fn last(&self) -> (Option<RecordKey>, Size) {
        (self.last.clone(), self.size)
    }

    /// Where the bytes of records go.
    pub fn files(&self) -> Files {
        self.files.clone()
    }

    /// Notes a record whose bytes are there; to be called in the order of the keys.
    pub fn note(&mut self, line: &IndexLine) -> Result<()> {
        let mut text = serde_json::to_string(line).map_err(|error| Error::Unusable(error.to_string()))?;
        text.push('\n');
        self.index.write_all(text.as_bytes()).map_err(Error::of(&self.folder.path_of(&UNFINISHED_INDEX)))
    }

    /// Makes it a whole export, durably.
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

/// The file of a key: its own name where that is one, else a part of it and a sum.
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

/// Returns the key of the last whole line, and the number and size of the records up to it; what is behind it is cut off.
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

/// Whether files whose names differ in letter case alone are two.
fn tells_case(folder: &Directory) -> Result<bool> {
    let (lower, upper) = (FileName::fixed("~case"), FileName::fixed("~CASE"));
    folder.create(&lower)?;
    let tells_case = !folder.has(&upper);
    folder.remove(&lower)?;
    Ok(tells_case)
}
