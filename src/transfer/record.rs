//! A record on its way.

use std::io::{self, Read};

use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::kv::RecordKey;

/// What a store is, but for its records: what is carried over with it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StoreSheet {
    /// Its name, if it has one.
    #[serde(default)]
    pub name: Option<String>,
    /// Its title.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// Who may read it without a right of his own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub general_access: Option<String>,
    /// How many days it lives after its last change while it has no name; not every server says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retention_days: Option<f64>,
    /// What its records must be like.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schema: Option<Value>,
}

/// A key as another server or an archive writes it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(from = "String")]
pub enum WrittenKey {
    /// A key that a record can have.
    Valid(RecordKey),
    /// A text that is no key.
    Invalid(LeftOut),
}

/// An entry of a list that cannot be a record, and is left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeftOut {
    /// Text that stands where the key should.
    pub name: String,
    /// Reason why it is no record.
    pub reason: String,
}

impl From<String> for WrittenKey {
    fn from(text: String) -> Self {
        match text.parse() {
            Ok(key) => Self::Valid(key),
            Err(invalid) => Self::Invalid(LeftOut { name: text, reason: invalid.to_string() }),
        }
    }
}

impl std::fmt::Display for LeftOut {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ({})", self.name, self.reason)
    }
}

/// What goes with a record's bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attributes {
    /// Its MIME type, as it was stored.
    pub content_type: String,
    /// The coding its bytes are in, if they are.
    pub content_encoding: Option<String>,
}

/// A record, its bytes still to be read.
pub struct Record {
    /// What goes with them.
    pub attributes: Attributes,
    /// How many bytes there are, if that is known.
    pub length: Option<u64>,
    /// The bytes, as they are stored.
    pub bytes: Box<dyn Read>,
}

/// Reads to the end, and tells what it was.
pub struct Hashing<R> {
    inner: R,
    hash: Sha256,
    length: u64,
}

impl<R: Read> Hashing<R> {
    /// Reads `inner`.
    pub fn new(inner: R) -> Self {
        Self { inner, hash: Sha256::new(), length: 0 }
    }

    /// How many bytes were read, and their SHA-256 in hexadecimal digits.
    pub fn sum(self) -> (u64, String) {
        (self.length, hexadecimal(&self.hash.finalize()))
    }
}

impl<R: Read> Read for Hashing<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.hash.update(&buffer[..read]);
        self.length += read as u64;
        Ok(read)
    }
}

/// Reads bytes whose length, and mostly whose sum, is known; the end of others is an error, so that they are never taken for whole.
pub struct Checked<R> {
    reader: Option<Hashing<R>>,
    length: u64,
    sha256: Option<String>,
}

impl<R: Read> Checked<R> {
    /// Reads `inner`, which must have that many bytes and that sum.
    pub fn new(inner: R, length: u64, sha256: Option<&str>) -> Self {
        Self { reader: Some(Hashing::new(inner)), length, sha256: sha256.map(str::to_owned) }
    }
}

impl<R: Read> Read for Checked<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let Some(reader) = &mut self.reader else { return Ok(0) };
        let read = reader.read(buffer)?;
        // Whoever knows the length may not ask for more behind it.
        let is_over = (read == 0 && !buffer.is_empty()) || reader.length >= self.length;
        if is_over && let Some(reader) = self.reader.take() {
            let (length, sha256) = reader.sum();
            if length != self.length || self.sha256.as_ref().is_some_and(|expected| *expected != sha256) {
                let what = if self.sha256.is_some() { "those that were exported" } else { "as many as there were" };
                return Err(io::Error::new(io::ErrorKind::InvalidData, format!("the bytes are not {what}")));
            }
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

#[cfg(test)]
mod tests {
    use super::*;

    fn sum(bytes: &[u8]) -> (u64, String) {
        let mut reader = Hashing::new(bytes);
        io::copy(&mut reader, &mut io::sink()).expect("it reads");
        reader.sum()
    }

    #[test]
    fn bytes_that_have_changed_are_never_taken_for_whole() {
        let (length, sha256) = sum(b"flour");
        let read = |bytes: &'static [u8]| {
            let mut text = String::new();
            Checked::new(bytes, length, Some(&sha256)).read_to_string(&mut text).map(|_| text)
        };
        assert_eq!(read(b"flour").expect("whole"), "flour");
        for changed in [&b"flouR"[..], b"flou", b"flour!", b""] {
            assert!(read(changed).is_err(), "{changed:?}");
        }
    }

    #[test]
    fn a_file_that_has_become_shorter_is_an_error_and_not_waited_for() {
        let read = |bytes: &'static [u8]| Checked::new(bytes, 5, None).read_to_end(&mut Vec::new());
        assert_eq!(read(b"dough").expect("whole"), 5);
        assert!(read(b"doug").is_err());
    }
}
