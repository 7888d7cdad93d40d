//! The decorator that emulates conditional writes: key locks, conditions and keys in doubt together.

use std::{
    mem,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use larder_runtime::clock::Clock;

use crate::{
    body::{BodyError, ByteStream},
    error::{Error, Result, leaves_open},
    lifecycle::Lifecycle,
    object::{
        Attributes, ETag, GetOptions, ListOptions, ListPage, Object, ObjectMeta, Precondition, PutOptions, PutOutcome,
    },
    store::{MAX_DELETE_KEYS, ObjectStore},
};

use super::{
    ambiguous_write::{Attempt, CopyAttempt, DeleteAttempt, MAX_REPEATED_BYTES, PutAttempt, Settled, settle},
    commit_barrier::gated,
    in_doubt::{Bar, Doubts},
    key_locks::{Turn, Turns},
};

/// An object store that emulates conditions over one without them, for a single writer of the keys that are written
/// under conditions.
///
/// * Every write locks its key; a conditional one reads the object first. So the condition holds when the write takes
///   effect, among all writers through the same `SoleWriter`. A stream holds the lock only from its last byte on.
/// * A conditional write of at most [`MAX_REPEATED_BYTES`](super::ambiguous_write::MAX_REPEATED_BYTES) whose response is lost is
///   resolved by reading and by sending it again, for at most [`PATIENCE`](super::ambiguous_write::PATIENCE).
/// * A write that may still arrive after that blocks its key for [`DOUBT`](super::in_doubt::DOUBT): for all writes after
///   a conditional one, for conditional writes after any other. Blocked writes fail with [`Error::Throttled`] and the
///   time to wait.
#[derive(Debug)]
pub struct SoleWriter<S: ?Sized = dyn ObjectStore> {
    writes: Arc<Writes<S>>,
}

impl<S: ObjectStore + ?Sized> SoleWriter<S> {
    /// Emulates conditions over `inner`, which never receives one.
    pub fn new(inner: Arc<S>, clock: Arc<dyn Clock>) -> Self {
        Self { writes: Arc::new(Writes::new(inner, clock)) }
    }
}

#[async_trait]
impl<S: ObjectStore + ?Sized> ObjectStore for SoleWriter<S> {
    async fn put(&self, key: &str, body: ByteStream, options: PutOptions) -> Result<PutOutcome> {
        let PutOptions { attributes, precondition } = options;
        match self.writes.receive(body, precondition != Precondition::None).await? {
            Sent::Whole(bytes, _room) => self.writes.put_whole(key, bytes, attributes, &precondition).await,
            Sent::Stream(body) => self.writes.put_stream(key, body, attributes, precondition).await,
        }
    }

    async fn get(&self, key: &str, options: GetOptions) -> Result<Object> {
        self.writes.inner.get(key, options).await
    }

    async fn head(&self, key: &str) -> Result<ObjectMeta> {
        self.writes.inner.head(key).await
    }

    async fn delete(&self, key: &str, precondition: Precondition) -> Result<()> {
        let writes = &self.writes;
        let begun = writes.begin(key, &precondition).await?;
        let delete = DeleteAttempt { inner: writes.inner.as_ref(), key };
        writes.make(begun, &delete, precondition != Precondition::None).await
    }

    async fn delete_many(&self, keys: Vec<String>) -> Result<()> {
        if keys.len() > MAX_DELETE_KEYS {
            return Err(Error::Unsupported("deleting more than 1,000 objects at once"));
        }
        self.writes.delete_many(keys).await
    }

    async fn list(&self, options: ListOptions) -> Result<ListPage> {
        self.writes.inner.list(options).await
    }

    async fn copy(&self, from: &str, to: &str, precondition: Precondition) -> Result<PutOutcome> {
        let writes = &self.writes;
        let begun = writes.begin(to, &precondition).await?;
        let copy = CopyAttempt { inner: writes.inner.as_ref(), from, to };
        writes.make(begun, &copy, precondition != Precondition::None).await
    }

    async fn check(&self) -> Result<()> {
        self.writes.inner.check().await
    }

    fn lifecycle(&self) -> Option<&dyn Lifecycle> {
        self.writes.inner.lifecycle()
    }
}

/// Memory for bodies of streams that are buffered for retries. Once it is used up, streams are sent once; no write
/// waits for a slow sender.
const MAX_GATHERED_BYTES: usize = 32 * 1024 * 1024;

/// Timeout for a stream that waits for its turn, all but its last byte sent: longer than resolving a write takes, and
/// shorter than object stores wait for the rest of a body. Others may need what it holds meanwhile.
const TURN_PATIENCE: Duration = Duration::from_secs(20);

/// State behind a `SoleWriter`; shared with the bodies under way.
#[derive(Debug)]
pub struct Writes<S: ?Sized> {
    clock: Arc<dyn Clock>,
    turns: Arc<Turns>,
    doubts: Arc<Doubts>,
    room: Arc<Semaphore>,
    /// The underlying object store.
    pub inner: Arc<S>,
}

/// A body as it will be sent.
pub enum Sent {
    /// Complete, with the memory that it holds during the write.
    Whole(Bytes, Option<OwnedSemaphorePermit>),
    /// A stream.
    Stream(ByteStream),
}

/// A write that holds its lock and whose condition holds.
#[derive(Debug)]
pub struct Begun {
    /// The validator that was read, if there was a condition and an object.
    seen: Option<ETag>,
    underway: Underway,
}

impl Begun {
    /// Ends a write that was sent once.
    fn end<T>(self, answer: Result<T>) -> Result<T> {
        let is_in_doubt = leaves_open(&answer);
        self.underway.end(Settled { answer, is_in_doubt })
    }

    /// Ends a write that was resolved.
    fn end_settled<T>(self, settled: Settled<T>) -> Result<T> {
        self.underway.end(settled)
    }
}

/// A write that may be in flight. Unless it came to an end, dropping it marks its keys as in doubt.
#[derive(Debug)]
struct Underway {
    doubts: Arc<Doubts>,
    bar: Option<Bar>,
    turns: Vec<Turn>,
}

impl Underway {
    fn end<T>(mut self, Settled { answer, is_in_doubt }: Settled<T>) -> Result<T> {
        if !is_in_doubt {
            self.bar = None;
        }
        answer
    }
}

impl Drop for Underway {
    fn drop(&mut self) {
        if let Some(bar) = self.bar {
            for turn in &self.turns {
                self.doubts.raise(turn.key(), bar);
            }
        }
        // The locks come last: the next holder sees that the key is in doubt.
        self.turns.clear();
    }
}

impl<S: ObjectStore + ?Sized> Writes<S> {
    /// Starts without writes.
    pub fn new(inner: Arc<S>, clock: Arc<dyn Clock>) -> Self {
        let doubts = Arc::new(Doubts::new(Arc::clone(&clock)));
        let room = Arc::new(Semaphore::new(MAX_GATHERED_BYTES));
        Self { clock, turns: Arc::default(), doubts, room, inner }
    }

    /// Locks a key, and checks the condition.
    pub async fn begin(&self, key: &str, precondition: &Precondition) -> Result<Begun> {
        let is_conditional = *precondition != Precondition::None;
        let turn = self.turns.take(key).await;
        self.doubts.allow(key, is_conditional)?;
        let seen = self.check(key, precondition).await?;
        let bar = if is_conditional { Bar::Everything } else { Bar::Conditions };
        let underway = Underway { doubts: Arc::clone(&self.doubts), bar: Some(bar), turns: vec![turn] };
        Ok(Begun { seen, underway })
    }

    /// Deletes many objects, once all their keys are locked.
    pub async fn delete_many(&self, keys: Vec<String>) -> Result<()> {
        let turns = self.turns.take_all(keys.clone()).await;
        for turn in &turns {
            self.doubts.allow(turn.key(), false)?;
        }
        let underway = Underway { doubts: Arc::clone(&self.doubts), bar: Some(Bar::Conditions), turns };
        Begun { seen: None, underway }.end(self.inner.delete_many(keys).await)
    }

    /// Checks a condition now: returns the validator that was read, if there is a condition and an object.
    async fn check(&self, key: &str, precondition: &Precondition) -> Result<Option<ETag>> {
        if *precondition == Precondition::None {
            return Ok(None);
        }
        let found = match self.inner.head(key).await {
            Ok(meta) => Some(meta.etag),
            Err(Error::NotFound) => None,
            Err(error) => return Err(error),
        };
        let holds = match precondition {
            Precondition::None => true,
            Precondition::IfAbsent => found.is_none(),
            Precondition::IfMatch(etag) => found.as_ref() == Some(etag),
        };
        if holds { Ok(found) } else { Err(Error::Precondition) }
    }

    /// Prepares a body for sending: complete if it is in memory, empty, or worth buffering for retries.
    pub async fn receive(&self, body: ByteStream, is_conditional: bool) -> Result<Sent> {
        let body = match body.into_whole() {
            Ok(bytes) => return Ok(Sent::Whole(bytes, None)),
            Err(body) => body,
        };
        let limit = if is_conditional { MAX_REPEATED_BYTES } else { 0 };
        let Some(length) = body.length().filter(|length| *length <= limit) else { return Ok(Sent::Stream(body)) };
        let Ok(room) = Arc::clone(&self.room).try_acquire_many_owned(u32::try_from(length).unwrap_or(u32::MAX)) else {
            return Ok(Sent::Stream(body));
        };
        let bytes = body.into_bytes(length).await.map_err(|error| match error {
            BodyError::TooLarge { .. } => BodyError::Malformed("it is longer than it was said to be".to_owned()),
            error @ (BodyError::Aborted
            | BodyError::Stalled
            | BodyError::TooSlow
            | BodyError::NoMemory
            | BodyError::Malformed(_)
            | BodyError::Storage(_)) => error,
        });
        let bytes = bytes.map_err(Error::Body)?;
        if (bytes.len() as u64) < length {
            return Err(Error::Body(BodyError::Aborted));
        }
        Ok(Sent::Whole(bytes, Some(room)))
    }

    /// Writes a body that can be sent again.
    pub async fn put_whole(
        &self,
        key: &str,
        bytes: Bytes,
        attributes: Attributes,
        precondition: &Precondition,
    ) -> Result<PutOutcome> {
        let begun = self.begin(key, precondition).await?;
        let is_repeated = *precondition != Precondition::None && bytes.len() as u64 <= MAX_REPEATED_BYTES;
        let put = PutAttempt { inner: self.inner.as_ref(), key, bytes, attributes, seen: begun.seen.clone() };
        self.make(begun, &put, is_repeated).await
    }

    /// Performs a write that has begun: once, or until it is resolved.
    pub async fn make<A: Attempt>(&self, begun: Begun, attempt: &A, is_repeated: bool) -> Result<A::Outcome> {
        if is_repeated {
            begun.end_settled(settle(self.clock.as_ref(), attempt).await)
        } else {
            begun.end(attempt.write().await)
        }
    }

    /// Writes a stream, and takes the lock before its last byte.
    pub async fn put_stream(
        self: &Arc<Self>,
        key: &str,
        body: ByteStream,
        attributes: Attributes,
        precondition: Precondition,
    ) -> Result<PutOutcome> {
        self.doubts.allow(key, precondition != Precondition::None)?;
        // An early check, so that a write that fails already is not sent.
        self.check(key, &precondition).await?;
        let passed: Arc<Mutex<Option<Result<Begun>>>> = Arc::default();
        let gate = {
            let (writes, key, passed) = (Arc::clone(self), key.to_owned(), Arc::clone(&passed));
            async move {
                let begun = tokio::select! {
                    begun = writes.begin(&key, &precondition) => begun,
                    () = writes.clock.sleep(TURN_PATIENCE) => Err(Error::Throttled { retry_after: None }),
                };
                let outcome = if begun.is_ok() { Ok(()) } else { Err(BodyError::Aborted) };
                *passed.lock().unwrap_or_else(PoisonError::into_inner) = Some(begun);
                outcome
            }
        };
        let options = PutOptions { attributes, precondition: Precondition::None };
        let answer = self.inner.put(key, gated(body, gate), options).await;
        let passed = mem::take(&mut *passed.lock().unwrap_or_else(PoisonError::into_inner));
        match passed {
            Some(Ok(begun)) => begun.end(answer),
            Some(Err(refusal)) => Err(refusal),
            // The body ended before its last byte was sent: whatever the error, nothing was stored.
            None => answer,
        }
    }
}
