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
const PLATFORM: [u32; 2] = [200, 60];

/// Length of a window.
const WINDOW: Duration = Duration::from_secs(1);

/// Maximum number of callers and stores that are counted at once; an evicted one starts anew.
const MAX_COUNTED: u64 = 200_000;

/// Maximum number of a user's requests that wait for the ends of runs.
const MAX_WAITING_OF_USER: usize = 1000;

/// Maximum number of requests without a token, from one address, that wait for the ends of runs.
const MAX_WAITING_OF_ADDRESS: usize = 8;

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
pub enum Counted {
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
    windows: Cache<Counted, Arc<Mutex<Window>>>,
    clock: Arc<dyn Clock>,
    told: [HeaderValue; 2],
    waiting: Arc<Mutex<HashMap<Counted, usize>>>,
}

/// Guard of a request that waits for the end of a run; counted until it is dropped.
#[derive(Debug)]
pub struct Waiting {
    all: Arc<Mutex<HashMap<Counted, usize>>>,
    counted: Counted,
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let mut all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        match all.get_mut(&self.counted) {
            Some(count) if *count > 1 => *count -= 1,
            Some(_) | None => drop(all.remove(&self.counted)),
        }
    }
}

impl RateLimits {
    /// Returns a limiter without any counts.
    pub fn new(options: RateOptions, clock: Arc<dyn Clock>) -> Self {
        let [records, others] = PLATFORM;
        let told = [options.records.unwrap_or(records), options.store.unwrap_or(others)].map(HeaderValue::from);
        Self { options, windows: Cache::new(MAX_COUNTED), clock, told, waiting: Arc::default() }
    }

    /// Returns the same counts with other limits.
    #[must_use]
    pub fn with(&self, options: RateOptions) -> Self {
        let begun = Self::new(options, Arc::clone(&self.clock));
        Self { windows: self.windows.clone(), waiting: Arc::clone(&self.waiting), ..begun }
    }

    /// Returns the limit that clients see; they rely on it.
    pub fn told(&self, is_about_record: bool) -> HeaderValue {
        let [records, others] = &self.told;
        if is_about_record { records.clone() } else { others.clone() }
    }

    /// Returns whether requests of callers are limited.
    pub fn limits_callers(&self) -> bool {
        self.options.caller.is_some()
    }

    /// Takes back a request of the current window that is counted under another subject.
    pub fn give_back(&self, counted: Counted) {
        if let Some(window) = self.windows.get(&counted) {
            let mut window = window.lock().unwrap_or_else(PoisonError::into_inner);
            window.count = window.count.saturating_sub(1);
        }
    }

    /// Registers a request that waits for the end of a run, or rejects it if too many of the caller wait already.
    pub fn wait(&self, counted: Counted) -> Result<Waiting, ApiError> {
        let limit = match counted {
            Counted::User(_) => MAX_WAITING_OF_USER,
            Counted::Address(_) | Counted::Records(_) | Counted::Store(_) => MAX_WAITING_OF_ADDRESS,
        };
        let mut all = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let count = all.entry(counted).or_default();
        if *count >= limit {
            return Err(ApiError::too_many_waiting(limit));
        }
        *count += 1;
        Ok(Waiting { all: Arc::clone(&self.waiting), counted })
    }

    /// Counts a request, or rejects it if it exceeds the limit.
    pub fn take(&self, counted: Counted) -> Result<(), ApiError> {
        let limit = match counted {
            Counted::User(_) | Counted::Address(_) => self.options.caller,
            Counted::Records(_) => self.options.records,
            Counted::Store(_) => self.options.store,
        };
        let Some(limit) = limit else { return Ok(()) };
        let now = self.clock.monotonic();
        let window = self.windows.get_with(counted, || Arc::new(Mutex::new(Window { began: now, count: 0 })));
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
                assert_eq!(limits.take(Counted::Store(one)).is_ok(), request <= 60, "{request}");
                assert!(limits.take(Counted::Records(one)).is_ok());
            }
            assert!(limits.take(Counted::Store(other)).is_ok());
            clock.advance(WINDOW);
        }
    }

    #[test]
    fn a_request_that_is_given_back_leaves_room_for_another() {
        let clock = Arc::new(ManualClock::new(Timestamp::from_millis(0)));
        let limits = RateLimits::new(RateOptions { caller: Some(1), ..RateOptions::default() }, clock);
        let guess = Counted::Address(None);
        assert!(limits.take(guess).is_ok() && limits.take(guess).is_err());
        limits.give_back(guess);
        limits.give_back(guess);
        assert!(limits.take(guess).is_ok() && limits.take(guess).is_err());
    }

    #[test]
    fn clients_are_told_the_limit_that_is_or_that_of_the_platform() {
        let told = |options| {
            let limits = RateLimits::new(options, Arc::new(ManualClock::new(Timestamp::from_millis(0))));
            [limits.told(true), limits.told(false)]
        };
        assert_eq!(told(RateOptions::default()), ["200", "60"]);
        assert_eq!(told(RateOptions { records: Some(7), store: Some(5), caller: Some(1) }), ["7", "5"]);
    }
}
