//! Records in transfer.

use std::io::{self, Read};

use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::kv::RecordKey;

use super::error::Error;

/// Name and settings of a store, which are transferred with its records.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StoreSheet {
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
pub enum WrittenKey {
    /// A valid key.
    Valid(RecordKey),
    /// An invalid key.
    Invalid(UnusableKey),
}

/// Text that is no valid key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnusableKey {
    /// The text.
    pub text: String,
    /// Reason why it is invalid.
    pub reason: String,
}

impl From<String> for WrittenKey {
    fn from(text: String) -> Self {
        match text.parse() {
            Ok(key) => Self::Valid(key),
            Err(invalid) => Self::Invalid(UnusableKey { text, reason: invalid.to_string() }),
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
pub struct Hashing<R> {
    inner: R,
    hash: Sha256,
    length: u64,
}

impl<R: Read> Hashing<R> {
    /// Wraps `inner`.
    pub fn new(inner: R) -> Self {
        Self { inner, hash: Sha256::new(), length: 0 }
    }

    /// Returns the number of bytes read, and their SHA-256 in hexadecimal digits.
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

/// Reason for not importing a record whose bytes differ from the exported ones.
pub const NOT_EXPORTED: &str = "the bytes are not those that were exported";

/// Reader that verifies length and hash; at a mismatch its end is an error, so that the bytes are never accepted as
/// complete.
pub struct VerifyingReader<R> {
    reader: Option<Hashing<R>>,
    length: u64,
    sha256: String,
}

impl<R: Read> VerifyingReader<R> {
    /// Wraps `inner`, which must have that length and that hash.
    pub fn new(inner: R, length: u64, sha256: &str) -> Self {
        Self { reader: Some(Hashing::new(inner)), length, sha256: sha256.to_owned() }
    }
}

impl<R: Read> Read for VerifyingReader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let Some(reader) = &mut self.reader else { return Ok(0) };
        let read = reader.read(buffer)?;
        let is_over = (read == 0 && !buffer.is_empty()) || reader.length >= self.length;
        // A caller that knows the length does not read further: the check for trailing bytes happens here.
        if is_over && let Some(mut reader) = self.reader.take() {
            let behind = reader.inner.read(&mut [0])?;
            let (length, sha256) = reader.sum();
            if behind > 0 || length != self.length || self.sha256 != sha256 {
                return Err(Error::Unusable(NOT_EXPORTED.to_owned()).into_io());
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
pub struct Delimited {
    inner: Box<dyn Read>,
    left: u64,
}

impl Delimited {
    /// Reads `length` bytes from `inner`.
    pub fn new(inner: Box<dyn Read>, length: u64) -> Self {
        Self { inner, left: length }
    }
}

impl Read for Delimited {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let wanted = usize::try_from(self.left).unwrap_or(usize::MAX).min(buffer.len());
        if wanted == 0 {
            return Ok(0);
        }
        let read = self.inner.read(&mut buffer[..wanted])?;
        self.left -= read as u64;
        if read == 0 {
            return Err(Error::NoAnswer(format!("{} bytes are missing at the end of the record", self.left)).into_io());
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
            VerifyingReader::new(bytes, length, &sha256).read_to_string(&mut text).map(|_| text)
        };
        assert_eq!(read(b"flour").expect("whole"), "flour");
        for changed in [&b"flouR"[..], b"flou", b"flour!", b""] {
            assert!(read(changed).is_err(), "{changed:?}");
            let sent = Delimited::new(Box::new(VerifyingReader::new(changed, length, &sha256)), length);
            assert!(io::copy(&mut { sent }, &mut io::sink()).is_err(), "{changed:?}");
        }
    }

    #[test]
    fn bytes_that_end_too_early_are_an_error_and_those_behind_the_length_are_not_read() {
        let read = |bytes: &'static [u8]| {
            let mut read = Vec::new();
            Delimited::new(Box::new(bytes), 5).read_to_end(&mut read).map(|_| read)
        };
        assert_eq!(read(b"dough").expect("whole"), b"dough");
        assert_eq!(read(b"doughnut").expect("whole"), b"dough");
        assert!(read(b"doug").is_err());
    }
}
