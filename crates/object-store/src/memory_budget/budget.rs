//! Accounts of the memory budget: the holdings of each caller, the waiting leases, and the order of grants.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use tokio::sync::oneshot;

use larder_runtime::{
    clock::{Clock, SystemClock},
    telemetry::{MetricKind, Metrics, Sample, request_context::ClientIdentity},
};

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
    pub(super) fn ticket(&self) -> u64 {
        self.next_ticket.fetch_add(1, Relaxed)
    }

    /// Returns the clock that measures the rates of clients.
    pub(super) fn clock(&self) -> &dyn Clock {
        self.clock.as_ref()
    }

    /// Counts a request that got no memory in time.
    pub(super) fn count_no_memory(&self) {
        self.refused.fetch_add(1, Relaxed);
    }

    /// Counts a client that was too slow for the memory it held.
    pub(super) fn count_too_slow(&self) {
        self.too_slow.fetch_add(1, Relaxed);
    }

    /// Requests `bytes` more for a lease; they are charged when granted.
    pub(super) fn request(&self, ticket: u64, caller: ClientIdentity, bytes: u64) -> oneshot::Receiver<()> {
        let (granted, is_granted) = oneshot::channel();
        let mut state = self.state();
        state.live.insert(ticket);
        let own = state.callers.entry(caller).or_default();
        own.live.insert(ticket);
        own.waiting += 1;
        state.waiting.insert(ticket, Waiting { caller, bytes, granted });
        self.grant_waiting(state);
        is_granted
    }

    /// Removes a lease from the waiting ones; returns whether it was waiting.
    pub(super) fn stop_waiting(&self, ticket: u64) -> bool {
        let mut state = self.state();
        let has_waited = state.stop_waiting(ticket).is_some();
        if has_waited {
            self.grant_waiting(state);
        }
        has_waited
    }

    /// Takes back `bytes` of a lease that stays open.
    pub(super) fn return_bytes(&self, caller: &ClientIdentity, bytes: u64) {
        let mut state = self.state();
        state.release(caller, bytes);
        self.grant_waiting(state);
    }

    /// Takes back everything that a lease was charged, and ends it.
    pub(super) fn close(&self, ticket: u64, caller: &ClientIdentity, charged: u64) {
        let mut state = self.state();
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
    pub(super) fn is_contended(&self, caller: &ClientIdentity) -> bool {
        let state = self.state();
        state.is_exhausted || state.callers.get(caller).is_some_and(|own| own.waiting > 0)
    }

    fn grant_waiting(&self, mut state: MutexGuard<'_, State>) {
        state.grant_waiting(self.limit);
        self.held.store(state.held, Relaxed);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
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
