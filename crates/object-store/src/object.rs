//! The types of an object store: objects, and the options and results of operations on them.

use std::{fmt, ops::Range, sync::Arc};

use larder_runtime::clock::Timestamp;

use super::body::ByteStream;

/// A validator of an object's bytes: opaque, without quotes, different after every change of the bytes.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ETag(Arc<str>);

impl ETag {
    /// Returns the validator `text`, without quotes.
    pub fn new(text: &str) -> Self {
        Self(Arc::from(text))
    }

    /// Returns the validator's text, without quotes.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ETag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Metadata beside an object's bytes: stored verbatim, never interpreted.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Attributes {
    /// The media type with its parameters. Always sent: vendors use different defaults.
    pub content_type: String,
    /// The content coding of the bytes, if any.
    pub content_encoding: Option<String>,
}

/// Metadata of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectMeta {
    /// Length in bytes.
    pub size: u64,
    /// Validator of the bytes.
    pub etag: ETag,
    /// Time of the write, by the object store's clock.
    pub last_modified: Timestamp,
    /// Attributes stored beside the bytes.
    pub attributes: Attributes,
}

/// An object whose body is still to be read.
#[derive(Debug)]
pub struct Object {
    /// Metadata of the object; `meta.size` is that of the whole object, whatever part is read.
    pub meta: ObjectMeta,
    /// The part that `body` holds.
    pub range: Range<u64>,
    /// The bytes of that part.
    pub body: ByteStream,
}

/// A range of an object, as requested before the size is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ByteRange {
    /// From the first to the last offset, both included; the last may exceed the end.
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
    /// Returns the offsets of the range in an object of `size` bytes; `None` if it contains no byte.
    pub fn resolve(self, size: u64) -> Option<Range<u64>> {
        let range = match self {
            Self::Bounded { first, last } => first..last.saturating_add(1).min(size),
            Self::From(first) => first..size,
            Self::Suffix(length) => size.saturating_sub(length)..size,
        };
        (range.start < range.end).then_some(range)
    }
}

/// The condition for a write; if it fails: [`Error::Precondition`](super::Error::Precondition).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Precondition {
    /// No condition.
    #[default]
    None,
    /// No object exists under the key.
    IfAbsent,
    /// The object under the key has this validator.
    IfMatch(ETag),
}

/// Options of a put.
#[derive(Debug, Clone, Default)]
pub struct PutOptions {
    /// Attributes stored beside the bytes.
    pub attributes: Attributes,
    /// The condition at the time when the write takes effect (not when it begins).
    pub precondition: Precondition,
}

/// Options of a get.
#[derive(Debug, Clone, Copy, Default)]
pub struct GetOptions {
    /// The requested range; the whole object if `None`.
    pub range: Option<ByteRange>,
}

/// The result of a write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PutOutcome {
    /// Validator of the bytes now stored.
    pub etag: ETag,
    /// Time of the write, by the object store's clock.
    pub last_modified: Timestamp,
}

/// Options of a list.
#[derive(Debug, Clone, Default)]
pub struct ListOptions {
    /// Prefix of the keys; ends in `/` or within the last segment.
    pub prefix: String,
    /// Lower bound of the keys, exclusive. The key need not exist but must begin with `prefix`: otherwise vendors
    /// return an empty page.
    pub start_after: Option<String>,
    /// Maximum number of keys, from 1 to [`MAX_LIST_KEYS`](super::MAX_LIST_KEYS).
    pub limit: usize,
}

/// A key in a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedObject {
    /// The full key.
    pub key: String,
    /// Length in bytes.
    pub size: u64,
    /// Validator, if the object store lists it.
    pub etag: Option<ETag>,
    /// Time of the write, by the object store's clock.
    pub last_modified: Timestamp,
}

/// A page of a list.
#[derive(Debug, Clone, Default)]
pub struct ListPage {
    /// The keys, in byte order.
    pub objects: Vec<ListedObject>,
    /// True if more keys follow.
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
