//! The memory held on behalf of clients: one budget for all data that must be in memory before it can be used, with a
//! fair share for each caller.
//!
//! A lease grows as bytes arrive. A request that exceeds the budget or the share of its caller waits. The oldest lease
//! of all never waits, and the oldest lease of a caller never waits for that caller's share, so leases cannot deadlock.
//! A client that sends too slowly while others wait for its memory is cut off.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use parking_lot::{Mutex, MutexGuard};
use tokio::sync::oneshot;

use larder_runtime::{
    clock::{Clock, SystemClock},
    telemetry::{
        MetricKind, Metrics, Sample,
        request_context::{self, ClientIdentity},
    },
};

use super::body::{BodyError, ByteStream};

// Accounts of the memory budget: the holdings of each caller, the waiting leases, and the order of grants.

/// Bytes that every lease has for free, so that small bodies never wait. They count as memory of the connection.
pub const FREE_BYTES: u64 = 64 * 1024;

/// Divisor of the budget for the share of one caller: one half.
const CALLER_SHARE_DIVISOR: u64 = 2;

/// Default budget in bytes.
pub const DEFAULT_LIMIT: u64 = 64 << 20;

/// The memory held on behalf of clients.
#[derive(Debug)]
pub struct MemoryBudget {
    limit: u64,
    clock: Arc<dyn Clock>,
    state: Mutex<State>,
    next_ticket: AtomicU64,
    held: Arc<AtomicU64>,
    refused: Arc<AtomicU64>,
    too_slow: Arc<AtomicU64>,
}

/// Holdings and waiting leases.
#[derive(Debug, Default)]
struct State {
    held: u64,
    /// Leases that hold memory or wait, oldest first.
    live: BTreeSet<u64>,
    callers: HashMap<ClientIdentity, Holdings>,
    waiting: BTreeMap<u64, Waiting>,
    /// True if a lease waits because the whole budget is in use.
    is_exhausted: bool,
}

/// Memory held by one caller.
#[derive(Debug, Default)]
struct Holdings {
    held: u64,
    live: BTreeSet<u64>,
    waiting: usize,
}

#[derive(Debug)]
struct Waiting {
    caller: ClientIdentity,
    bytes: u64,
    granted: oneshot::Sender<()>,
}

impl MemoryBudget {
    /// Returns a budget of `limit` bytes.
    pub fn new(limit: u64, clock: Arc<dyn Clock>) -> Self {
        Self {
            limit,
            clock,
            state: Mutex::default(),
            next_ticket: AtomicU64::new(0),
            held: Arc::default(),
            refused: Arc::default(),
            too_slow: Arc::default(),
        }
    }

    /// Registers metrics of the memory held, the limit, and the number of refused requests.
    pub fn register_metrics(&self, metrics: &Metrics) {
        let (bytes, limit) = (Arc::clone(&self.held), self.limit);
        let help = "Current memory held on behalf of clients in bytes.";
        metrics.register("larder_request_memory_bytes", help, MetricKind::Gauge, move || {
            vec![Sample::new(bytes.load(Relaxed))]
        });
        let help = "Limit of the memory held on behalf of clients in bytes (LARDER_REQUEST_MEMORY).";
        metrics
            .register("larder_request_memory_limit_bytes", help, MetricKind::Gauge, move || vec![Sample::new(limit)]);
        let counts = [("exhausted", Arc::clone(&self.refused)), ("slow_client", Arc::clone(&self.too_slow))];
        let help = "Total number of requests rejected for lack of request memory, by reason: exhausted or slow_client.";
        metrics.register("larder_request_memory_rejections_total", help, MetricKind::Counter, move || {
            let sample = |(reason, count): &(&'static str, Arc<AtomicU64>)| {
                Sample::with_labels([("reason", *reason)], count.load(Relaxed))
            };
            counts.iter().map(sample).collect()
        });
    }

    /// Returns the maximum bytes of all leases together, except what the oldest lease holds beyond it.
    pub fn limit(&self) -> u64 {
        self.limit
    }

    /// Returns the bytes that all leases hold now.
    pub fn held(&self) -> u64 {
        self.held.load(Relaxed)
    }

    /// Returns the number of a new lease: the higher, the younger.
    fn ticket(&self) -> u64 {
        self.next_ticket.fetch_add(1, Relaxed)
    }

