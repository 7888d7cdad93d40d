//! An exported store in a folder.
//!
//! ```text
//! store.json        what the store is
//! records.ndjson    a line for each record, in the order of the keys: what it is, and the sum of its bytes
//! records/          the bytes of each, as they were stored, mostly under its key
//! ```
//!
//! While it is made, the lines stand in another file, and `unfinished.json` says what of: an export that was cut off goes on
//! behind its last whole line.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{
    error::{Error, Result},
    record::{Attributes, Hashing, Record, StoreSheet},
};

/// What the store is.
pub const SHEET: &str = "store.json";

/// What its records are.
pub const INDEX: &str = "records.ndjson";

/// Where their bytes are.
pub const RECORDS: &str = "records";

/// The lines of an unfinished export.
const UNFINISHED_INDEX: &str = "records.ndjson.part";

/// What is being exported, while it is.
pub const UNFINISHED: &str = "unfinished.json";

/// The longest key that is a file's name as it is: with what may follow it, file systems take 255 bytes.
const LONGEST_NAME: usize = 200;

/// A record in the index.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct IndexLine {
    /// Its key.
    pub key: String,
    /// The file with its bytes, in the folder of records.
    pub file: String,
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
    /// Reads a line.
    pub fn parse(line: &str) -> Result<Self> {
        let parsed: Self = serde_json::from_str(line)
            .map_err(|error| Error::Unusable(format!("{INDEX} has a line that is not understood: {error}")))?;
        // Nothing is ever read from outside the folder.
        let is_plain = !matches!(parsed.file.as_str(), "" | ".")
            && !parsed.file.contains(['/', '\\', '\0'])
            && !parsed.file.starts_with("..");
        is_plain.then_some(parsed).ok_or_else(|| Error::Unusable(format!("{INDEX} names a file outside of {RECORDS}")))
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
    files: Files,
    index: File,
    /// The key of the last record that is in it.
    last: Option<String>,
    /// Records that are in it.
    records: u64,
}

/// Where the bytes of records go; many threads may write there.
#[derive(Clone)]
pub struct Files {
    folder: PathBuf,
    tells_case: bool,
}

impl Unfinished {
    /// Begins an export in `folder`, or goes on with it.
    pub fn open(folder: &Path, origin: &Origin) -> Result<Self> {
        let (marker, index_path) = (folder.join(UNFINISHED), folder.join(UNFINISHED_INDEX));
        fs::create_dir_all(folder).map_err(Error::of(folder))?;
        if folder.join(INDEX).exists() {
            return Err(Error::Unusable(format!("{} is a whole export already", folder.display())));
        }
        if marker.exists() {
            let text = fs::read_to_string(&marker).map_err(Error::of(&marker))?;
            if serde_json::from_str::<Origin>(&text).ok().as_ref() != Some(origin) {
                let message = format!("{} is the unfinished export of another store", folder.display());
                return Err(Error::Unusable(message));
            }
        } else {
            if fs::read_dir(folder).map_err(Error::of(folder))?.next().is_some() {
                return Err(Error::Unusable(format!("{} is not empty", folder.display())));
            }
            let text = serde_json::to_string(origin).map_err(|error| Error::Unusable(error.to_string()))?;
            replace(&marker, text.as_bytes())?;
        }
        let records_folder = folder.join(RECORDS);
        fs::create_dir_all(&records_folder).map_err(Error::of(&records_folder))?;
        let tells_case = tells_case(&records_folder)?;
        let mut options = OpenOptions::new();
        let mut index =
            options.read(true).append(true).create(true).open(&index_path).map_err(Error::of(&index_path))?;
        let (last, records) = resume(&mut index).map_err(Error::of(&index_path))?;
        let files = Files { folder: records_folder, tells_case };
        Ok(Self { files, index, last, records })
    }

    /// The key behind which it goes on, and how many records are before it.
    pub fn last(&self) -> (Option<String>, u64) {
        (self.last.clone(), self.records)
    }

    /// Where the bytes of records go.
    pub fn files(&self) -> Files {
        self.files.clone()
    }

    /// Notes a record whose bytes are there; to be called in the order of the keys.
    pub fn note(&mut self, line: &IndexLine) -> Result<()> {
        let mut text = serde_json::to_string(line).map_err(|error| Error::Unusable(error.to_string()))?;
        text.push('\n');
        self.index.write_all(text.as_bytes()).map_err(Error::of(&self.files.folder))
    }

