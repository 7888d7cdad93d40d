//! Limits on requests: how many at once, and how many per second.
//!
//! Each gateway counts on its own. Nothing here limits memory (`storage::MemoryBudget`), connections (`server`) or stored
//! data (quotas).
//!
//! # Concurrent requests
//!
//! Load beyond the capacity of this gateway and its object store must not make every client wait: a few requests wait
//! briefly, and the others are rejected at once. A burst is no overload: as long as some request within the last second
//! got a permit without a long wait, all requests may wait. This is the idea of `CoDel` (RFC 8289); its target is
//! [`CODEL_TARGET`], its interval [`CODEL_INTERVAL`].
//!
//! The limit counts the work of the server itself. A large record, or one of unknown length, proceeds at the speed of
//! its client and is not counted. A request that takes longer than [`MAX_HOLD`] waits for its client, or moves gigabytes,
//! and loses its permit.
//!
//! # Rates
//!
//! Rate limits count requests per second of one caller, for one store, and for the records of one store. Each gateway
//! counts on its own, in whole seconds that begin with the first request.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use http::{HeaderMap, HeaderValue, header};
use moka::sync::Cache;
use parking_lot::Mutex;
use tokio::sync::Semaphore;

use crate::{
    clock::Clock,
    kv::{StoreId, UserId},
    telemetry::{MetricKind, Metrics, Sample},
};

use super::message::error::ApiError;

/// Maximum length of a body that is counted: as much as arrives with the head, or right behind it.
const MAX_COUNTED_BODY_BYTES: u64 = 64 * 1024;

/// Maximum time for which a request holds its permit; up to one [`WINDOW`] longer.
const MAX_HOLD: Duration = Duration::from_secs(1);

/// Number of time windows whose requests may still hold permits: those of [`MAX_HOLD`], and the current one.
const WINDOWS: usize = WINDOWS_OF_HOLD as usize + 1;

const WINDOWS_OF_HOLD: u32 = 8;

/// Length of a time window. Requests that arrive in the same window lose their permits together.
const WINDOW: Duration = match MAX_HOLD.checked_div(WINDOWS_OF_HOLD) {
    Some(window) => window,
    None => MAX_HOLD,
};

/// Time without any short wait after which the state counts as an overload.
const CODEL_INTERVAL: Duration = Duration::from_secs(1);

/// Maximum wait for a permit in an overload. Half of it is a short wait.
const CODEL_TARGET: Duration = Duration::from_millis(20);

/// Maximum wait for a permit otherwise.
const MAX_WAIT: Duration = Duration::from_secs(5);

/// Minimum interval between log entries about an overload.
const LOG_INTERVAL: Duration = Duration::from_secs(10);

/// Rejection of a request because of an overload.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("too many concurrent requests (the limit is LARDER_MAX_REQUESTS)")]
pub struct Overloaded;

/// Limiter of concurrent requests.
///
/// Admitted requests set no timer: most end in less than a millisecond. A counter for each time window has the number
/// of its requests that still hold permits; later requests reclaim permits that were held for too long.
#[derive(Debug)]
pub struct ConcurrencyLimit {
    permits: Semaphore,
    windows: [AtomicU64; WINDOWS],
    /// First window whose permits are not reclaimed yet; one task at a time reclaims.
    next_to_reclaim: Mutex<u64>,
    clock: Arc<dyn Clock>,
    /// Last time that a permit was acquired without a long wait, in milliseconds of the monotonic clock.
    last_uncontended: AtomicU64,
    rejected: Arc<AtomicU64>,
    last_logged: AtomicU64,
}

/// Permit, held until it is dropped or reclaimed.
#[derive(Debug)]
pub struct Permit<'a> {
    concurrency: &'a ConcurrencyLimit,
    /// Window in which the permit was acquired; `None` if it is not counted.
    window: Option<u64>,
}

impl ConcurrencyLimit {
    /// Returns a limiter for `limit` concurrent requests; without a limit for any number.
    pub fn new(limit: Option<usize>, clock: Arc<dyn Clock>, metrics: &Metrics) -> Self {
        let rejected = Arc::new(AtomicU64::new(0));
        let shown = Arc::clone(&rejected);
        let help = "Total number of requests rejected by the concurrency limit (LARDER_MAX_REQUESTS).";
        metrics.register("larder_requests_rejected_total", help, MetricKind::Counter, move || {
            vec![Sample::new(shown.load(Ordering::Relaxed))]
        });
        Self::with_counter(limit, clock, rejected)
    }