    /// Returns the clock that measures the rates of clients.
    fn clock(&self) -> &dyn Clock {
        self.clock.as_ref()
    }

    /// Counts a request that got no memory in time.
    fn count_no_memory(&self) {
        self.refused.fetch_add(1, Relaxed);
    }

    /// Counts a client that was too slow for the memory it held.
    fn count_too_slow(&self) {
        self.too_slow.fetch_add(1, Relaxed);
    }

    /// Requests `bytes` more for a lease; they are charged when granted.
    fn request(&self, ticket: u64, caller: ClientIdentity, bytes: u64) -> oneshot::Receiver<()> {
        let (granted, is_granted) = oneshot::channel();
        let mut state = self.state.lock();
        state.live.insert(ticket);
        let own = state.callers.entry(caller).or_default();
        own.live.insert(ticket);
        own.waiting += 1;
        state.waiting.insert(ticket, Waiting { caller, bytes, granted });
        self.grant_waiting(state);
        is_granted
    }

    /// Removes a lease from the waiting ones; returns whether it was waiting.
    fn stop_waiting(&self, ticket: u64) -> bool {
        let mut state = self.state.lock();
        let has_waited = state.stop_waiting(ticket).is_some();
        if has_waited {
            self.grant_waiting(state);
        }
        has_waited
    }

    /// Takes back `bytes` of a lease that stays open.
    fn return_bytes(&self, caller: &ClientIdentity, bytes: u64) {
        let mut state = self.state.lock();
        state.release(caller, bytes);
        self.grant_waiting(state);
    }

    /// Takes back everything that a lease was charged, and ends it.
    fn close(&self, ticket: u64, caller: &ClientIdentity, charged: u64) {
        let mut state = self.state.lock();
        if !state.live.remove(&ticket) {
            return;
        }
        state.release(caller, charged);
        if let Some(own) = state.callers.get_mut(caller) {
            own.live.remove(&ticket);
            if own.live.is_empty() {
                state.callers.remove(caller);
            }
        }
        self.grant_waiting(state);
    }

    /// Returns whether others wait for memory that a lease of `caller` holds: others of the same caller, or all because
    /// the budget is in use.
    fn is_contended(&self, caller: &ClientIdentity) -> bool {
        let state = self.state.lock();
        state.is_exhausted || state.callers.get(caller).is_some_and(|own| own.waiting > 0)
    }

    fn grant_waiting(&self, mut state: MutexGuard<'_, State>) {
        state.grant_waiting(self.limit);
        self.held.store(state.held, Relaxed);
    }
}

impl Default for MemoryBudget {
    fn default() -> Self {
        Self::new(DEFAULT_LIMIT, Arc::new(SystemClock))
    }
}

impl State {
    /// Returns whether a lease may hold `bytes` more now.
    fn fits(&self, limit: u64, ticket: u64, caller: &ClientIdentity, bytes: u64) -> Fit {
        let Some(own) = self.callers.get(caller) else { return Fit::Yes };
        if self.live.first() == Some(&ticket) {
            return Fit::Yes;
        }
        if own.live.first() != Some(&ticket) && own.held + bytes > limit / CALLER_SHARE_DIVISOR {
            return Fit::ShareExhausted;
        }
        if self.held + bytes > limit { Fit::BudgetExhausted } else { Fit::Yes }
    }

    fn charge(&mut self, caller: &ClientIdentity, bytes: u64) {
        self.held += bytes;
        if let Some(own) = self.callers.get_mut(caller) {
            own.held += bytes;
        }
    }

    fn release(&mut self, caller: &ClientIdentity, bytes: u64) {
        self.held = self.held.saturating_sub(bytes);
        if let Some(own) = self.callers.get_mut(caller) {
            own.held = own.held.saturating_sub(bytes);
        }
    }

    /// Grants waiting requests, oldest first. One that waits for the whole budget blocks all younger ones.
    fn grant_waiting(&mut self, limit: u64) {
        self.is_exhausted = false;
        if self.waiting.is_empty() {
            return;
        }
        let mut granted = Vec::new();
        let waiting: Vec<_> =
            self.waiting.iter().map(|(ticket, pending)| (*ticket, pending.caller, pending.bytes)).collect();
        for (ticket, caller, bytes) in waiting {
            match self.fits(limit, ticket, &caller, bytes) {
                Fit::Yes => {
                    self.charge(&caller, bytes);
                    granted.push(ticket);
                }
                Fit::ShareExhausted => {}
                Fit::BudgetExhausted => {
                    self.is_exhausted = true;
                    break;
                }
            }
        }
        for ticket in granted {
            if let Some(pending) = self.stop_waiting(ticket) {
                // A lease that has stopped waiting meanwhile returns its charge when it ends.
                let _ = pending.granted.send(());
            }
        }
    }

