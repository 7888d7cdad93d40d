//! Ambiguous writes: resolves those whose response was lost, and blocks the keys of those that may still arrive.
//!
//! First it reads the object: a write that was sent once and is there has arrived, and cannot arrive again. Otherwise
//! it sends the same write again until it gets a response. The response tells the state of the object, but one of the
//! two requests may still be in flight: only a read resolves the write without doubt.

use std::{collections::HashMap, sync::Arc, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use parking_lot::Mutex;

use larder_runtime::clock::Clock;

use crate::{
    body::ByteStream,
    object::{Attributes, ETag, GetOptions, Precondition, PutOptions, PutOutcome},
    store::{Error, ObjectStore, Result, is_ambiguous},
};

/// Maximum bytes of a body kept for retries: documents, claims, small records.
pub const MAX_RETRY_BYTES: u64 = 1024 * 1024;

/// Timeout for resolving a write.
pub const RESOLUTION_TIMEOUT: Duration = Duration::from_secs(15);

/// Delay before the second attempt; it doubles for each further one, up to the maximum.
const INITIAL_BACKOFF: Duration = Duration::from_millis(100);

/// Maximum delay between two attempts.
const MAX_BACKOFF: Duration = Duration::from_secs(2);

/// An idempotent write.
#[async_trait]
pub trait IdempotentWrite: Sync {
    /// Result of the write.
    type Outcome: Send;

    /// Sends the write.
    async fn write(&self) -> Result<Self::Outcome>;

    /// Reads whether the only write that was sent has arrived: returns its result, or `None` if it has not arrived or
    /// that cannot be told.
    async fn find_applied(&self) -> Result<Option<Self::Outcome>>;
}

/// The resolution of a write.
#[derive(Debug)]
pub struct Resolution<T> {
    /// Its result; [`Error::Timeout`] or [`Error::Unavailable`] if there is none.
    pub result: Result<T>,
    /// True if a request of it may still take effect.
    pub is_in_doubt: bool,
}

/// Sends a write, and repeats it while its response is lost.
pub async fn resolve<A: IdempotentWrite>(clock: &dyn Clock, write: &A) -> Resolution<A::Outcome> {
    let result = write.write().await;
    if !is_ambiguous(&result) {
        return Resolution { result, is_in_doubt: false };
    }
    let resolution = async {
        match find_applied_with_retry(clock, write).await {
            Some(find_applied) => Resolution { result: Ok(find_applied), is_in_doubt: false },
            None => Resolution { result: resend(clock, write).await, is_in_doubt: true },
        }
    };
    tokio::select! {
        resolution = resolution => resolution,
        () = clock.sleep(RESOLUTION_TIMEOUT) => Resolution { result, is_in_doubt: true },
    }
}

/// Reads whether the write has arrived, as soon as that can be told.
async fn find_applied_with_retry<A: IdempotentWrite>(clock: &dyn Clock, write: &A) -> Option<A::Outcome> {
    let mut backoff = Backoff::default();
    loop {
        match write.find_applied().await {
            Ok(find_applied) => return find_applied,
            Err(_) => clock.sleep(backoff.next()).await,
        }
    }
}

/// Repeats the write until it gets a response. A refusal is about this attempt alone: the one before may still take
/// effect.
async fn resend<A: IdempotentWrite>(clock: &dyn Clock, write: &A) -> Result<A::Outcome> {
    let mut backoff = Backoff::default();
    loop {
        clock.sleep(backoff.next()).await;
        match write.write().await {
            Err(Error::Timeout | Error::Unavailable(_) | Error::Throttled { .. }) => {}
            Err(refusal) => return Err(Error::Unavailable(refusal.into())),
            Ok(outcome) => return Ok(outcome),
        }
    }
}

/// Delays between attempts; [`RESOLUTION_TIMEOUT`] limits their number.
struct Backoff(Duration);

impl Default for Backoff {
    fn default() -> Self {
        Self(INITIAL_BACKOFF)
    }
}

impl Backoff {
    fn next(&mut self) -> Duration {
        let delay = self.0;
        self.0 = (2 * delay).min(MAX_BACKOFF);
        delay
    }
}

/// A put of bytes that are in memory.
pub struct IdempotentPut<'a, S: ?Sized> {
    pub inner: &'a S,
    pub key: &'a str,
    pub bytes: Bytes,
    pub attributes: Attributes,
    /// The object's validator before the write, if there was one.
    pub old_etag: Option<ETag>,
}

