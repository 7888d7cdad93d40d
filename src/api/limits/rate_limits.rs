//! Rate limits: requests per second of one caller, for one store, and for the records of one store. Each gateway counts
//! on its own, in whole seconds that begin with the first request.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use http::HeaderValue;
use moka::sync::Cache;

use crate::{
    api::message::error::ApiError,
    clock::Clock,
    kv::{StoreId, UserId},
};

/// The platform's limits in requests per second, which clients see where there is no limit.
const PLATFORM_LIMITS: [u32; 2] = [200, 60];

/// Length of a window.
const WINDOW: Duration = Duration::from_secs(1);

/// Maximum number of callers and stores that are key at once; an evicted one starts anew.
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
        let mut all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
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

    /// Takes back a request of the current window that is key under another subject.
    pub fn refund(&self, key: RateLimitKey) {
        if let Some(window) = self.windows.get(&key) {
            let mut window = window.lock().unwrap_or_else(PoisonError::into_inner);
            window.count = window.count.saturating_sub(1);
        }
    }

    /// Registers a request that waits for the end of a run, or rejects it if too many of the caller wait already.
    pub fn start_wait(&self, key: RateLimitKey) -> Result<WaitGuard, ApiError> {
        let limit = match key {
            RateLimitKey::User(_) => MAX_WAITS_PER_USER,
            RateLimitKey::Address(_) | RateLimitKey::Records(_) | RateLimitKey::Store(_) => MAX_WAITS_PER_ADDRESS,
        };
        let mut all = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
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
        let mut window = window.lock().unwrap_or_else(PoisonError::into_inner);
        if now.saturating_sub(window.began) >= WINDOW {
            *window = Window { began: now, count: 0 };
        }
        window.count = window.count.saturating_add(1);
        if window.count > limit { Err(ApiError::rate_limited(limit)) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use crate::clock::{ManualClock, SeededRandom, Timestamp};

    use super::*;

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
            clock.advance(WINDOW);
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