    fn stop_waiting(&mut self, ticket: u64) -> Option<Waiting> {
        let pending = self.waiting.remove(&ticket)?;
        if let Some(own) = self.callers.get_mut(&pending.caller) {
            own.waiting -= 1;
        }
        Some(pending)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fit {
    Yes,
    /// The caller holds its full share.
    ShareExhausted,
    /// All callers together hold the whole budget.
    BudgetExhausted,
}

// Leases: the memory held for one request, and reading bodies into it.

/// Maximum time that a lease waits for memory.
const MAX_WAIT: Duration = Duration::from_mins(1);

/// Minimum rate of a client, in bytes per second sent or received, while others wait for its memory.
const MIN_RATE: u64 = 32 * 1024;

/// Window in which a client's rate is measured.
const RATE_WINDOW: Duration = Duration::from_secs(5);

/// Minimum capacity, in bytes, allocated beyond the free bytes: it doubles from there.
const MIN_CHARGED_CAPACITY: usize = 128 * 1024;

/// A part of the budget held for one request, until its last clone is dropped.
#[derive(Debug, Clone)]
pub struct Lease(Arc<Held>);

#[derive(Debug)]
struct Held {
    budget: Arc<MemoryBudget>,
    caller: ClientIdentity,
    ticket: u64,
    /// Bytes held, including the free ones.
    needed: AtomicU64,
    /// Bytes charged to the budget.
    charged: AtomicU64,
    /// True if the budget knows of the lease because it has requested memory.
    is_registered: AtomicBool,
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
            caller: request_context::client(),
            ticket: self.ticket(),
            needed: AtomicU64::new(0),
            charged: AtomicU64::new(0),
            is_registered: AtomicBool::new(false),
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
                *held.rate.lock() = Rate { since: held.budget.clock().monotonic(), bytes: 0 };
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
            let left = (self.0.rate.lock().since + RATE_WINDOW).saturating_sub(clock.monotonic());
            tokio::select! {
                biased;
                chunk = body.next() => {
                    let Some(Ok(bytes)) = &chunk else { return chunk };
                    return Some(self.record_progress(bytes.len()).map_or_else(Err, |()| chunk.unwrap_or(Ok(Bytes::new()))));
                }
                () = clock.sleep(left) => {
                    if let Err(error) = self.record_progress(0) {
                        return Some(Err(error));
                    }
                }
            }
        }
    }

    /// Records that `bytes` of the body have moved. Fails with [`BodyError::TooSlow`] if too few moved in the last
    /// window while others wait for memory that this lease holds.
    pub fn record_progress(&self, bytes: usize) -> Result<(), BodyError> {
        let held = self.0.as_ref();
        let now = held.budget.clock().monotonic();
        let mut rate = held.rate.lock();
        rate.bytes += bytes as u64;
        let passed = now.saturating_sub(rate.since);
        if passed < RATE_WINDOW {
            return Ok(());
        }
        let least = MIN_RATE.saturating_mul(passed.as_secs());
        let is_slow = rate.bytes < least;
        *rate = Rate { since: now, bytes: 0 };
        drop(rate);
        if is_slow && held.is_contended() {
            held.budget.count_too_slow();
            return Err(BodyError::TooSlow);
        }
        Ok(())
    }

    /// Reads all of `body` into memory that this lease holds, at most `limit` bytes.
    pub async fn read_all(&self, mut body: ByteStream, limit: u64) -> Result<Bytes, BodyError> {
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
            let mut capacity = gathered.capacity().saturating_mul(2);
            if wanted as u64 > FREE_BYTES {
                capacity = capacity.max(MIN_CHARGED_CAPACITY);
            }
            let capacity = capacity.min(most).max(wanted);
            self.grow((capacity - gathered.capacity()) as u64).await?;
            gathered.reserve(capacity - gathered.len());
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
            held.budget.return_bytes(&held.caller, spare);
        }
    }

    /// Returns the bytes held, including the free ones.
    pub fn bytes(&self) -> u64 {
        self.0.needed.load(Relaxed)
    }
}