    /// Returns the same limiter with another limit. Requests that are admitted or waiting do not count against it.
    #[must_use]
    pub fn with_limit(&self, limit: Option<usize>) -> Self {
        Self::with_counter(limit, Arc::clone(&self.clock), Arc::clone(&self.rejected))
    }

    fn with_counter(limit: Option<usize>, clock: Arc<dyn Clock>, rejected: Arc<AtomicU64>) -> Self {
        let permits = Semaphore::new(limit.unwrap_or(Semaphore::MAX_PERMITS).min(Semaphore::MAX_PERMITS));
        Self {
            permits,
            windows: Default::default(),
            next_to_reclaim: Mutex::new(0),
            clock,
            last_uncontended: AtomicU64::new(0),
            rejected,
            last_logged: AtomicU64::new(0),
        }
    }

    /// Acquires a permit for a request that arrived at `now`, by the monotonic clock, after a wait if necessary.
    /// `streamed` has the header fields of a request whose body is streamed; every other request is counted, whatever
    /// its headers.
    pub async fn acquire(&self, streamed: Option<&HeaderMap>, now: Duration) -> Result<Permit<'_>, Overloaded> {
        if !streamed.is_none_or(is_counted) {
            return Ok(self.uncounted());
        }
        let Ok(permit) = self.permits.try_acquire() else { return self.wait(now).await };
        permit.forget();
        self.last_uncontended.store(millis(now), Ordering::Relaxed);
        Ok(self.acquired_at(now))
    }

    /// Returns a permit that is not counted, for requests that delay no others.
    pub fn uncounted(&self) -> Permit<'_> {
        Permit { concurrency: self, window: None }
    }

    async fn wait(&self, now: Duration) -> Result<Permit<'_>, Overloaded> {
        let last_uncontended = Duration::from_millis(self.last_uncontended.load(Ordering::Relaxed));
        let max_wait = if now.saturating_sub(last_uncontended) < CODEL_INTERVAL { MAX_WAIT } else { CODEL_TARGET };
        let mut acquired = std::pin::pin!(self.permits.acquire());
        let mut waited = Duration::ZERO;
        loop {
            self.reclaim_expired(now + waited);
            let interval = max_wait.saturating_sub(waited).min(WINDOW);
            tokio::select! {
                biased;
                permit = acquired.as_mut() => {
                    permit.map_err(|_| Overloaded)?.forget();
                    break;
                }
                () = self.clock.sleep(interval) => waited = self.clock.monotonic().saturating_sub(now),
            }
            if waited >= max_wait {
                return Err(self.reject());
            }
        }
        let found_at = self.clock.monotonic();
        if found_at.saturating_sub(now) <= CODEL_TARGET / 2 {
            self.last_uncontended.store(millis(found_at), Ordering::Relaxed);
        }
        Ok(self.acquired_at(found_at))
    }

    /// Records a permit acquired at `now`.
    fn acquired_at(&self, now: Duration) -> Permit<'_> {
        let window = window_at(now);
        let slot = self.window(window);
        let began = WindowCount { window, held: 1 };
        let before = slot.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |word| {
            let WindowCount { window: known, held } = WindowCount::read(word);
            Some(if known == window { WindowCount { window, held: held + 1 } } else { began }.word())
        });
        // A request that still holds a permit from [`WINDOWS`] windows ago has held it for too long.
        let before = WindowCount::read(before.unwrap_or_default());
        if before.window != window {
            self.permits.add_permits(before.held as usize);
        }
        Permit { concurrency: self, window: Some(window) }
    }

    /// Reclaims the permits that at `now` have been held for too long.
    fn reclaim_expired(&self, now: Duration) {
        let Some(last) = window_at(now).checked_sub(WINDOWS as u64) else { return };
        let mut next_to_reclaim = self.next_to_reclaim.lock();
        if *next_to_reclaim > last {
            return;
        }
        *next_to_reclaim = last + 1;
        for slot in &self.windows {
            let emptied = slot.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |word| {
                let WindowCount { window, held } = WindowCount::read(word);
                (window <= last && held > 0).then_some(WindowCount { window, held: 0 }.word())
            });
            if let Ok(word) = emptied {
                self.permits.add_permits(WindowCount::read(word).held as usize);
            }
        }
    }

    /// Releases a permit that was acquired in `window`, unless it is already reclaimed.
    fn release(&self, window: u64) {
        let released = self.window(window).fetch_update(Ordering::Relaxed, Ordering::Relaxed, |word| {
            let WindowCount { window: known, held } = WindowCount::read(word);
            (known == window && held > 0).then(|| WindowCount { window, held: held - 1 }.word())
        });
        if released.is_ok() {
            self.permits.add_permits(1);
        }
    }

    fn window(&self, window: u64) -> &AtomicU64 {
        &self.windows[usize::try_from(window % WINDOWS as u64).unwrap_or_default()]
    }

    fn reject(&self) -> Overloaded {
        let count = self.rejected.fetch_add(1, Ordering::Relaxed) + 1;
        let (now, last_logged) = (millis(self.clock.monotonic()), self.last_logged.load(Ordering::Relaxed));
        let is_due = last_logged == 0 || now.saturating_sub(last_logged) >= millis(LOG_INTERVAL);
        if is_due
            && self.last_logged.compare_exchange(last_logged, now.max(1), Ordering::Relaxed, Ordering::Relaxed).is_ok()
        {
            tracing::warn!(count, "overloaded: requests are rejected; the count is the total since the start");
        }
        Overloaded
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        if let Some(window) = self.window {
            self.concurrency.release(window);
        }
    }
}

