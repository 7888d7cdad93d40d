//! Records in transfer, and the readers of their bytes: each verifies, counts or delimits them.
//!
//! A file that other programs may write to is read consistently ([`Snapshot`]). Its length and its times are compared
//! before the last bytes are returned, so that a record never consists of parts of two versions. After a change the
//! server gets less than announced, and stores none of it.

use std::{
    fs::{File, Metadata},
    io::{self, Read},
    os::unix::fs::MetadataExt,
    path::PathBuf,
};

use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::kv::RecordKey;

use super::error::{Error, Result};

/// Name and settings of a store, which are transferred with its records.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StoreManifest {
    /// Its name, if it has one.
    #[serde(default)]
    pub name: Option<String>,
    /// Its title.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// General access to the store.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub general_access: Option<String>,
    /// Retention in days after its last change while it has no name; not every server reports it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retention_days: Option<f64>,
    /// Schema of its records.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schema: Option<Value>,
}

/// Key as written by another server or an archive.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(from = "String")]
pub enum RawKey {
    /// A valid key.
    Valid(RecordKey),
    /// An invalid key.
    Invalid(InvalidKey),
}

/// Text that is no valid key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvalidKey {
    /// The text.
    pub text: String,
    /// Reason why it is invalid.
    pub reason: String,
}

impl From<String> for RawKey {
    fn from(text: String) -> Self {
        match text.parse() {
            Ok(key) => Self::Valid(key),
            Err(invalid) => Self::Invalid(InvalidKey { text, reason: invalid.to_string() }),
        }
    }
}

/// Attributes of a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attributes {
    /// Its media type, as stored.
    pub content_type: String,
    /// Its content coding, if it has one.
    pub content_encoding: Option<String>,
}

impl Attributes {
    /// Returns the attributes of a record of unknown type.
    pub fn unknown() -> Self {
        Self { content_type: "application/octet-stream".to_owned(), content_encoding: None }
    }
}

/// Record whose bytes are still to be read.
pub struct Record {
    /// Its attributes.
    pub attributes: Attributes,
    /// Number of bytes, if known.
    pub length: Option<u64>,
    /// The bytes, as stored.
    pub bytes: Box<dyn Read>,
}

/// Reader that computes length and hash.
pub struct HashingReader<R> {
    inner: R,
    hash: Sha256,
    length: u64,
}

impl<R: Read> HashingReader<R> {
    /// Wraps `inner`.
    pub fn new(inner: R) -> Self {
        Self { inner, hash: Sha256::new(), length: 0 }
    }

    /// Returns the number of bytes read, and their SHA-256 in hexadecimal digits.
    pub fn finish(self) -> (u64, String) {
        (self.length, hexadecimal(&self.hash.finalize()))
    }
}

impl<R: Read> Read for HashingReader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.hash.update(&buffer[..read]);
        self.length += read as u64;
        Ok(read)
    }
}

/// Reason for not importing a record whose bytes differ from the exported ones.
pub const CHECKSUM_MISMATCH: &str = "checksum mismatch: the bytes differ from the exported ones";

/// Reader that verifies length and hash; at a mismatch its end is an error, so that the bytes are never accepted as
/// complete.
pub struct VerifyingReader<R> {
    reader: Option<HashingReader<R>>,
    length: u64,
    sha256: String,
}

impl<R: Read> VerifyingReader<R> {
    /// Wraps `inner`, which must have that length and that hash.
    pub fn new(inner: R, length: u64, sha256: &str) -> Self {
        Self { reader: Some(HashingReader::new(inner)), length, sha256: sha256.to_owned() }
    }
}

impl<R: Read> Read for VerifyingReader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let Some(reader) = &mut self.reader else { return Ok(0) };
        let read = reader.read(buffer)?;
        let is_finished = (read == 0 && !buffer.is_empty()) || reader.length >= self.length;
        // A caller that knows the length does not read further: the check for trailing bytes happens here.
        if is_finished && let Some(mut reader) = self.reader.take() {
            let behind = reader.inner.read(&mut [0])?;
            let (length, sha256) = reader.finish();
            if behind > 0 || length != self.length || self.sha256 != sha256 {
                return Err(Error::Invalid(CHECKSUM_MISMATCH.to_owned()).into_io());
            }
        }
        Ok(read)
    }
}