impl Held {
    /// Returns whether others wait for memory of this lease: others of the same caller, or all because the budget is in
    /// use.
    fn is_contended(&self) -> bool {
        self.charged.load(Relaxed) > 0 && self.budget.is_contended(&self.caller)
    }

    async fn charge(&self, bytes: u64) -> Result<(), BodyError> {
        self.is_registered.store(true, Relaxed);
        let granted = self.budget.request(self.ticket, self.caller, bytes);
        PendingGrant { held: self, bytes, granted }.end().await
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if self.is_registered.load(Relaxed) {
            self.budget.close(self.ticket, &self.caller, self.charged.load(Relaxed));
        }
    }
}

/// A waiting lease. Dropped before a grant, it stops waiting; memory granted meanwhile stays with the lease.
struct PendingGrant<'a> {
    held: &'a Held,
    bytes: u64,
    granted: oneshot::Receiver<()>,
}

impl PendingGrant<'_> {
    async fn end(mut self) -> Result<(), BodyError> {
        if self.granted.try_recv().is_ok() {
            self.held.charged.fetch_add(self.bytes, Relaxed);
            return Ok(());
        }
        let clock = self.held.budget.clock();
        let is_granted = tokio::select! {
            biased;
            granted = &mut self.granted => granted.is_ok(),
            () = clock.sleep(MAX_WAIT) => false,
        };
        // The client did not cause this wait.
        *self.held.rate.lock() = Rate { since: clock.monotonic(), bytes: 0 };
        if is_granted {
            self.held.charged.fetch_add(self.bytes, Relaxed);
            return Ok(());
        }
        self.held.budget.count_no_memory();
        Err(BodyError::NoMemory)
    }
}

