//! Leases: the memory held for one request, and reading bodies into it.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use tokio::sync::oneshot;

use larder_runtime::telemetry::work::{CalledBy, called_by};

use super::{
    super::body::{BodyError, ByteStream},
    accounts::{FREE_BYTES, MemoryBudget},
};

/// Maximum time that a lease waits for memory.
const LONGEST_WAIT: Duration = Duration::from_mins(1);

/// Minimum rate of a client, in bytes per second sent or received, while others wait for its memory.
const MIN_RATE: u64 = 32 * 1024;

/// Window in which a client's rate is measured.
const RATE_WINDOW: Duration = Duration::from_secs(5);

/// Minimum capacity, in bytes, allocated beyond the free bytes: it doubles from there.
const FIRST_ROOM: usize = 128 * 1024;

/// A part of the budget held for one request, until its last clone is dropped.
#[derive(Debug, Clone)]
pub struct Lease(Arc<Held>);

#[derive(Debug)]
struct Held {
    budget: Arc<MemoryBudget>,
    caller: CalledBy,
    ticket: u64,
    /// Bytes held, including the free ones.
    needed: AtomicU64,
    /// Bytes charged to the budget.
    charged: AtomicU64,
    /// True if the budget knows of the lease because it has requested memory.
    has_asked: AtomicBool,
    rate: Mutex<Rate>,
}

/// Bytes of a body that moved since a moment.
#[derive(Debug)]
struct Rate {
    since: Duration,
    bytes: u64,
}

impl MemoryBudget {
    /// Returns a lease for the caller of the current request. It holds nothing yet.
    pub fn lease(self: &Arc<Self>) -> Lease {
        let rate = Mutex::new(Rate { since: self.clock().monotonic(), bytes: 0 });
        Lease(Arc::new(Held {
            budget: Arc::clone(self),
            caller: called_by(),
            ticket: self.ticket(),
            needed: AtomicU64::new(0),
            charged: AtomicU64::new(0),
            has_asked: AtomicBool::new(false),
            rate,
        }))
    }
}

impl Lease {
    /// Holds `bytes` more, and waits until they are granted. Fails with [`BodyError::NoMemory`] if that takes too long.
    pub async fn grow(&self, bytes: u64) -> Result<(), BodyError> {
        let held = self.0.as_ref();
        let needed = held.needed.load(Relaxed) + bytes;
        let charged = held.charged.load(Relaxed);
        let more = needed.saturating_sub(FREE_BYTES).saturating_sub(charged);
        if more > 0 {
            if charged == 0 {
                // The free bytes took nothing from others, however slowly they came.
                *held.rate() = Rate { since: held.budget.clock().monotonic(), bytes: 0 };
            }
            held.charge(more).await?;
        }
        held.needed.store(needed, Relaxed);
        Ok(())
    }

    /// Returns the next chunk of `body`. Fails with [`BodyError::TooSlow`] if the client sends too slowly while others
    /// wait for memory.
    pub async fn next(&self, body: &mut ByteStream) -> Option<Result<Bytes, BodyError>> {
        loop {
            if self.0.charged.load(Relaxed) == 0 {
                return body.next().await;
            }
            let clock = self.0.budget.clock();
            let left = (self.0.rate().since + RATE_WINDOW).saturating_sub(clock.monotonic());
            tokio::select! {
                biased;
                chunk = body.next() => {
                    let Some(Ok(bytes)) = &chunk else { return chunk };
                    return Some(self.moved(bytes.len()).map_or_else(Err, |()| chunk.unwrap_or(Ok(Bytes::new()))));
                }
                () = clock.sleep(left) => {
                    if let Err(error) = self.moved(0) {
                        return Some(Err(error));
                    }
                }
            }
        }
    }

    /// Records that `bytes` of the body have moved. Fails with [`BodyError::TooSlow`] if too few moved in the last
    /// window while others wait for memory that this lease holds.
    pub fn moved(&self, bytes: usize) -> Result<(), BodyError> {
        let held = self.0.as_ref();
        let now = held.budget.clock().monotonic();
        let mut rate = held.rate();
        rate.bytes += bytes as u64;
        let passed = now.saturating_sub(rate.since);
        if passed < RATE_WINDOW {
            return Ok(());
        }
        let least = MIN_RATE.saturating_mul(passed.as_secs());
        let is_slow = rate.bytes < least;
        *rate = Rate { since: now, bytes: 0 };
        drop(rate);
        if is_slow && held.is_in_the_way() {
            held.budget.ended();
            return Err(BodyError::TooSlow);
        }
        Ok(())
    }

