//! A decorator for tests that injects the faults of networks and disks: before a call, after it (so that its outcome is
//! unknown), in the middle of a body, or as a delay. Faults come from a script, or at random from a seed.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use parking_lot::Mutex;

use larder_object_store::{
    BodyError, ByteStream, Error, GetOptions, Lifecycle, ListOptions, ListPage, Object, ObjectMeta, ObjectStore,
    Operation, Precondition, PutOptions, PutOutcome, RejectedFor, Result,
};
use larder_runtime::clock::{Clock, Random, SeededRandom};

/// A fault injected into one call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// The call fails without an effect.
    Refuse(Refusal),
    /// The call takes effect, but returns [`Error::Timeout`] instead of its success.
    LoseResponse,
    /// The body breaks off after so many bytes: that of a put as if its sender had disconnected, that of a get as if
    /// reading failed. Other operations are undisturbed.
    CutBody {
        /// Bytes that still pass.
        after: u64,
    },
    /// The call begins with this delay.
    Delay(Duration),
}

/// Error of a call that had no effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// With [`Error::Throttled`].
    Throttled,
    /// With [`Error::Full`].
    Full,
    /// With [`Error::Timeout`].
    Timeout,
    /// With [`Error::Unavailable`].
    Unavailable,
    /// With [`Error::Rejected`].
    Rejected(RejectedFor),
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Throttled => Self::Throttled { retry_after: None },
            Refusal::Full => Self::Full("a fault was asked for".into()),
            Refusal::Timeout => Self::Timeout,
            Refusal::Unavailable => Self::Unavailable("a fault was asked for".into()),
            Refusal::Rejected(reason) => Self::Rejected { reason, source: "a fault was asked for".into() },
        }
    }
}

/// Selects the call for a scripted fault: the first that matches.
#[derive(Debug, Clone, Default)]
pub struct Call {
    /// The operation; any when `None`.
    pub operation: Option<Operation>,
    /// A part of the key (for lists: the prefix; for copies: the new key; for many keys: the first).
    pub key_contains: String,
    /// Number of matching calls to skip.
    pub skip: u32,
}

/// An object store that injects faults.
#[derive(Debug)]
pub struct FaultInjector<S: ?Sized = dyn ObjectStore> {
    clock: Arc<dyn Clock>,
    plan: Mutex<Plan>,
    inner: Arc<S>,
}

#[derive(Debug, Default)]
struct Plan {
    script: Vec<(Call, Fault)>,
    chance: Option<Chance>,
    injected: u64,
}

#[derive(Debug)]
struct Chance {
    random: SeededRandom,
    per_mille: u64,
    faults: Vec<Fault>,
}

impl Chance {
    fn draw(&self, below: u64) -> u64 {
        let mut bytes = [0; 8];
        self.random.fill(&mut bytes);
        u64::from_le_bytes(bytes) % below.max(1)
    }

    fn fault(&self) -> Option<Fault> {
        if self.draw(1000) >= self.per_mille {
            return None;
        }
        let at = self.draw(self.faults.len() as u64);
        self.faults.get(usize::try_from(at).unwrap_or(0)).cloned()
    }
}

impl<S: ObjectStore + ?Sized> FaultInjector<S> {
    /// Wraps `inner`, without faults yet.
    pub fn new(inner: Arc<S>, clock: Arc<dyn Clock>) -> Self {
        Self { inner, clock, plan: Mutex::default() }
    }

    /// Injects a fault into one call.
    pub fn inject(&self, call: Call, fault: Fault) {
        self.plan.lock().script.push((call, fault));
    }

    /// Injects from now on one of `faults` into `per_mille` of a thousand calls, at random by `seed`.
    pub fn inject_at_random(&self, seed: u64, per_mille: u64, faults: Vec<Fault>) {
        self.plan.lock().chance = Some(Chance { random: SeededRandom::new(seed), per_mille, faults });
    }

    /// Stops injecting faults.
    pub fn clear_faults(&self) {
        let mut plan = self.plan.lock();
        plan.script.clear();
        plan.chance = None;
    }

    /// Returns the number of injected faults.
    pub fn injected(&self) -> u64 {
        self.plan.lock().injected
    }

