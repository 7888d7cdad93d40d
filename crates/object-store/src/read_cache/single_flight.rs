//! Single flight: concurrent reads of an object share one call of the object store, and its result as a cache entry.

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::watch;

use crate::{
    body::ByteStream,
    error::{Error, Result},
    object::{Attributes, GetOptions, Object, ObjectMeta},
};

/// The result of a flight.
#[derive(Debug, Clone)]
pub enum Landing {
    /// The object.
    Object(Arc<Whole>),
    /// No result to share: an error, or an object that is too large. Each reader reads on its own.
    Alone,
}

/// A read in flight, as its followers see it.
#[derive(Debug, Clone)]
pub struct Flight(watch::Receiver<Option<Landing>>);

/// A read in flight, as its reader sees it. Dropped before it landed, it leaves the followers to read on their own.
#[derive(Debug)]
pub struct Pilot(watch::Sender<Option<Landing>>);

impl Flight {
    /// Starts a flight.
    pub fn begin() -> (Pilot, Self) {
        let (sender, receiver) = watch::channel(None);
        (Pilot(sender), Self(receiver))
    }

    /// Waits for the result.
    pub async fn landing(mut self) -> Landing {
        let landed = self.0.wait_for(Option::is_some).await;
        landed.ok().and_then(|landing| landing.clone()).unwrap_or(Landing::Alone)
    }

    /// Returns whether both are the same read.
    pub fn is_same(&self, other: &Self) -> bool {
        self.0.same_channel(&other.0)
    }
}

impl Pilot {
    /// Publishes the result to all followers.
    pub fn land(self, landing: Landing) {
        self.0.send_replace(Some(landing));
    }
}

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