/// Number of permits of a time window that are still held, in one word, so that it changes atomically.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct WindowCount {
    window: u64,
    held: u32,
}

impl WindowCount {
    /// The upper half of the word is the window's number, the lower half the count.
    const HALF: u64 = 0xFFFF_FFFF;

    fn read(word: u64) -> Self {
        Self { window: word >> 32, held: u32::try_from(word & Self::HALF).unwrap_or_default() }
    }

    fn word(self) -> u64 {
        self.window << 32 | u64::from(self.held)
    }
}

/// Returns the number of the window that contains a moment. (The numbers last for seventeen years.)
fn window_at(now: Duration) -> u64 {
    (millis(now) / millis(WINDOW)) & WindowCount::HALF
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// Returns whether a streamed request with these headers is work for the server more than for its client.
fn is_counted(headers: &HeaderMap) -> bool {
    let length = headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    length.map_or_else(|| !headers.contains_key(header::TRANSFER_ENCODING), |length| length <= MAX_COUNTED_BODY_BYTES)
}

/// The platform's limits in requests per second, which clients see where there is no limit.
const PLATFORM_LIMITS: [u32; 2] = [200, 60];

/// Length of a window.
const RATE_WINDOW: Duration = Duration::from_secs(1);

/// Maximum number of callers and stores that are counted at once; an evicted one starts anew.
const MAX_TRACKED_KEYS: u64 = 200_000;

/// Maximum number of a user's requests that wait for the ends of runs.
const MAX_WAITS_PER_USER: usize = 1000;

/// Maximum number of requests without a token, from one address, that wait for the ends of runs.
const MAX_WAITS_PER_ADDRESS: usize = 8;

/// Limits in requests per second; `None` for no limit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RateOptions {
    /// Of one caller: a user, or an address without a token.
    pub caller: Option<u32>,
    /// For the records of one store.
    pub records: Option<u32>,
    /// For everything else of one store.
    pub store: Option<u32>,
}

/// Subject of a limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RateLimitKey {
    /// A user's requests.
    User(UserId),
    /// Requests without a valid token, by their address.
    Address(Option<IpAddr>),
    /// Requests for a store's records.
    Records(StoreId),
    /// Other requests for a store.
    Store(StoreId),
}

/// Requests within a window.
#[derive(Debug)]
struct Window {
    began: Duration,
    count: u32,
}

/// Rate limiter.
#[derive(Debug)]
pub struct RateLimits {
    options: RateOptions,
    windows: Cache<RateLimitKey, Arc<Mutex<Window>>>,
    clock: Arc<dyn Clock>,
    advertised: [HeaderValue; 2],
    waiting: Arc<Mutex<HashMap<RateLimitKey, usize>>>,
}

/// Guard of a request that waits for the end of a run; key until it is dropped.
#[derive(Debug)]
pub struct WaitGuard {
    all: Arc<Mutex<HashMap<RateLimitKey, usize>>>,
    key: RateLimitKey,
}

impl Drop for WaitGuard {
    fn drop(&mut self) {
        let mut all = self.all.lock();
        match all.get_mut(&self.key) {
            Some(count) if *count > 1 => *count -= 1,
            Some(_) | None => drop(all.remove(&self.key)),
        }
    }
}

impl RateLimits {
    /// Returns a limiter without any counts.
    pub fn new(options: RateOptions, clock: Arc<dyn Clock>) -> Self {
        let [records, others] = PLATFORM_LIMITS;
        let advertised = [options.records.unwrap_or(records), options.store.unwrap_or(others)].map(HeaderValue::from);
        Self { options, windows: Cache::new(MAX_TRACKED_KEYS), clock, advertised, waiting: Arc::default() }
    }

