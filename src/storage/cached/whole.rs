//! What stands in memory.

use std::sync::Arc;

use bytes::Bytes;

use crate::storage::{
    body::ByteStream,
    error::{Error, Result},
    object::{Attributes, GetOptions, Object, ObjectMeta},
};

/// What an object takes in memory beside its bytes and its key, about.
const ENTRY_WEIGHT: usize = 384;

/// An object in memory.
#[derive(Debug)]
pub struct Whole {
    /// What is known of it.
    pub meta: ObjectMeta,
    /// All of it.
    pub bytes: Bytes,
}

/// What is known of the object under a key.
#[derive(Debug, Clone)]
pub enum Kept {
    /// The object.
    Small(Arc<Whole>),
    /// It is too big to be kept, so that nobody should wait for another's read of it.
    Large,
}

impl Kept {
    /// About how many bytes it takes under this key.
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

    /// The part that `options` ask for, without a copy.
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