impl Drop for PendingGrant<'_> {
    fn drop(&mut self) {
        let has_waited = self.held.budget.stop_waiting(self.held.ticket);
        if !has_waited && self.granted.try_recv().is_ok() {
            self.held.charged.fetch_add(self.bytes, Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        pin::{Pin, pin},
        sync::Arc,
        task::Poll,
        time::Duration,
    };

    use bytes::Bytes;
    use futures_util::{poll, stream};

    use super::*;
    use larder_runtime::{
        clock::{ManualClock, Timestamp},
        telemetry::{
            CostLedger,
            request_context::{ClientIdentity, RequestContext, set_client},
        },
    };

    const MIB: u64 = 1 << 20;

    fn budget(limit: u64) -> (Arc<MemoryBudget>, Arc<ManualClock>) {
        let clock = Arc::new(ManualClock::new(Timestamp::from_millis(0)));
        (Arc::new(MemoryBudget::new(limit, clock.clone())), clock)
    }

    /// Returns a lease of the caller with this name.
    async fn lease_of(budget: &Arc<MemoryBudget>, name: &str) -> Lease {
        let mut leased = pin!(async {
            set_client(ClientIdentity::User(larder_runtime::telemetry::CostOwner::from_name(name).expect("a name")));
            budget.lease()
        });
        let context = RequestContext::new(http::HeaderValue::from_static("a-1"), Arc::<CostLedger>::default(), None);
        context.scope(leased.as_mut()).await
    }

    /// Returns whether a lease is granted `bytes` more at once.
    async fn grows(lease: &Lease, bytes: u64) -> bool {
        matches!(poll!(pin!(lease.grow(bytes))), Poll::Ready(Ok(())))
    }

    #[tokio::test]
    async fn what_is_small_never_waits_and_all_is_given_back() {
        let (budget, _clock) = budget(MIB);
        let all = lease_of(&budget, "alice").await;
        assert!(grows(&all, 4 * MIB).await, "it is the oldest");
        for _ in 0..100 {
            assert!(grows(&lease_of(&budget, "alice").await, FREE_BYTES).await);
        }
        assert_eq!(budget.held(), 4 * MIB - FREE_BYTES);
        all.shrink_to(MIB);
        assert_eq!((budget.held(), all.bytes()), (MIB - FREE_BYTES, MIB));
        drop(all);
        assert_eq!(budget.held(), 0);
    }

    #[tokio::test]
    async fn a_caller_that_asks_for_everything_leaves_half_to_others() {
        let (budget, _clock) = budget(16 * MIB);
        let mut leases = Vec::new();
        for _ in 0..20 {
            let lease = lease_of(&budget, "mallory").await;
            let _ = grows(&lease, MIB).await;
            leases.push(lease);
        }
        assert!(budget.held() <= 8 * MIB, "{}", budget.held());
        let others = lease_of(&budget, "alice").await;
        assert!(grows(&others, 8 * MIB).await);
    }

    #[tokio::test]
    async fn leases_that_grow_beside_each_other_never_wait_for_each_other_for_ever() {
        let (budget, _clock) = budget(16 * MIB);
        let names = ["alice", "bob", "carol"];
        let mut growing: Vec<Pin<Box<dyn Future<Output = ()>>>> = Vec::new();
        for number in 0..60 {
            let lease = lease_of(&budget, names[number % names.len()]).await;
            growing.push(Box::pin(async move {
                // Like parts of uploads: none is usable before it is complete.
                for _ in 0..16 {
                    lease.grow(MIB / 2).await.expect("no time passes");
                    tokio::task::yield_now().await;
                }
            }));
        }
        let mut rounds = 0;
        while !growing.is_empty() {
            rounds += 1;
            assert!(rounds < 10_000, "{} leases wait for each other, {} bytes are held", growing.len(), budget.held());
            let mut left = Vec::new();
            for mut lease in growing {
                if poll!(lease.as_mut()).is_pending() {
                    left.push(lease);
                }
            }
            growing = left;
            // Otherwise the task would use up the budget that tokio gives it between two pauses.
            tokio::task::yield_now().await;
            assert!(budget.held() <= 24 * MIB, "the oldest takes no more beyond the limit than it needs");
        }
        assert_eq!(budget.held(), 0);
    }

    #[tokio::test]
    async fn a_lease_that_gives_up_waiting_leaves_nothing_behind() {
        let (budget, clock) = budget(MIB);
        let oldest = lease_of(&budget, "alice").await;
        assert!(grows(&oldest, MIB + FREE_BYTES).await, "it is the oldest");
        let pending = lease_of(&budget, "bob").await;
        {
            let mut waiting = pin!(pending.grow(MIB));
            assert!(poll!(waiting.as_mut()).is_pending());
        }
        {
            let mut waiting = pin!(pending.grow(MIB));
            assert!(poll!(waiting.as_mut()).is_pending());
            clock.advance(Duration::from_mins(1));
            assert!(matches!(poll!(waiting.as_mut()), Poll::Ready(Err(BodyError::NoMemory))));
        }
        {
            let mut waiting = pin!(pending.grow(MIB));
            assert!(poll!(waiting.as_mut()).is_pending());
            // It is granted, and is dropped before it is told.
            drop(oldest);
        }
        assert_eq!(budget.held(), MIB - FREE_BYTES);
        drop(pending);
        assert_eq!(budget.held(), 0);
        let left = format!("{budget:?}");
        assert!(left.contains("live: {}, callers: {}, waiting: {}"), "{left}");
    }

    /// Returns a body that stalls after a mebibyte.
    fn stalled() -> ByteStream {
        let first = stream::iter([Ok(Bytes::from(vec![b'x'; 1 << 20]))]);
        ByteStream::new(None, futures_util::StreamExt::chain(first, stream::pending()))
    }

    /// Returns whether waiting for more of `body` fails within less than a minute because the client is too slow.
    async fn is_too_slow(lease: &Lease, body: &mut ByteStream, clock: &ManualClock) -> bool {
        let mut next = Box::pin(lease.next(body));
        for _ in 0..10 {
            if let Poll::Ready(count_too_slow) = poll!(next.as_mut()) {
                return matches!(count_too_slow, Some(Err(BodyError::TooSlow)));
            }
            clock.advance(Duration::from_secs(5));
        }
        false
    }

    #[tokio::test]
    async fn a_client_that_sends_too_slowly_is_ended_only_while_others_wait_for_what_it_holds() {
        let (budget, clock) = budget(MIB);
        let (slow, mut body) = (lease_of(&budget, "mallory").await, stalled());
        let chunk = slow.next(&mut body).await.expect("a chunk").expect("it is there");
        assert!(grows(&slow, chunk.len() as u64 + FREE_BYTES).await, "it is the oldest");
        assert!(!is_too_slow(&slow, &mut body, &clock).await, "no other lease waits for what it holds");
        let other = lease_of(&budget, "alice").await;
        let mut waiting = Box::pin(other.grow(MIB));
        assert!(poll!(waiting.as_mut()).is_pending());
        assert!(is_too_slow(&slow, &mut body, &clock).await);
        drop(slow);
        assert!(matches!(poll!(waiting.as_mut()), Poll::Ready(Ok(()))), "it is free now");
    }

    #[tokio::test]
    async fn a_client_that_sends_too_slowly_is_ended_while_its_own_caller_waits_for_its_share() {
        let (budget, clock) = budget(16 * MIB);
        let oldest = lease_of(&budget, "alice").await;
        assert!(grows(&oldest, MIB).await);
        let (slow, mut body) = (lease_of(&budget, "mallory").await, stalled());
        slow.next(&mut body).await.expect("a chunk").expect("it is there");
        assert!(grows(&slow, 8 * MIB + FREE_BYTES).await);
        assert!(!is_too_slow(&slow, &mut body, &clock).await, "no other lease waits for what it holds");
        let next = lease_of(&budget, "mallory").await;
        let mut waiting = Box::pin(next.grow(MIB));
        assert!(poll!(waiting.as_mut()).is_pending());
        assert!(is_too_slow(&slow, &mut body, &clock).await);
    }

    #[tokio::test]
    async fn a_client_is_not_blamed_for_time_in_which_it_held_nothing_of_others() {
        let (budget, clock) = budget(MIB);
        let slow = lease_of(&budget, "mallory").await;
        assert!(grows(&slow, FREE_BYTES).await);
        clock.advance(Duration::from_mins(1));
        assert!(grows(&slow, MIB).await, "it is the oldest");
        let pending = lease_of(&budget, "bob").await;
        let mut waiting = Box::pin(pending.grow(MIB / 2 + FREE_BYTES));
        let other = lease_of(&budget, "alice").await;
        let mut others = Box::pin(other.grow(MIB));
        assert!(poll!(waiting.as_mut()).is_pending() && poll!(others.as_mut()).is_pending());
        slow.record_progress(0).expect("what was free came slowly, and no more");
        clock.advance(Duration::from_secs(30));
        assert!(matches!(slow.record_progress(0), Err(BodyError::TooSlow)));
        drop(slow);
        assert!(matches!(poll!(waiting.as_mut()), Poll::Ready(Ok(()))));
        assert!(poll!(others.as_mut()).is_pending());
        pending.record_progress(0).expect("it was the budget that took the time");
        clock.advance(Duration::from_secs(5));
        assert!(matches!(pending.record_progress(0), Err(BodyError::TooSlow)));
    }

    #[tokio::test]
    async fn what_waits_for_the_whole_budget_lets_no_younger_lease_pass() {
        let (budget, _clock) = budget(8 * MIB);
        let oldest = lease_of(&budget, "alice").await;
        assert!(grows(&oldest, 6 * MIB + FREE_BYTES).await);
        let (large, small) = (lease_of(&budget, "bob").await, lease_of(&budget, "carol").await);
        let mut waiting = Box::pin(large.grow(4 * MIB + FREE_BYTES));
        assert!(poll!(waiting.as_mut()).is_pending());
        let mut younger = Box::pin(small.grow(MIB + FREE_BYTES));
        assert!(poll!(younger.as_mut()).is_pending(), "it takes what the older one waits for");
        drop(oldest);
        assert!(poll!(waiting.as_mut()).is_ready() && poll!(younger.as_mut()).is_ready());
    }

    #[tokio::test]
    async fn what_is_gathered_is_held_as_it_arrives() {
        let (budget, _clock) = budget(16 * MIB);
        let first = stream::iter([Ok(Bytes::from(vec![b'x'; 70_000]))]);
        let body = ByteStream::new(Some(8 * MIB), futures_util::StreamExt::chain(first, stream::pending()));
        let lease = lease_of(&budget, "alice").await;
        let mut gathering = pin!(lease.read_all(body, 8 * MIB));
        assert!(poll!(gathering.as_mut()).is_pending());
        assert!(lease.bytes() <= 128 << 10, "{} bytes are held for 70,000", lease.bytes());
    }
}