    /// Returns the same counts with other limits.
    #[must_use]
    pub fn with_options(&self, options: RateOptions) -> Self {
        let begun = Self::new(options, Arc::clone(&self.clock));
        Self { windows: self.windows.clone(), waiting: Arc::clone(&self.waiting), ..begun }
    }

    /// Returns the limit that clients see; they rely on it.
    pub fn advertised_limit(&self, is_about_record: bool) -> HeaderValue {
        let [records, others] = &self.advertised;
        if is_about_record { records.clone() } else { others.clone() }
    }

    /// Returns whether requests of callers are limited.
    pub fn limits_callers(&self) -> bool {
        self.options.caller.is_some()
    }

    /// Takes back a request of the current window that counts for another subject.
    pub fn refund(&self, key: RateLimitKey) {
        if let Some(window) = self.windows.get(&key) {
            let mut window = window.lock();
            window.count = window.count.saturating_sub(1);
        }
    }

    /// Registers a request that waits for the end of a run, or rejects it if too many of the caller wait already.
    pub fn start_wait(&self, key: RateLimitKey) -> Result<WaitGuard, ApiError> {
        let limit = match key {
            RateLimitKey::User(_) => MAX_WAITS_PER_USER,
            RateLimitKey::Address(_) | RateLimitKey::Records(_) | RateLimitKey::Store(_) => MAX_WAITS_PER_ADDRESS,
        };
        let mut all = self.waiting.lock();
        let count = all.entry(key).or_default();
        if *count >= limit {
            return Err(ApiError::too_many_waits(limit));
        }
        *count += 1;
        Ok(WaitGuard { all: Arc::clone(&self.waiting), key })
    }

    /// Counts a request, or rejects it if it exceeds the limit.
    pub fn check(&self, key: RateLimitKey) -> Result<(), ApiError> {
        let limit = match key {
            RateLimitKey::User(_) | RateLimitKey::Address(_) => self.options.caller,
            RateLimitKey::Records(_) => self.options.records,
            RateLimitKey::Store(_) => self.options.store,
        };
        let Some(limit) = limit else { return Ok(()) };
        let now = self.clock.monotonic();
        let window = self.windows.get_with(key, || Arc::new(Mutex::new(Window { began: now, count: 0 })));
        let mut window = window.lock();
        if now.saturating_sub(window.began) >= RATE_WINDOW {
            *window = Window { began: now, count: 0 };
        }
        window.count = window.count.saturating_add(1);
        if window.count > limit { Err(ApiError::rate_limited(limit)) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use std::{pin::pin, task::Poll};

    use crate::clock::{ManualClock, SeededRandom, Timestamp};

    use super::*;

    struct Fixture {
        concurrency: ConcurrencyLimit,
        clock: Arc<ManualClock>,
    }

    impl Fixture {
        fn new(limit: usize) -> Self {
            let clock = Arc::new(ManualClock::new(Timestamp::from_millis(0)));
            let of_fixture = Arc::clone(&clock) as Arc<dyn Clock>;
            Self { concurrency: ConcurrencyLimit::new(Some(limit), of_fixture, &Metrics::default()), clock }
        }

        async fn acquire(&self) -> Result<Permit<'_>, Overloaded> {
            self.concurrency.acquire(None, self.clock.monotonic()).await
        }

        /// Returns whether a request that arrives now is rejected after `max_wait`.
        async fn rejects_after(&self, max_wait: Duration) -> bool {
            let waiting = self.acquire();
            let mut waiting = pin!(waiting);
            assert!(futures_util::poll!(waiting.as_mut()).is_pending(), "there was a permit");
            self.clock.advance(max_wait);
            matches!(futures_util::poll!(waiting.as_mut()), Poll::Ready(Err(Overloaded)))
        }
    }

    #[tokio::test]
    async fn in_a_burst_all_requests_queue_and_in_an_overload_none_does() {
        let fixture = Fixture::new(1);
        let first = fixture.acquire().await;
        assert!(!fixture.rejects_after(CODEL_INTERVAL / 2).await, "a burst is over soon");
        let second = {
            let waiting = fixture.acquire();
            let mut waiting = pin!(waiting);
            assert!(futures_util::poll!(waiting.as_mut()).is_pending());
            fixture.clock.advance(CODEL_INTERVAL / 4);
            drop(first);
            waiting.await
        };
        assert!(second.is_ok());
        fixture.clock.advance(CODEL_INTERVAL / 2);
        assert!(fixture.rejects_after(CODEL_TARGET).await, "for a second every request waited for long");
        drop(second);
        assert!(fixture.acquire().await.is_ok_and(|permit| permit.window.is_some()));
        let _third = fixture.acquire().await;
        assert!(!fixture.rejects_after(CODEL_TARGET).await, "there was a permit a moment ago");
        assert_eq!(fixture.concurrency.rejected.load(Ordering::Relaxed), 1);
    }

    #[tokio::test]
    async fn a_waiting_request_gets_the_first_free_permit() {
        let fixture = Fixture::new(1);
        let first = fixture.acquire().await;
        let waiting = fixture.acquire();
        let mut waiting = pin!(waiting);
        assert!(futures_util::poll!(waiting.as_mut()).is_pending());
        drop(first);
        assert!(matches!(futures_util::poll!(waiting.as_mut()), Poll::Ready(Ok(_))));
    }

    #[tokio::test]
    async fn a_permit_that_is_held_for_too_long_is_reclaimed_once() {
        for pause in [MAX_HOLD + WINDOW, MAX_HOLD * 20] {
            let fixture = Fixture::new(2);
            let (long, longer) = (fixture.acquire().await, fixture.acquire().await);
            fixture.clock.advance(pause);
            let others = (fixture.acquire().await, fixture.acquire().await);
            assert!(others.0.is_ok() && others.1.is_ok(), "the first two have lost their permits");
            drop((long, longer));
            assert_eq!(fixture.concurrency.permits.available_permits(), 0, "both permits were reclaimed already");
            drop(others);
            assert_eq!(fixture.concurrency.permits.available_permits(), 2);
        }
    }

    #[tokio::test]
    async fn a_permit_is_not_reclaimed_before_its_time() {
        let fixture = Fixture::new(1);
        let permit = fixture.acquire().await;
        fixture.clock.advance(MAX_HOLD * 7 / 8);
        assert!(!fixture.rejects_after(Duration::ZERO).await);
        drop(permit);
        assert_eq!(fixture.concurrency.permits.available_permits(), 1);
    }

    #[test]
    fn large_uploads_are_not_counted() {
        let with = |name: header::HeaderName, value: &'static str| {
            HeaderMap::from_iter([(name, header::HeaderValue::from_static(value))])
        };
        assert!(is_counted(&HeaderMap::new()));
        assert!(is_counted(&with(header::CONTENT_LENGTH, "65536")));
        assert!(!is_counted(&with(header::CONTENT_LENGTH, "65537")));
        assert!(!is_counted(&with(header::TRANSFER_ENCODING, "chunked")));
    }