    /// Makes it a whole export, durably.
    pub fn finish(self, folder: &Path, sheet: &StoreSheet) -> Result<()> {
        let text = serde_json::to_string_pretty(sheet).map_err(|error| Error::Unusable(error.to_string()))?;
        replace(&folder.join(SHEET), (text + "\n").as_bytes())?;
        let own = File::open(folder).map_err(Error::of(folder))?;
        // One call for all the files, instead of one for each.
        rustix::fs::fsync(&self.index)
            .and_then(|()| sync_all(&own))
            .map_err(|error| Error::of(folder)(error.into()))?;
        fs::rename(folder.join(UNFINISHED_INDEX), folder.join(INDEX)).map_err(Error::of(folder))?;
        fs::remove_file(folder.join(UNFINISHED)).map_err(Error::of(folder))?;
        own.sync_all().map_err(Error::of(folder))
    }
}

impl Files {
    /// Writes a record's bytes.
    pub fn write(&self, key: &str, record: Record) -> Result<IndexLine> {
        let Record { attributes, length: _, bytes } = record;
        let file = file_name(key, self.tells_case);
        let (path, unfinished) = (self.folder.join(&file), self.folder.join(format!("{file}~part")));
        let mut target = File::create(&unfinished).map_err(Error::of(&unfinished))?;
        let mut bytes = Hashing::new(bytes);
        let mut buffer = vec![0; 128 * 1024];
        loop {
            // To read is the server's matter, to write the disk's.
            let read = bytes.read(&mut buffer).map_err(|error| Error::NoAnswer(error.to_string()))?;
            if read == 0 {
                break;
            }
            target.write_all(&buffer[..read]).map_err(Error::of(&unfinished))?;
        }
        fs::rename(&unfinished, &path).map_err(Error::of(&path))?;
        let (size, sha256) = bytes.sum();
        let Attributes { content_type, content_encoding } = attributes;
        Ok(IndexLine { key: key.to_owned(), file, content_type, content_encoding, size, sha256 })
    }
}

/// The file of a key: its own name where that is one, else a part of it and a sum.
pub fn file_name(key: &str, tells_case: bool) -> String {
    let is_told_apart = tells_case || !key.bytes().any(|byte| byte.is_ascii_uppercase());
    if key.len() <= LONGEST_NAME && is_told_apart && !key.starts_with("..") && key != "." {
        return key.to_owned();
    }
    let sum = Sha256::digest(key.as_bytes());
    let beginning: String = key.chars().filter(|sign| *sign != '.').take(LONGEST_NAME / 2).collect();
    sum.iter().take(8).fold(format!("{beginning}~"), |name, byte| format!("{name}{byte:02x}"))
}

/// The last whole line, and how many there are; what is behind it is cut off.
fn resume(index: &mut File) -> io::Result<(Option<String>, u64)> {
    index.seek(SeekFrom::Start(0))?;
    let (mut last, mut records, mut whole) = (None, 0, 0);
    let mut line = String::new();
    let mut lines = BufReader::new(&*index);
    while lines.read_line(&mut line)? > 0 {
        let Some(parsed) = line.strip_suffix('\n').and_then(|line| IndexLine::parse(line).ok()) else { break };
        whole += line.len() as u64;
        (last, records) = (Some(parsed.key), records + 1);
        line.clear();
    }
    index.set_len(whole)?;
    Ok((last, records))
}

/// Whether files whose names differ in letter case alone are two.
fn tells_case(folder: &Path) -> Result<bool> {
    let (lower, upper) = (folder.join("~case"), folder.join("~CASE"));
    fs::write(&lower, "").map_err(Error::of(&lower))?;
    let tells_case = !upper.exists();
    fs::remove_file(&lower).map_err(Error::of(&lower))?;
    Ok(tells_case)
}

#[cfg(target_os = "linux")]
fn sync_all(folder: &File) -> rustix::io::Result<()> {
    rustix::fs::syncfs(folder)
}

#[cfg(not(target_os = "linux"))]
fn sync_all(_folder: &File) -> rustix::io::Result<()> {
    rustix::fs::sync();
    Ok(())
}

/// Writes a small file so that there is the old one or the new one, whole.
pub fn replace(path: &Path, bytes: &[u8]) -> Result<()> {
    let unfinished = path.with_extension("part");
    let mut file = File::create(&unfinished).map_err(Error::of(&unfinished))?;
    file.write_all(bytes).and_then(|()| file.sync_all()).map_err(Error::of(&unfinished))?;
    fs::rename(&unfinished, path).map_err(Error::of(path))
}