/// Reader that counts its bytes.
pub struct CountingReader<R> {
    /// Source of the bytes.
    pub inner: R,
    /// Number of bytes so far.
    pub length: u64,
}

impl<R: Read> Read for CountingReader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.length += read as u64;
        Ok(read)
    }
}

/// Reader of exactly the announced number of bytes: after fewer, the server would wait for the rest without end.
pub struct ExactLengthReader {
    inner: Box<dyn Read>,
    left: u64,
}

impl ExactLengthReader {
    /// Reads `length` bytes from `inner`.
    pub fn new(inner: Box<dyn Read>, length: u64) -> Self {
        Self { inner, left: length }
    }
}

impl Read for ExactLengthReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let wanted = usize::try_from(self.left).unwrap_or(usize::MAX).min(buffer.len());
        if wanted == 0 {
            return Ok(0);
        }
        let read = self.inner.read(&mut buffer[..wanted])?;
        self.left -= read as u64;
        if read == 0 {
            return Err(
                Error::NoResponse(format!("{} bytes are missing at the end of the record", self.left)).into_io()
            );
        }
        Ok(read)
    }
}

fn hexadecimal(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Reader of a file as it was when it was opened; fails if the file changed by the end.
pub struct Snapshot {
    file: File,
    path: PathBuf,
    opened: Version,
    /// Number of bytes still to be read.
    left: u64,
}

/// Properties of a file that change with a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Version {
    length: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl From<&Metadata> for Version {
    fn from(metadata: &Metadata) -> Self {
        Self {
            length: metadata.len(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }
}

impl Snapshot {
    /// Returns a reader of `file`, which was opened at `path`, from its beginning.
    pub fn new(file: File, path: PathBuf) -> Result<Self> {
        let opened = Version::from(&file.metadata().map_err(Error::at_path(&path))?);
        let mut snapshot = Self { file, path, opened, left: opened.length };
        if snapshot.left == 0 {
            // No caller reads an empty record.
            snapshot.verify()?;
        }
        Ok(snapshot)
    }

    /// Returns the length of the file.
    pub fn length(&self) -> u64 {
        self.opened.length
    }

    /// Checks that the file is unchanged since it was opened, and completely read.
    fn verify(&mut self) -> Result<()> {
        let now = Version::from(&self.file.metadata().map_err(Error::at_path(&self.path))?);
        // Files that report length 0 and are not empty, such as those below /proc, have bytes after their length.
        let behind = self.file.read(&mut [0]).map_err(Error::at_path(&self.path))?;
        if now == self.opened && behind == 0 { Ok(()) } else { Err(Error::FileChanged(self.path.clone())) }
    }
}

impl Read for Snapshot {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let wanted = usize::try_from(self.left).unwrap_or(usize::MAX).min(buffer.len());
        if wanted == 0 {
            return Ok(0);
        }
        let failed = |error: io::Error| Error::at_path(&self.path)(error).into_io();
        let read = self.file.read(&mut buffer[..wanted]).map_err(failed)?;
        self.left -= read as u64;
        if read == 0 {
            return Err(Error::FileChanged(self.path.clone()).into_io());
        }
        if self.left == 0 {
            self.verify().map_err(Error::into_io)?;
        }
        Ok(read)
    }
}

/// Returns the media type of files whose names end in `.{ending}`, with the charset if it has one: texts are assumed to
/// be UTF-8.
pub fn media_type(ending: &str) -> Option<String> {
    let media_type = mime_guess::from_ext(ending).first_raw()?;
    let is_text = media_type.starts_with("text/") || media_type == "application/json";
    Some(if is_text { format!("{media_type}; charset=utf-8") } else { media_type.to_owned() })
}

#[cfg(test)]
mod tests {
    use std::{fs, io::Write, path::Path};

    use super::*;

    fn sum(bytes: &[u8]) -> (u64, String) {
        let mut reader = HashingReader::new(bytes);
        io::copy(&mut reader, &mut io::sink()).expect("it reads");
        reader.finish()
    }

    #[test]
    fn bytes_that_have_changed_are_never_taken_for_whole() {
        let (length, sha256) = sum(b"flour");
        let read = |bytes: &'static [u8]| {
            let mut text = String::new();
            VerifyingReader::new(bytes, length, &sha256).read_to_string(&mut text).map(|_| text)
        };
        assert_eq!(read(b"flour").expect("whole"), "flour");
        for changed in [&b"flouR"[..], b"flou", b"flour!", b""] {
            assert!(read(changed).is_err(), "{changed:?}");
            let sent = ExactLengthReader::new(Box::new(VerifyingReader::new(changed, length, &sha256)), length);
            assert!(io::copy(&mut { sent }, &mut io::sink()).is_err(), "{changed:?}");
        }
    }

    #[test]
    fn bytes_that_end_too_early_are_an_error_and_those_behind_the_length_are_not_read() {
        let read = |bytes: &'static [u8]| {
            let mut read = Vec::new();
            ExactLengthReader::new(Box::new(bytes), 5).read_to_end(&mut read).map(|_| read)
        };
        assert_eq!(read(b"dough").expect("whole"), b"dough");
        assert_eq!(read(b"doughnut").expect("whole"), b"dough");
        assert!(read(b"doug").is_err());
    }

    /// Reads a file in two parts and changes it between them.
    fn read_while(change: impl FnOnce(&Path)) -> std::result::Result<Vec<u8>, Error> {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("page.html");
        fs::write(&path, "flour and water").expect("it is written");
        let mut snapshot = Snapshot::new(File::open(&path).expect("it opens"), path.clone())?;
        let mut bytes = vec![0; 5];
        snapshot.read_exact(&mut bytes).expect("the first part is there");
        change(&path);
        match snapshot.read_to_end(&mut bytes) {
            Ok(_) => Ok(bytes),
            Err(error) => Err(Error::from_io(error).expect("an error of ours")),
        }
    }

    #[test]
    fn a_file_that_changes_while_it_is_read_is_never_taken_for_whole() {
        let append = |path: &Path| {
            let mut file = fs::OpenOptions::new().append(true).open(path).expect("it opens");
            file.write_all(b", salt").expect("it is written");
        };
        let shorten = |path: &Path| {
            fs::OpenOptions::new().write(true).open(path).expect("it opens").set_len(7).expect("it is cut");
        };
        let rewrite = |path: &Path| {
            // Times of files have the granularity of the kernel's clock.
            let written = fs::metadata(path).and_then(|metadata| metadata.modified()).expect("a time");
            while fs::metadata(path).and_then(|metadata| metadata.modified()).expect("a time") == written {
                fs::write(path, "floor and water").expect("it is written");
            }
        };
        assert_eq!(read_while(|_| ()).expect("it is whole"), b"flour and water");
        for (what, changed) in
            [("append", read_while(append)), ("shorten", read_while(shorten)), ("rewrite", read_while(rewrite))]
        {
            let error = changed.expect_err(what);
            assert!(matches!(&error, Error::FileChanged(path) if path.ends_with("page.html")), "{what}: {error}");
        }
    }

    #[test]
    fn a_file_that_is_replaced_is_read_as_it_was_or_is_an_error() {
        let replaced = read_while(|path| {
            fs::write(path.with_extension("new"), "salt").expect("it is written");
            fs::rename(path.with_extension("new"), path).expect("it is renamed");
        });
        assert!(replaced.is_err() || replaced.is_ok_and(|bytes| bytes == b"flour and water"));
    }

    #[test]
    fn a_file_that_says_it_is_empty_and_is_not_is_never_taken_for_empty() {
        let path = Path::new("/proc/self/status");
        let opened = Snapshot::new(File::open(path).expect("it opens"), path.to_owned());
        assert!(matches!(opened.err(), Some(Error::FileChanged(changed)) if changed == path));
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("empty");
        fs::write(&path, "").expect("it is written");
        assert_eq!(Snapshot::new(File::open(&path).expect("it opens"), path).expect("it is empty").length(), 0);
    }
}
