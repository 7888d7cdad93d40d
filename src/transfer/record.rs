//! A record on its way.

use std::io::{self, Read};

use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::kv::RecordKey;

use super::error::Error;

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
    Invalid(UnusableKey),
}

/// Text that stands where a key should and is none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnusableKey {
    /// The text.
    pub text: String,
    /// Reason why it is no key.
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

/// What goes with a record's bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attributes {
    /// Its MIME type, as it was stored.
    pub content_type: String,
    /// The coding its bytes are in, if they are.
    pub content_encoding: Option<String>,
}

impl Attributes {
    /// Returns those of a record of which nothing is known.
    pub fn unknown() -> Self {
        Self { content_type: "application/octet-stream".to_owned(), content_encoding: None }
    }
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

/// Reason why a record of an export is not imported that has other bytes now.
pub const NOT_EXPORTED: &str = "the bytes are not those that were exported";

/// Reads bytes whose length and sum are known; the end of others is an error, so that they are never taken for whole.
pub struct VerifyingReader<R> {
    reader: Option<Hashing<R>>,
    length: u64,
    sha256: String,
}

impl<R: Read> VerifyingReader<R> {
    /// Reads `inner`, which must have that many bytes and that sum.
    pub fn new(inner: R, length: u64, sha256: &str) -> Self {
        Self { reader: Some(Hashing::new(inner)), length, sha256: sha256.to_owned() }
    }
}

impl<R: Read> Read for VerifyingReader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let Some(reader) = &mut self.reader else { return Ok(0) };
        let read = reader.read(buffer)?;
        let is_over = (read == 0 && !buffer.is_empty()) || reader.length >= self.length;
        // A reader that knows the length does not ask for more: what is behind it is looked for here.
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

/// Counts the bytes that are read.
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

/// Reads as many bytes as a request says that it has: fewer would keep the client of the server waiting for the rest without end.
pub struct Delimited {
    inner: Box<dyn Read>,
    left: u64,
}

impl Delimited {
    /// Reads `length` bytes of `inner`.
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
