//! The decorator that emulates conditional writes: key locks, conditions and keys in doubt together.

use std::{mem, sync::Arc, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::{FutureExt, future::BoxFuture, stream};
use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use larder_runtime::clock::Clock;

use super::{
    ambiguous_write::{
        BlockedWrites, IdempotentCopy, IdempotentDelete, IdempotentPut, IdempotentWrite, InDoubtKeys, MAX_RETRY_BYTES,
        Resolution, resolve,
    },
    key_locks::{KeyGuard, KeyLocks},
};
use crate::{
    body::{BodyError, ByteStream},
    lifecycle::Lifecycle,
    object::{
        Attributes, ETag, GetOptions, ListOptions, ListPage, Object, ObjectMeta, Precondition, PutOptions, PutOutcome,
    },
    store::{Error, MAX_DELETE_KEYS, ObjectStore, Result, is_ambiguous},
};

/// An object store that emulates conditions over one without them, for a single writer of the keys that are written
/// under conditions.
///
/// * Every write locks its key; a conditional one reads the object first. So the condition holds when the write takes
///   effect, among all writers through the same `SingleWriterStore`. A stream holds the lock only from its last byte on.
/// * A conditional write of at most [`MAX_RETRY_BYTES`] whose response is lost is resolved by
///   reading and by sending it again, for at most [`RESOLUTION_TIMEOUT`](super::RESOLUTION_TIMEOUT).
/// * A write that may still arrive after that blocks its key for [`IN_DOUBT_WINDOW`](super::IN_DOUBT_WINDOW): for all
///   writes after a conditional one, for conditional writes after any other. Blocked writes fail with
///   [`Error::Throttled`] and the time to wait.
#[derive(Debug)]
pub struct SingleWriterStore<S: ?Sized = dyn ObjectStore> {
    writes: Arc<WriteCoordinator<S>>,
}

impl<S: ObjectStore + ?Sized> SingleWriterStore<S> {
    /// Emulates conditions over `inner`, which never receives one.
    pub fn new(inner: Arc<S>, clock: Arc<dyn Clock>) -> Self {
        Self { writes: Arc::new(WriteCoordinator::new(inner, clock)) }
    }
}

#[async_trait]
impl<S: ObjectStore + ?Sized> ObjectStore for SingleWriterStore<S> {
    async fn put(&self, key: &str, body: ByteStream, options: PutOptions) -> Result<PutOutcome> {
        let PutOptions { attributes, precondition } = options;
        match self.writes.receive(body, precondition != Precondition::None).await? {
            PutBody::Buffered(bytes, _memory) => self.writes.put_whole(key, bytes, attributes, &precondition).await,
            PutBody::Stream(body) => self.writes.put_stream(key, body, attributes, precondition).await,
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
        let locked = writes.begin(key, &precondition).await?;
        let delete = IdempotentDelete { inner: writes.inner.as_ref(), key };
        writes.execute(locked, &delete, precondition != Precondition::None).await
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
        let locked = writes.begin(to, &precondition).await?;
        let copy = IdempotentCopy { inner: writes.inner.as_ref(), from, to };
        writes.execute(locked, &copy, precondition != Precondition::None).await
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
const MAX_BUFFERED_BYTES: usize = 32 * 1024 * 1024;

/// Timeout for a stream that waits for its lock, all but its last byte sent: longer than resolving a write takes, and
/// shorter than object stores wait for the rest of a body. Others may need what it holds meanwhile.
const KEY_LOCK_TIMEOUT: Duration = Duration::from_secs(20);

/// State behind a `SingleWriterStore`; shared with the bodies under way.
#[derive(Debug)]
pub struct WriteCoordinator<S: ?Sized> {
    clock: Arc<dyn Clock>,
    locks: Arc<KeyLocks>,
    in_doubt: Arc<InDoubtKeys>,
    buffer_memory: Arc<Semaphore>,
    /// The underlying object store.
    pub inner: Arc<S>,
}

/// A body as it will be sent.
pub enum PutBody {
    /// Complete, with the memory that it holds during the write.
    Buffered(Bytes, Option<OwnedSemaphorePermit>),
    /// A stream.
    Stream(ByteStream),
}

/// A write that holds its lock and whose condition holds.
#[derive(Debug)]
pub struct LockedWrite {
    /// The validator that was read, if there was a condition and an object.
    old_etag: Option<ETag>,
    in_flight: InFlightWrite,
}

impl LockedWrite {
    /// Ends a write that was sent once.
    fn end<T>(self, result: Result<T>) -> Result<T> {
        let is_in_doubt = is_ambiguous(&result);
        self.in_flight.end(Resolution { result, is_in_doubt })
    }

    /// Ends a write that was resolved.
    fn end_resolved<T>(self, resolution: Resolution<T>) -> Result<T> {
        self.in_flight.end(resolution)
    }
}

/// A write that may be in flight. Unless it came to an end, dropping it marks its keys as in doubt.
#[derive(Debug)]
struct InFlightWrite {
    in_doubt: Arc<InDoubtKeys>,
    block: Option<BlockedWrites>,
    locks: Vec<KeyGuard>,
}

impl InFlightWrite {
    fn end<T>(mut self, Resolution { result, is_in_doubt }: Resolution<T>) -> Result<T> {
        if !is_in_doubt {
            self.block = None;
        }
        result
    }
}

impl Drop for InFlightWrite {
    fn drop(&mut self) {
        if let Some(block) = self.block {
            for guard in &self.locks {
                self.in_doubt.mark(guard.key(), block);
            }
        }
        // The locks come last: the next holder sees that the key is in doubt.
        self.locks.clear();
    }
}

impl<S: ObjectStore + ?Sized> WriteCoordinator<S> {
    /// Starts without writes.
    pub fn new(inner: Arc<S>, clock: Arc<dyn Clock>) -> Self {
        let in_doubt = Arc::new(InDoubtKeys::new(Arc::clone(&clock)));
        let buffer_memory = Arc::new(Semaphore::new(MAX_BUFFERED_BYTES));
        Self { clock, locks: Arc::default(), in_doubt, buffer_memory, inner }
    }

    /// Locks a key, and checks the condition.
    pub async fn begin(&self, key: &str, precondition: &Precondition) -> Result<LockedWrite> {
        let is_conditional = *precondition != Precondition::None;
        let guard = self.locks.lock(key).await;
        self.in_doubt.check(key, is_conditional)?;
        let old_etag = self.check(key, precondition).await?;
        let block = if is_conditional { BlockedWrites::All } else { BlockedWrites::Conditional };
        let in_flight = InFlightWrite { in_doubt: Arc::clone(&self.in_doubt), block: Some(block), locks: vec![guard] };
        Ok(LockedWrite { old_etag, in_flight })
    }

    /// Deletes many objects, once all their keys are locked.
    pub async fn delete_many(&self, keys: Vec<String>) -> Result<()> {
        let locks = self.locks.lock_all(keys.clone()).await;
        for guard in &locks {
            self.in_doubt.check(guard.key(), false)?;
        }
        let in_flight =
            InFlightWrite { in_doubt: Arc::clone(&self.in_doubt), block: Some(BlockedWrites::Conditional), locks };
        LockedWrite { old_etag: None, in_flight }.end(self.inner.delete_many(keys).await)
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
    pub async fn receive(&self, body: ByteStream, is_conditional: bool) -> Result<PutBody> {
        let body = match body.into_whole() {
            Ok(bytes) => return Ok(PutBody::Buffered(bytes, None)),
            Err(body) => body,
        };
        let limit = if is_conditional { MAX_RETRY_BYTES } else { 0 };
        let Some(length) = body.length().filter(|length| *length <= limit) else { return Ok(PutBody::Stream(body)) };
        let Ok(buffer_memory) =
            Arc::clone(&self.buffer_memory).try_acquire_many_owned(u32::try_from(length).unwrap_or(u32::MAX))
        else {
            return Ok(PutBody::Stream(body));
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
        Ok(PutBody::Buffered(bytes, Some(buffer_memory)))
    }

    /// Writes a body that can be sent again.
    pub async fn put_whole(
        &self,
        key: &str,
        bytes: Bytes,
        attributes: Attributes,
        precondition: &Precondition,
    ) -> Result<PutOutcome> {
        let locked = self.begin(key, precondition).await?;
        let is_retried = *precondition != Precondition::None && bytes.len() as u64 <= MAX_RETRY_BYTES;
        let put =
            IdempotentPut { inner: self.inner.as_ref(), key, bytes, attributes, old_etag: locked.old_etag.clone() };
        self.execute(locked, &put, is_retried).await
    }

    /// Performs a write that holds its lock: once, or until it is resolved.
    pub async fn execute<A: IdempotentWrite>(
        &self,
        locked: LockedWrite,
        write: &A,
        is_retried: bool,
    ) -> Result<A::Outcome> {
        if is_retried {
            locked.end_resolved(resolve(self.clock.as_ref(), write).await)
        } else {
            locked.end(write.write().await)
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
        self.in_doubt.check(key, precondition != Precondition::None)?;
        // An early check, so that a write that fails already is not sent.
        self.check(key, &precondition).await?;
        let passed: Arc<Mutex<Option<Result<LockedWrite>>>> = Arc::default();
        let barrier = {
            let (writes, key, passed) = (Arc::clone(self), key.to_owned(), Arc::clone(&passed));
            async move {
                let locked = tokio::select! {
                    locked = writes.begin(&key, &precondition) => locked,
                    () = writes.clock.sleep(KEY_LOCK_TIMEOUT) => Err(Error::Throttled { retry_after: None }),
                };
                let outcome = if locked.is_ok() { Ok(()) } else { Err(BodyError::Aborted) };
                *passed.lock() = Some(locked);
                outcome
            }
        };
        let options = PutOptions { attributes, precondition: Precondition::None };
        let result = self.inner.put(key, hold_last_byte_until(body, barrier), options).await;
        let passed = mem::take(&mut *passed.lock());
        match passed {
            Some(Ok(locked)) => locked.end(result),
            Some(Err(refusal)) => Err(refusal),
            // The body ended before its last byte was sent: whatever the error, nothing was stored.
            None => result,
        }
    }
}

// Bodies with a barrier before their last byte.
//
// An object store cannot create an object before it has received the end of its body. So a stream that takes minutes
// needs the lock of its key, and the check of its condition, only before its last byte: until then others may write
// the key, and nothing of this write has taken effect.
//
// ```text
// A  PUT 2 GB If-Match x: all but the last byte          B  PUT If-Match x: turn, look, write: 200
//    turn; look: it is y. The body breaks off
//    412, and nothing of it is stored
// ```
//
// The barrier holds back one byte instead of the last chunk: the receiver of the body may have to wait for space for a
// chunk, held by other writes that wait at this barrier.

/// The check before the last byte is sent.
pub type Barrier = BoxFuture<'static, Result<(), BodyError>>;

struct HeldBody {
    body: ByteStream,
    held: Option<Bytes>,
    /// True if the last byte of `held` is the last of the body.
    is_at_end: bool,
    barrier: Option<Barrier>,
}

/// Returns `body`, whose last byte (or whose end, if it is empty) comes only after `barrier` has succeeded. A body that
/// breaks off by itself never runs the barrier.
pub fn hold_last_byte_until(
    body: ByteStream,
    barrier: impl Future<Output = Result<(), BodyError>> + Send + 'static,
) -> ByteStream {
    let length = body.length();
    let start = HeldBody { body, held: None, is_at_end: false, barrier: Some(barrier.boxed()) };
    ByteStream::new(length, stream::try_unfold(start, next_chunk))
}

async fn next_chunk(mut state: HeldBody) -> Result<Option<(Bytes, HeldBody)>, BodyError> {
    while !state.is_at_end {
        if let Some(chunk) = state.body.next().await.transpose()? {
            if let Some(before) = state.held.replace(chunk) {
                return Ok(Some((before, state)));
            }
        } else {
            state.is_at_end = true;
            if let Some(last) = state.held.as_mut().filter(|last| last.len() > 1) {
                let all_but_last = last.split_to(last.len() - 1);
                return Ok(Some((all_but_last, state)));
            }
        }
    }
    // After the barrier nothing more comes.
    let Some(barrier) = state.barrier.take() else { return Ok(None) };
    barrier.await?;
    Ok(state.held.take().map(|last| (last, state)))
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    };

    use super::*;
    use futures_util::stream;

    fn body(chunks: Vec<Result<Bytes, BodyError>>) -> ByteStream {
        ByteStream::new(None, stream::iter(chunks))
    }

    #[tokio::test]
    async fn all_but_the_last_byte_comes_before_the_barrier() {
        for (chunks, expected) in [
            (&["flo", "ur"][..], &["flo", "u", "r"][..]),
            (&["flour"], &["flou", "r"]),
            (&["flou", "r"], &["flou", "r"]),
            (&["", "f", ""], &["f"]),
            (&[], &[]),
        ] {
            let is_asked = Arc::new(AtomicBool::new(false));
            let asked = Arc::clone(&is_asked);
            let barrier = async move {
                asked.store(true, Ordering::SeqCst);
                Ok(())
            };
            let mut body =
                hold_last_byte_until(body(chunks.iter().map(|chunk| Ok(Bytes::from(*chunk))).collect()), barrier);
            for (at, chunk) in expected.iter().enumerate() {
                assert_eq!(body.next().await.expect("a chunk").expect("whole"), *chunk);
                assert_eq!(is_asked.load(Ordering::SeqCst), at + 1 == expected.len(), "{chunks:?}");
            }
            assert!(body.next().await.is_none());
            assert!(is_asked.load(Ordering::SeqCst));
        }
    }

    #[tokio::test]
    async fn a_closed_barrier_ends_the_body_and_a_broken_body_never_reaches_it() {
        let closed = hold_last_byte_until(body(vec![Ok("flour".into())]), async { Err(BodyError::Aborted) });
        assert!(matches!(closed.into_bytes(10).await, Err(BodyError::Aborted)));
        let broken = body(vec![Ok("flo".into()), Err(BodyError::Stalled)]);
        let broken = hold_last_byte_until(broken, async { panic!("the barrier is not asked") });
        assert!(matches!(broken.into_bytes(10).await, Err(BodyError::Stalled)));
    }
}
