//! Bodies: streams of bytes that are never in memory as a whole; and validators computed from their bytes.
//!
//! The same bytes with the same attributes have the same `ETag` in each of our own implementations. Validators guard
//! against accidents (a damaged disk, a lost update), not against forgery.

use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::{Bytes, BytesMut};
use futures_util::{Stream, StreamExt, stream::BoxStream};
use parking_lot::Mutex;
use xxhash_rust::xxh3::Xxh3Default;

use super::{
    object::{Attributes, ETag},
    store::BoxError,
};

/// Reason why a body broke off.
#[derive(Debug, thiserror::Error)]
pub enum BodyError {
    /// The sender disconnected.
    #[error("the body was cut off")]
    Aborted,
    /// The sender paused for too long.
    #[error("the body stalled")]
    Stalled,
    /// The sender was too slow while others waited for the memory reserved for it.
    #[error("the body came too slowly while others waited for memory")]
    TooSlow,
    /// No memory became free for it in time.
    #[error("there was no memory left for the body (LARDER_REQUEST_MEMORY)")]
    NoMemory,
    /// The body is longer than allowed.
    #[error("the body is longer than {limit} bytes")]
    TooLarge {
        /// Maximum number of bytes.
        limit: u64,
    },
    /// The bytes do not match their declared form.
    #[error("the body is malformed: {0}")]
    Malformed(String),
    /// The stored bytes could not be read to their end.
    #[error("the object could not be read to its end")]
    Storage(#[source] BoxError),
}

/// A body: a stream of chunks whose length may be known beforehand.
///
/// Small bodies are one chunk and cost no allocation of their own.
pub struct ByteStream {
    length: Option<u64>,
    chunks: Chunks,
    /// A value kept until the body is dropped.
    held: Option<Box<dyn fmt::Debug + Send + Sync>>,
}

enum Chunks {
    Once(Option<Bytes>),
    /// Never locked, only owned: the mutex makes bodies `Sync`, so that references to one may cross threads.
    Stream(Mutex<BoxStream<'static, Result<Bytes, BodyError>>>),
}

impl ByteStream {
    /// Returns a body with the bytes of `stream`, in all `length` of them if that is known.
    pub fn new(length: Option<u64>, stream: impl Stream<Item = Result<Bytes, BodyError>> + Send + 'static) -> Self {
        Self { length, chunks: Chunks::Stream(Mutex::new(stream.boxed())), held: None }
    }

    /// Attaches a value that lives until the body is dropped, such as the lease of its memory.
    #[must_use]
    pub fn holding(self, held: impl fmt::Debug + Send + Sync + 'static) -> Self {
        Self { held: Some(Box::new(held)), ..self }
    }

    /// Returns an empty body.
    pub fn empty() -> Self {
        Self::from(Bytes::new())
    }

    /// Returns the whole length in bytes, as announced before the first byte was read; `None` if unknown.
    pub fn length(&self) -> Option<u64> {
        self.length
    }

    /// Returns the next chunk, never an empty one; `None` at the end.
    pub async fn next(&mut self) -> Option<Result<Bytes, BodyError>> {
        StreamExt::next(self).await
    }

    /// Returns all bytes if they are in memory already; else the unchanged body.
    pub fn into_whole(self) -> Result<Bytes, Self> {
        match self.chunks {
            Chunks::Once(bytes) => Ok(bytes.unwrap_or_default()),
            Chunks::Stream(_) => Err(self),
        }
    }

    /// Reads all bytes of a body that is known to be small, at most `limit` bytes.
    pub async fn into_bytes(mut self, limit: u64) -> Result<Bytes, BodyError> {
        if self.length.is_some_and(|length| length > limit) {
            return Err(BodyError::TooLarge { limit });
        }
        let Some(first) = self.next().await.transpose()? else {
            return Ok(Bytes::new());
        };
        let Some(second) = self.next().await.transpose()? else {
            return within(first.len(), limit).map(|()| first);
        };
        let mut all = BytesMut::from(&first[..]);
        all.extend_from_slice(&second);
        while let Some(chunk) = self.next().await.transpose()? {
            within(all.len() + chunk.len(), limit)?;
            all.extend_from_slice(&chunk);
        }
        within(all.len(), limit).map(|()| all.freeze())
    }
}

fn within(length: usize, limit: u64) -> Result<(), BodyError> {
    if length as u64 > limit { Err(BodyError::TooLarge { limit }) } else { Ok(()) }
}

impl From<Bytes> for ByteStream {
    fn from(bytes: Bytes) -> Self {
        Self {
            length: Some(bytes.len() as u64),
            chunks: Chunks::Once((!bytes.is_empty()).then_some(bytes)),
            held: None,
        }
    }
}

impl Stream for ByteStream {
    type Item = Result<Bytes, BodyError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        match &mut self.chunks {
            Chunks::Once(bytes) => Poll::Ready(bytes.take().map(Ok)),
            Chunks::Stream(stream) => loop {
                let stream = stream.get_mut();
                match std::task::ready!(stream.poll_next_unpin(context)) {
                    Some(Ok(chunk)) if chunk.is_empty() => {}
                    item => return Poll::Ready(item),
                }
            },
        }
    }
}

impl fmt::Debug for ByteStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ByteStream").field("length", &self.length).field("held", &self.held).finish_non_exhaustive()
    }
}

