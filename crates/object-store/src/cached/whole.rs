//! Cache entries.

use std::sync::Arc;

use bytes::Bytes;

use crate::{
    body::ByteStream,
    error::{Error, Result},
    object::{Attributes, GetOptions, Object, ObjectMeta},
};

/// Approximate memory of an object beside its bytes and its key.
const ENTRY_WEIGHT: usize = 384;

/// A cached object.
#[derive(Debug)]
pub struct Whole {
    /// Metadata of the object.
    pub meta: ObjectMeta,
    /// All its bytes.
    pub bytes: Bytes,
}

/// The cache entry of a key.
#[derive(Debug, Clone)]
pub enum Kept {
    /// The object.
    Small(Arc<Whole>),
    /// The object is too large to be cached, so no reader should wait for another's read of it.
    Large,
}

impl Kept {
    /// Returns the approximate memory in bytes under this key.
    pub fn weight(&self, key: &str) -> u32 {
        u32::try_from(ENTRY_WEIGHT + key.len() + self.whole().map_or(0, Whole::weight)).unwrap_or(u32::MAX)
    }

    fn whole(&self) -> Option<&Whole> {
        match self {
            Self::Small(whole) => Some(whole),
            Self::Large => None,
        }
    }
}

impl Whole {
    fn weight(&self) -> usize {
        let Attributes { content_type, content_encoding } = &self.meta.attributes;
        self.bytes.len() + content_type.len() + content_encoding.as_ref().map_or(0, String::len)
    }

    /// Returns the part that `options` ask for, without a copy.
    pub fn part(&self, options: GetOptions) -> Result<Object> {
        let size = self.meta.size;
        let range = match options.range {
            None => 0..size,
            Some(range) => range.resolve(size).ok_or(Error::RangeNotSatisfiable { size })?,
        };
        let offset = |at: u64| usize::try_from(at).unwrap_or(usize::MAX);
        let body = ByteStream::from(self.bytes.slice(offset(range.start)..offset(range.end)));
        Ok(Object { meta: self.meta.clone(), range, body })
    }
}
