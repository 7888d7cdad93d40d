//! The words of an object store: what an object is, and what can be asked of one.

use std::{fmt, ops::Range, sync::Arc};

use crate::clock::Timestamp;

use super::body::ByteStream;

/// A validator of an object's bytes: opaque, without quotes, changed whenever the bytes change.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ETag(Arc<str>);

impl ETag {
    /// The validator `text`, without quotes.
    pub fn new(text: &str) -> Self {
        Self(Arc::from(text))
    }

    /// The validator's text, without quotes.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ETag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What rides beside an object's bytes: stored verbatim, never interpreted.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Attributes {
    /// The media type with its parameters. Always sent: vendors differ in what they make up for an absent one.
    pub content_type: String,
    /// The coding the bytes are in, if any.
    pub content_encoding: Option<String>,
}

/// Everything known of an object but its bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectMeta {
    /// Length in bytes.
    pub size: u64,
    /// Validator of the bytes.
    pub etag: ETag,
    /// When it was written, by the object store's clock.
    pub last_modified: Timestamp,
    /// What was stored beside the bytes.
    pub attributes: Attributes,
}

/// An object that is about to be read.
#[derive(Debug)]
pub struct Object {
    /// What is known of it; `meta.size` is the whole object's, whatever part is read.
    pub meta: ObjectMeta,
    /// The part that `body` holds.
    pub range: Range<u64>,
    /// The bytes of that part.
    pub body: ByteStream,
}

/// A part of an object, as a client may ask for it before the size is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ByteRange {
    /// From the first to the last offset, both included; the last may lie behind the end.
    Bounded {
        /// Offset of the first byte.
        first: u64,
        /// Offset of the last byte.
        last: u64,
    },
    /// From an offset to the end.
    From(u64),
    /// The last so many bytes.
    Suffix(u64),
}

impl ByteRange {
    /// The offsets this means in an object of `size` bytes; `None` when it holds no byte of it.
    pub fn resolve(self, size: u64) -> Option<Range<u64>> {
        let range = match self {
            Self::Bounded { first, last } => first..last.saturating_add(1).min(size),
            Self::From(first) => first..size,
            Self::Suffix(length) => size.saturating_sub(length)..size,
        };
        (range.start < range.end).then_some(range)
    }
}

/// What must hold for a write to happen; else [`Error::Precondition`](super::Error::Precondition).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Precondition {
    /// Nothing.
    #[default]
    None,
    /// There is no object under the key.
    IfAbsent,
    /// The object under the key has this validator.
    IfMatch(ETag),
}

/// Options of a put.
#[derive(Debug, Clone, Default)]
pub struct PutOptions {
    /// Stored beside the bytes.
    pub attributes: Attributes,
    /// What must hold when the write takes effect (not when it begins).
    pub precondition: Precondition,
}

/// Options of a get.
#[derive(Debug, Clone, Copy, Default)]
pub struct GetOptions {
    /// The part that is wanted; the whole object when `None`.
    pub range: Option<ByteRange>,
}

/// What a write left behind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PutOutcome {
    /// Validator of the bytes now stored.
    pub etag: ETag,
    /// When they were written, by the object store's clock.
    pub last_modified: Timestamp,
}

/// Options of a list.
#[derive(Debug, Clone, Default)]
pub struct ListOptions {
    /// Only keys that begin with this; ends in `/` or within the last segment.
    pub prefix: String,
    /// Only keys behind this one, which need not exist but must itself begin with `prefix`: vendors answer an empty
    /// page otherwise.
    pub start_after: Option<String>,
    /// The most keys wanted, from 1 to [`MAX_LIST_KEYS`](super::MAX_LIST_KEYS).
    pub limit: usize,
}

/// A key in a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedObject {
    /// The whole key.
    pub key: String,
    /// Length in bytes.
    pub size: u64,
    /// Validator, where the object store lists it.
    pub etag: Option<ETag>,
    /// When it was written, by the object store's clock.
    pub last_modified: Timestamp,
}

/// A page of a list.
#[derive(Debug, Clone, Default)]
pub struct ListPage {
    /// The keys, in byte order.
    pub objects: Vec<ListedObject>,
    /// Whether more keys follow.
    pub is_truncated: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_cut_to_the_object_and_empty_ones_are_none() {
        assert_eq!(ByteRange::Bounded { first: 2, last: 9 }.resolve(5), Some(2..5));
        assert_eq!(ByteRange::From(4).resolve(5), Some(4..5));
        assert_eq!(ByteRange::Suffix(9).resolve(5), Some(0..5));
        assert_eq!(ByteRange::From(5).resolve(5), None);
        assert_eq!(ByteRange::Suffix(0).resolve(5), None);
        assert_eq!(ByteRange::Suffix(1).resolve(0), None);
    }
}