/// Received bytes of a body against its announced length.
#[derive(Debug)]
pub struct ContentLengthCheck {
    announced: Option<u64>,
    received: u64,
}

impl ContentLengthCheck {
    /// Starts at zero bytes of a body with this announced length, if any.
    pub fn new(announced: Option<u64>) -> Self {
        Self { announced, received: 0 }
    }

    /// Counts the next `length` bytes; rejects bytes behind the announced end.
    pub fn add(&mut self, length: usize) -> Result<(), BodyError> {
        self.received += length as u64;
        match self.announced {
            Some(announced) if self.received > announced => {
                Err(BodyError::Malformed(format!("it is longer than the {announced} bytes it announced")))
            }
            Some(_) | None => Ok(()),
        }
    }

    /// Returns the number of bytes still to come, if a length was announced.
    #[cfg(feature = "s3")]
    pub fn remaining(&self) -> Option<u64> {
        self.announced.map(|announced| announced.saturating_sub(self.received))
    }

    /// Returns whether all announced bytes have come; more would be too many.
    #[cfg(feature = "s3")]
    pub fn is_complete(&self) -> bool {
        self.remaining() == Some(0)
    }

    /// Checks that the body ends at its announced length.
    pub fn finish(&self) -> Result<(), BodyError> {
        match self.announced {
            Some(announced) if self.received < announced => Err(BodyError::Aborted),
            Some(_) | None => Ok(()),
        }
    }
}

/// A streaming hash over an object's bytes and, at the end, its attributes.
pub struct ContentHasher {
    hash: Box<Xxh3Default>,
    size: u64,
}

impl ContentHasher {
    /// Returns the hash of no bytes.
    pub fn new() -> Self {
        Self { hash: Box::default(), size: 0 }
    }

    /// Hashes the next bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        self.hash.update(bytes);
        self.size += bytes.len() as u64;
    }

    /// Returns the number of bytes hashed so far.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Returns the hash of all bytes with `attributes`. The lengths come last, so that bytes of one part never count as
    /// those of another.
    pub fn finish(mut self, attributes: &Attributes) -> u128 {
        let Attributes { content_type, content_encoding } = attributes;
        let coding = content_encoding.as_deref();
        self.hash.update(content_type.as_bytes());
        self.hash.update(coding.unwrap_or_default().as_bytes());
        self.hash.update(&self.size.to_le_bytes());
        self.hash.update(&(content_type.len() as u64).to_le_bytes());
        self.hash.update(&coding.map_or(u64::MAX, |coding| coding.len() as u64).to_le_bytes());
        self.hash.digest128()
    }
}

impl Default for ContentHasher {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for ContentHasher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ContentHasher").field("size", &self.size).finish_non_exhaustive()
    }
}

/// Returns the hash of `bytes` with `attributes`.
pub fn content_hash(bytes: &[u8], attributes: &Attributes) -> u128 {
    let mut hash = ContentHasher::new();
    hash.update(bytes);
    hash.finish(attributes)
}

/// Returns the validator for `hash`.
pub fn etag(hash: u128) -> ETag {
    ETag::new(&format!("{hash:032x}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attributes(content_type: &str, coding: Option<&str>) -> Attributes {
        Attributes { content_type: content_type.to_owned(), content_encoding: coding.map(str::to_owned) }
    }

    #[test]
    fn bytes_and_attributes_all_count_and_none_passes_for_another() {
        let hashes = [
            content_hash(b"", &attributes("", None)),
            content_hash(b"", &attributes("", Some(""))),
            content_hash(b"a", &attributes("", None)),
            content_hash(b"", &attributes("a", None)),
            content_hash(b"", &attributes("", Some("a"))),
            content_hash(b"ab", &attributes("", None)),
            content_hash(b"a", &attributes("b", None)),
            content_hash(b"a", &attributes("", Some("b"))),
            content_hash(b"", &attributes("a", Some("b"))),
        ];
        for (at, hash) in hashes.iter().enumerate() {
            assert!(!hashes[at + 1..].contains(hash), "hash {at} comes twice");
        }
    }

    #[test]
    fn the_hash_does_not_depend_on_how_the_bytes_were_cut() {
        let bytes: Vec<u8> = (0..=255).cycle().take(10_000).collect();
        let mut hash = ContentHasher::new();
        bytes.chunks(77).for_each(|chunk| hash.update(chunk));
        assert_eq!(hash.finish(&Attributes::default()), content_hash(&bytes, &Attributes::default()));
    }
}
