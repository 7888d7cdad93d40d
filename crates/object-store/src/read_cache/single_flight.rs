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
pub enum FlightResult {
    /// The object.
    Object(Arc<CachedObject>),
    /// No result to share: an error, or an object that is too large. Each reader reads on its own.
    NotShared,
}

/// A read in flight, as its followers see it.
#[derive(Debug, Clone)]
pub struct InFlight(watch::Receiver<Option<FlightResult>>);

/// A read in flight, as its reader sees it. Dropped before it landed, it leaves the followers to read on their own.
#[derive(Debug)]
pub struct Fetcher(watch::Sender<Option<FlightResult>>);

impl InFlight {
    /// Starts a flight.
    pub fn start() -> (Fetcher, Self) {
        let (sender, receiver) = watch::channel(None);
        (Fetcher(sender), Self(receiver))
    }

    /// Waits for the result.
    pub async fn result(mut self) -> FlightResult {
        let landed = self.0.wait_for(Option::is_some).await;
        landed.ok().and_then(|result| result.clone()).unwrap_or(FlightResult::NotShared)
    }

    /// Returns whether both are the same read.
    pub fn is_same(&self, other: &Self) -> bool {
        self.0.same_channel(&other.0)
    }
}

impl Fetcher {
    /// Publishes the result to all followers.
    pub fn complete(self, result: FlightResult) {
        self.0.send_replace(Some(result));
    }
}

/// Approximate memory of an object beside its bytes and its key.
const ENTRY_OVERHEAD_BYTES: usize = 384;

/// A cached object.
#[derive(Debug)]
pub struct CachedObject {
    /// Metadata of the object.
    pub meta: ObjectMeta,
    /// All its bytes.
    pub bytes: Bytes,
}

/// The cache entry of a key.
#[derive(Debug, Clone)]
pub enum Slot {
    /// The object.
    Small(Arc<CachedObject>),
    /// The object is too large to be cached, so no reader should wait for another's read of it.
    Large,
}

impl Slot {
    /// Returns the approximate memory in bytes under this key.
    pub fn weight(&self, key: &str) -> u32 {
        u32::try_from(ENTRY_OVERHEAD_BYTES + key.len() + self.object().map_or(0, CachedObject::weight))
            .unwrap_or(u32::MAX)
    }

    fn object(&self) -> Option<&CachedObject> {
        match self {
            Self::Small(object) => Some(object),
            Self::Large => None,
        }
    }
}

impl CachedObject {
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