    /// Reads all of `body` into memory that this lease holds, at most `limit` bytes.
    pub async fn gather(&self, mut body: ByteStream, limit: u64) -> Result<Bytes, BodyError> {
        let too_large = || BodyError::TooLarge { limit };
        if body.length().is_some_and(|length| length > limit) {
            return Err(too_large());
        }
        let most = usize::try_from(body.length().unwrap_or(limit)).unwrap_or(usize::MAX);
        let mut gathered = BytesMut::new();
        while let Some(chunk) = self.next(&mut body).await.transpose()? {
            if (gathered.len() + chunk.len()) as u64 > limit {
                return Err(too_large());
            }
            self.append(&mut gathered, &chunk, most).await?;
        }
        Ok(gathered.freeze())
    }

    /// Appends `chunk` to `gathered`, whose capacity doubles up to `most` bytes and is charged as it is allocated.
    pub async fn append(&self, gathered: &mut BytesMut, chunk: &[u8], most: usize) -> Result<(), BodyError> {
        let wanted = gathered.len() + chunk.len();
        if wanted > gathered.capacity() {
            let mut room = gathered.capacity().saturating_mul(2);
            if wanted as u64 > FREE_BYTES {
                room = room.max(FIRST_ROOM);
            }
            let room = room.min(most).max(wanted);
            self.grow((room - gathered.capacity()) as u64).await?;
            gathered.reserve(room - gathered.len());
        }
        gathered.extend_from_slice(chunk);
        Ok(())
    }

    /// Returns all but `bytes` to the budget.
    pub fn shrink_to(&self, bytes: u64) {
        let held = self.0.as_ref();
        let needed = held.needed.load(Relaxed).min(bytes);
        held.needed.store(needed, Relaxed);
        let (charged, kept) = (held.charged.load(Relaxed), needed.saturating_sub(FREE_BYTES));
        if let Some(spare) = charged.checked_sub(kept).filter(|spare| *spare > 0) {
            held.charged.store(kept, Relaxed);
            held.budget.give_back(&held.caller, spare);
        }
    }

    /// Returns the bytes held, including the free ones.
    pub fn bytes(&self) -> u64 {
        self.0.needed.load(Relaxed)
    }
}

impl Held {
    fn rate(&self) -> MutexGuard<'_, Rate> {
        self.rate.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns whether others wait for memory of this lease: others of the same caller, or all because the budget is in
    /// use.
    fn is_in_the_way(&self) -> bool {
        self.charged.load(Relaxed) > 0 && self.budget.is_waited_for(&self.caller)
    }

    async fn charge(&self, bytes: u64) -> Result<(), BodyError> {
        self.has_asked.store(true, Relaxed);
        let granted = self.budget.ask(self.ticket, self.caller, bytes);
        Waits { held: self, bytes, granted }.end().await
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if self.has_asked.load(Relaxed) {
            self.budget.end(self.ticket, &self.caller, self.charged.load(Relaxed));
        }
    }
}

/// A waiting lease. Dropped before a grant, it stops waiting; memory granted meanwhile stays with the lease.
struct Waits<'a> {
    held: &'a Held,
    bytes: u64,
    granted: oneshot::Receiver<()>,
}

impl Waits<'_> {
    async fn end(mut self) -> Result<(), BodyError> {
        if self.granted.try_recv().is_ok() {
            self.held.charged.fetch_add(self.bytes, Relaxed);
            return Ok(());
        }
        let clock = self.held.budget.clock();
        let is_granted = tokio::select! {
            biased;
            granted = &mut self.granted => granted.is_ok(),
            () = clock.sleep(LONGEST_WAIT) => false,
        };
        // The client did not cause this wait.
        *self.held.rate() = Rate { since: clock.monotonic(), bytes: 0 };
        if is_granted {
            self.held.charged.fetch_add(self.bytes, Relaxed);
            return Ok(());
        }
        self.held.budget.refused();
        Err(BodyError::NoMemory)
    }
}

impl Drop for Waits<'_> {
    fn drop(&mut self) {
        let has_waited = self.held.budget.stop_waiting(self.held.ticket);
        if !has_waited && self.granted.try_recv().is_ok() {
            self.held.charged.fetch_add(self.bytes, Relaxed);
        }
    }
}