    #[test]
    fn the_first_request_beyond_the_limit_is_refused_until_the_second_is_over() {
        let clock = Arc::new(ManualClock::new(Timestamp::from_millis(0)));
        let limits = RateLimits::new(RateOptions { store: Some(60), ..RateOptions::default() }, clock.clone());
        let random = SeededRandom::new(1);
        let (one, other) = (StoreId::generate(&random), StoreId::generate(&random));
        for _ in 0..2 {
            for request in 1..=100 {
                assert_eq!(limits.check(RateLimitKey::Store(one)).is_ok(), request <= 60, "{request}");
                assert!(limits.check(RateLimitKey::Records(one)).is_ok());
            }
            assert!(limits.check(RateLimitKey::Store(other)).is_ok());
            clock.advance(RATE_WINDOW);
        }
    }

    #[test]
    fn a_request_that_is_given_back_leaves_room_for_another() {
        let clock = Arc::new(ManualClock::new(Timestamp::from_millis(0)));
        let limits = RateLimits::new(RateOptions { caller: Some(1), ..RateOptions::default() }, clock);
        let guess = RateLimitKey::Address(None);
        assert!(limits.check(guess).is_ok() && limits.check(guess).is_err());
        limits.refund(guess);
        limits.refund(guess);
        assert!(limits.check(guess).is_ok() && limits.check(guess).is_err());
    }

    #[test]
    fn clients_get_the_configured_limit_or_that_of_the_platform() {
        let advertised = |options| {
            let limits = RateLimits::new(options, Arc::new(ManualClock::new(Timestamp::from_millis(0))));
            [limits.advertised_limit(true), limits.advertised_limit(false)]
        };
        assert_eq!(advertised(RateOptions::default()), ["200", "60"]);
        assert_eq!(advertised(RateOptions { records: Some(7), store: Some(5), caller: Some(1) }), ["7", "5"]);
    }
}