    fn next_fault(&self, operation: Operation, key: &str) -> Option<Fault> {
        let mut plan = self.plan.lock();
        let fits =
            |call: &Call| call.operation.is_none_or(|wanted| wanted == operation) && key.contains(&call.key_contains);
        let scripted = plan.script.iter_mut().position(|(call, _)| {
            let due = fits(call) && call.skip == 0;
            if fits(call) && !due {
                call.skip -= 1;
            }
            due
        });
        let fault = match scripted {
            Some(at) => Some(plan.script.remove(at).1),
            None => plan.chance.as_ref().and_then(Chance::fault),
        };
        plan.injected += u64::from(fault.is_some());
        fault
    }

    /// Performs the part of a fault before the call; returns the part after it.
    async fn begin(&self, operation: Operation, key: &str) -> Result<Later> {
        match self.next_fault(operation, key) {
            None => Ok(Later::Nothing),
            Some(Fault::Refuse(refusal)) => Err(refusal.into()),
            Some(Fault::LoseResponse) => Ok(Later::LoseResponse),
            Some(Fault::CutBody { after }) => Ok(Later::CutBody(after)),
            Some(Fault::Delay(delay)) => {
                self.clock.sleep(delay).await;
                Ok(Later::Nothing)
            }
        }
    }
}

/// The part of a fault after its call has begun.
enum Later {
    Nothing,
    LoseResponse,
    CutBody(u64),
}

impl Later {
    fn end<T>(&self, answer: Result<T>) -> Result<T> {
        match (self, answer) {
            (Self::LoseResponse, Ok(_)) => Err(Error::Timeout),
            (Self::Nothing | Self::CutBody(_) | Self::LoseResponse, answer) => answer,
        }
    }

    fn cut(&self, body: ByteStream, error: fn() -> BodyError) -> ByteStream {
        match self {
            Self::CutBody(after) => cut(body, *after, error),
            Self::Nothing | Self::LoseResponse => body,
        }
    }
}

/// Returns `body` up to a number of bytes, followed by `error`, unless it ends before.
fn cut(body: ByteStream, after: u64, error: fn() -> BodyError) -> ByteStream {
    let length = body.length();
    let chunks = body.scan(after, move |left, chunk| {
        let passed: Vec<Result<Bytes, BodyError>> = match chunk {
            Ok(chunk) if chunk.len() as u64 <= *left => {
                *left -= chunk.len() as u64;
                vec![Ok(chunk)]
            }
            Ok(chunk) => {
                let start = chunk.slice(..usize::try_from(*left).unwrap_or(usize::MAX));
                vec![Ok(start), Err(error())]
            }
            Err(error) => vec![Err(error)],
        };
        std::future::ready(Some(stream::iter(passed)))
    });
    ByteStream::new(length, chunks.flatten())
}

#[async_trait]
impl<S: ObjectStore + ?Sized> ObjectStore for FaultInjector<S> {
    async fn put(&self, key: &str, body: ByteStream, options: PutOptions) -> Result<PutOutcome> {
        let later = self.begin(Operation::Put, key).await?;
        let body = later.cut(body, || BodyError::Aborted);
        later.end(self.inner.put(key, body, options).await)
    }

    async fn get(&self, key: &str, options: GetOptions) -> Result<Object> {
        let later = self.begin(Operation::Get, key).await?;
        let Object { meta, range, body } = later.end(self.inner.get(key, options).await)?;
        let body = later.cut(body, || BodyError::Storage("a fault was asked for".into()));
        Ok(Object { meta, range, body })
    }

    async fn head(&self, key: &str) -> Result<ObjectMeta> {
        let later = self.begin(Operation::Head, key).await?;
        later.end(self.inner.head(key).await)
    }

    async fn delete(&self, key: &str, precondition: Precondition) -> Result<()> {
        let later = self.begin(Operation::Delete, key).await?;
        later.end(self.inner.delete(key, precondition).await)
    }

    async fn delete_many(&self, keys: Vec<String>) -> Result<()> {
        let later = self.begin(Operation::DeleteMany, keys.first().map_or("", String::as_str)).await?;
        later.end(self.inner.delete_many(keys).await)
    }

    async fn list(&self, options: ListOptions) -> Result<ListPage> {
        let later = self.begin(Operation::List, &options.prefix).await?;
        later.end(self.inner.list(options).await)
    }

    async fn copy(&self, from: &str, to: &str, precondition: Precondition) -> Result<PutOutcome> {
        let later = self.begin(Operation::Copy, to).await?;
        later.end(self.inner.copy(from, to, precondition).await)
    }

    async fn check(&self) -> Result<()> {
        let later = self.begin(Operation::Check, "").await?;
        later.end(self.inner.check().await)
    }

    fn lifecycle(&self) -> Option<&dyn Lifecycle> {
        self.inner.lifecycle()
    }
}
