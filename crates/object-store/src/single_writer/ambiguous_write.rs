//! Resolves writes whose response was lost.
//!
//! First it reads the object: a write that was sent once and is there has arrived, and cannot arrive again. Otherwise
//! it sends the same write again until it gets a response. The response tells the state of the object, but one of the
//! two requests may still be in flight: only a read resolves the write without doubt.

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;

use larder_runtime::clock::Clock;

use crate::{
    body::ByteStream,
    error::{Error, Result, leaves_open},
    object::{Attributes, ETag, GetOptions, Precondition, PutOptions, PutOutcome},
    store::ObjectStore,
};

/// Maximum bytes of a body kept for retries: documents, claims, small records.
pub const MAX_REPEATED_BYTES: u64 = 1024 * 1024;

/// Timeout for resolving a write.
pub const PATIENCE: Duration = Duration::from_secs(15);

/// Delay before the second attempt; it doubles for each further one, up to the maximum.
const FIRST_PAUSE: Duration = Duration::from_millis(100);

/// Maximum delay between two attempts.
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// An idempotent write.
#[async_trait]
pub trait Attempt: Sync {
    /// Result of the write.
    type Outcome: Send;

    /// Sends the write.
    async fn write(&self) -> Result<Self::Outcome>;

    /// Reads whether the only write that was sent has arrived: returns its result, or `None` if it has not arrived or
    /// that cannot be told.
    async fn landed(&self) -> Result<Option<Self::Outcome>>;
}

/// The resolution of a write.
#[derive(Debug)]
pub struct Settled<T> {
    /// Its result; [`Error::Timeout`] or [`Error::Unavailable`] if there is none.
    pub answer: Result<T>,
    /// True if a request of it may still take effect.
    pub is_in_doubt: bool,
}

/// Sends a write, and repeats it while its response is lost.
pub async fn settle<A: Attempt>(clock: &dyn Clock, attempt: &A) -> Settled<A::Outcome> {
    let answer = attempt.write().await;
    if !leaves_open(&answer) {
        return Settled { answer, is_in_doubt: false };
    }
    let settled = async {
        match look(clock, attempt).await {
            Some(landed) => Settled { answer: Ok(landed), is_in_doubt: false },
            None => Settled { answer: repeat(clock, attempt).await, is_in_doubt: true },
        }
    };
    tokio::select! {
        settled = settled => settled,
        () = clock.sleep(PATIENCE) => Settled { answer, is_in_doubt: true },
    }
}

/// Reads whether the write has arrived, as soon as that can be told.
async fn look<A: Attempt>(clock: &dyn Clock, attempt: &A) -> Option<A::Outcome> {
    let mut pauses = Pauses::default();
    loop {
        match attempt.landed().await {
            Ok(landed) => return landed,
            Err(_) => clock.sleep(pauses.next()).await,
        }
    }
}

/// Repeats the write until it gets a response. A refusal is about this attempt alone: the one before may still take
/// effect.
async fn repeat<A: Attempt>(clock: &dyn Clock, attempt: &A) -> Result<A::Outcome> {
    let mut pauses = Pauses::default();
    loop {
        clock.sleep(pauses.next()).await;
        match attempt.write().await {
            Err(Error::Timeout | Error::Unavailable(_) | Error::Throttled { .. }) => {}
            Err(refusal) => return Err(Error::Unavailable(refusal.into())),
            Ok(outcome) => return Ok(outcome),
        }
    }
}

/// Delays between attempts; [`PATIENCE`] limits their number.
struct Pauses(Duration);

impl Default for Pauses {
    fn default() -> Self {
        Self(FIRST_PAUSE)
    }
}

impl Pauses {
    fn next(&mut self) -> Duration {
        let pause = self.0;
        self.0 = (2 * pause).min(LONGEST_PAUSE);
        pause
    }
}

/// A put of bytes that are in memory.
pub struct PutAttempt<'a, S: ?Sized> {
    pub inner: &'a S,
    pub key: &'a str,
    pub bytes: Bytes,
    pub attributes: Attributes,
    /// The object's validator before the write, if there was one.
    pub seen: Option<ETag>,
}

#[async_trait]
impl<S: ObjectStore + ?Sized> Attempt for PutAttempt<'_, S> {
    type Outcome = PutOutcome;

    async fn write(&self) -> Result<PutOutcome> {
        let options = PutOptions { attributes: self.attributes.clone(), precondition: Precondition::None };
        self.inner.put(self.key, ByteStream::from(self.bytes.clone()), options).await
    }

    async fn landed(&self) -> Result<Option<PutOutcome>> {
        let object = match self.inner.get(self.key, GetOptions::default()).await {
            Err(Error::NotFound) => return Ok(None),
            found => found?,
        };
        let meta = object.meta;
        // Equal bytes from before the write prove nothing.
        if self.seen.as_ref() == Some(&meta.etag) || meta.size != self.bytes.len() as u64 {
            return Ok(None);
        }
        let found = object.body.into_bytes(meta.size).await.map_err(Error::Body)?;
        let is_ours = found == self.bytes && meta.attributes == self.attributes;
        Ok(is_ours.then_some(PutOutcome { etag: meta.etag, last_modified: meta.last_modified }))
    }
}

/// A delete.
pub struct DeleteAttempt<'a, S: ?Sized> {
    pub inner: &'a S,
    pub key: &'a str,
}

#[async_trait]
impl<S: ObjectStore + ?Sized> Attempt for DeleteAttempt<'_, S> {
    type Outcome = ();

    async fn write(&self) -> Result<()> {
        self.inner.delete(self.key, Precondition::None).await
    }

    async fn landed(&self) -> Result<Option<()>> {
        match self.inner.head(self.key).await {
            Err(Error::NotFound) => Ok(Some(())),
            found => found.map(|_| None),
        }
    }
}

/// A copy.
pub struct CopyAttempt<'a, S: ?Sized> {
    pub inner: &'a S,
    pub from: &'a str,
    pub to: &'a str,
}

#[async_trait]
impl<S: ObjectStore + ?Sized> Attempt for CopyAttempt<'_, S> {
    type Outcome = PutOutcome;

    async fn write(&self) -> Result<PutOutcome> {
        self.inner.copy(self.from, self.to, Precondition::None).await
    }

    /// A copy may have another validator than its source, so a read would prove nothing.
    async fn landed(&self) -> Result<Option<PutOutcome>> {
        Ok(None)
    }
}