#[async_trait]
impl<S: ObjectStore + ?Sized> IdempotentWrite for IdempotentPut<'_, S> {
    type Outcome = PutOutcome;

    async fn write(&self) -> Result<PutOutcome> {
        let options = PutOptions { attributes: self.attributes.clone(), precondition: Precondition::None };
        self.inner.put(self.key, ByteStream::from(self.bytes.clone()), options).await
    }

    async fn find_applied(&self) -> Result<Option<PutOutcome>> {
        let object = match self.inner.get(self.key, GetOptions::default()).await {
            Err(Error::NotFound) => return Ok(None),
            found => found?,
        };
        let meta = object.meta;
        // Equal bytes from before the write prove nothing.
        if self.old_etag.as_ref() == Some(&meta.etag) || meta.size != self.bytes.len() as u64 {
            return Ok(None);
        }
        let found = object.body.into_bytes(meta.size).await.map_err(Error::Body)?;
        let is_applied = found == self.bytes && meta.attributes == self.attributes;
        Ok(is_applied.then_some(PutOutcome { etag: meta.etag, last_modified: meta.last_modified }))
    }
}

/// A delete.
pub struct IdempotentDelete<'a, S: ?Sized> {
    pub inner: &'a S,
    pub key: &'a str,
}

#[async_trait]
impl<S: ObjectStore + ?Sized> IdempotentWrite for IdempotentDelete<'_, S> {
    type Outcome = ();

    async fn write(&self) -> Result<()> {
        self.inner.delete(self.key, Precondition::None).await
    }

    async fn find_applied(&self) -> Result<Option<()>> {
        match self.inner.head(self.key).await {
            Err(Error::NotFound) => Ok(Some(())),
            found => found.map(|_| None),
        }
    }
}

/// A copy.
pub struct IdempotentCopy<'a, S: ?Sized> {
    pub inner: &'a S,
    pub from: &'a str,
    pub to: &'a str,
}

#[async_trait]
impl<S: ObjectStore + ?Sized> IdempotentWrite for IdempotentCopy<'_, S> {
    type Outcome = PutOutcome;

    async fn write(&self) -> Result<PutOutcome> {
        self.inner.copy(self.from, self.to, Precondition::None).await
    }

    /// A copy may have another validator than its source, so a read would prove nothing.
    async fn find_applied(&self) -> Result<Option<PutOutcome>> {
        Ok(None)
    }
}

// Keys in doubt: a write of them may still arrive.
//
// ```text
// leader  PUT document v2: no answer                     the object store (or something before it) still has it
//         PUT document v2 again: 200
//         PUT document v3: 200
//                                                        the first v2 arrives: v3 is gone
// ```
//
// So a key in doubt is not overwritten. This rests on one assumption: a request whose connection is closed takes
// effect within [`IN_DOUBT_WINDOW`], or never.

/// Time for which a write whose response was lost may still take effect.
pub const IN_DOUBT_WINDOW: Duration = Duration::from_mins(1);

/// Maximum number of distinct keys in doubt. Beyond it, all keys are in doubt.
const MAX_KEYS: usize = 100_000;

/// The writes that must wait while a key is in doubt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BlockedWrites {
    /// Conditional writes: unconditional ones risk late arrivals on every store.
    Conditional,
    /// All writes.
    All,
}

/// End of the wait, by the monotonic clock.
#[derive(Debug, Clone, Copy, Default)]
struct Deadlines {
    conditional: Duration,
    all: Duration,
}

impl Deadlines {
    fn mark(&mut self, block: BlockedWrites, until: Duration) {
        self.conditional = self.conditional.max(until);
        if block == BlockedWrites::All {
            self.all = self.all.max(until);
        }
    }

    fn until(&self, is_conditional: bool) -> Duration {
        if is_conditional { self.conditional } else { self.all }
    }
}

#[derive(Debug, Default)]
struct Marks {
    keys: HashMap<String, Deadlines>,
    all: Deadlines,
}

/// All keys in doubt.
#[derive(Debug)]
pub struct InDoubtKeys {
    clock: Arc<dyn Clock>,
    marks: Mutex<Marks>,
}

impl InDoubtKeys {
    /// Starts without keys in doubt.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, marks: Mutex::default() }
    }

    /// Marks `key` as in doubt from now on for a while.
    pub fn mark(&self, key: &str, block: BlockedWrites) {
        let now = self.clock.monotonic();
        let until = now + IN_DOUBT_WINDOW;
        let mut marks = self.marks.lock();
        if !marks.keys.contains_key(key) && marks.keys.len() >= MAX_KEYS {
            marks.keys.retain(|_, until| until.conditional > now);
            if marks.keys.len() >= MAX_KEYS {
                marks.all.mark(block, until);
                return;
            }
        }
        marks.keys.entry(key.to_owned()).or_default().mark(block, until);
    }

    /// Checks that `key` may be written now; else fails with [`Error::Throttled`] and the time to wait, since nothing
    /// was written.
    pub fn check(&self, key: &str, is_conditional: bool) -> Result<()> {
        let now = self.clock.monotonic();
        let mut marks = self.marks.lock();
        let all = marks.all.until(is_conditional);
        let own = match marks.keys.get(key) {
            None => Duration::ZERO,
            Some(until) if until.conditional <= now => {
                marks.keys.remove(key);
                Duration::ZERO
            }
            Some(until) => until.until(is_conditional),
        };
        let wait = all.max(own).saturating_sub(now);
        if wait.is_zero() { Ok(()) } else { Err(Error::Throttled { retry_after: Some(wait) }) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use larder_runtime::clock::{ManualClock, Timestamp};

    #[test]
    fn a_doubt_bars_its_key_until_it_is_over() {
        let clock = Arc::new(ManualClock::new(Timestamp::from_millis(0)));
        let in_doubt = InDoubtKeys::new(clock.clone());
        in_doubt.mark("k", BlockedWrites::Conditional);
        assert!(in_doubt.check("k", true).is_err());
        assert!(in_doubt.check("k", false).is_ok());
        in_doubt.mark("k", BlockedWrites::All);
        assert!(in_doubt.check("k", false).is_err());
        assert!(in_doubt.check("other", true).is_ok());
        clock.advance(IN_DOUBT_WINDOW / 2);
        let error = in_doubt.check("k", true).expect_err("it may still arrive");
        assert!(
            matches!(error, Error::Throttled { retry_after: Some(wait) } if wait == IN_DOUBT_WINDOW / 2),
            "{error:?}"
        );
        in_doubt.mark("k", BlockedWrites::Conditional);
        clock.advance(IN_DOUBT_WINDOW / 2);
        assert!(in_doubt.check("k", false).is_ok(), "only the last doubt is left");
        assert!(in_doubt.check("k", true).is_err());
        clock.advance(IN_DOUBT_WINDOW / 2);
        assert!(in_doubt.check("k", true).is_ok());
    }

    #[test]
    fn too_many_keys_in_doubt_block_every_key() {
        let clock = Arc::new(ManualClock::new(Timestamp::from_millis(0)));
        let in_doubt = InDoubtKeys::new(clock.clone());
        for key in 0..MAX_KEYS {
            in_doubt.mark(&key.to_string(), BlockedWrites::Conditional);
        }
        assert!(in_doubt.check("never written", true).is_ok());
        in_doubt.mark("one more", BlockedWrites::Conditional);
        assert!(in_doubt.check("never written", true).is_err());
        assert!(in_doubt.check("never written", false).is_ok());
        clock.advance(IN_DOUBT_WINDOW);
        assert!(in_doubt.check("never written", true).is_ok());
        in_doubt.mark("another", BlockedWrites::All);
        assert_eq!(in_doubt.marks.lock().keys.len(), 1, "what is over is forgotten when there is no room");
    }
}
