//! A clock that tests move by hand.

use std::{
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicI64, AtomicU64, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use tokio::sync::Notify;

use super::{source::Clock, timestamp::Timestamp};

/// A clock that stands still until a test moves it; sleepers wake when it has moved far enough.
#[derive(Debug)]
pub struct ManualClock {
    started: Timestamp,
    /// Elapsed monotonic time.
    passed: Mutex<Duration>,
    /// Milliseconds by which the time of day was set forward, less those by which it was set back.
    jumped: AtomicI64,
    /// Milliseconds for which the machine was suspended.
    suspended: AtomicU64,
    moved: Notify,
}

impl ManualClock {
    /// Returns a clock that shows `now`.
    pub fn new(now: Timestamp) -> Self {
        Self {
            started: now,
            passed: Mutex::new(Duration::ZERO),
            jumped: AtomicI64::new(0),
            suspended: AtomicU64::new(0),
            moved: Notify::new(),
        }
    }

    /// Moves the clock forward and wakes the tasks that waited for that time.
    pub fn advance(&self, by: Duration) {
        *self.passed() += by;
        self.moved.notify_waiters();
    }

    /// Sets the time of day forward by `millis`, or back if that is negative. No time passes.
    pub fn jump(&self, millis: i64) {
        self.jumped.fetch_add(millis, Ordering::SeqCst);
    }

    /// Suspends the machine: time of day and boot time advance, monotonic time stands still.
    pub fn suspend(&self, duration: Duration) {
        self.suspended.fetch_add(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX), Ordering::SeqCst);
    }

    fn passed(&self) -> MutexGuard<'_, Duration> {
        self.passed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        let shown = self.started.plus(self.boot_time()).as_millis();
        Timestamp::from_millis(shown.saturating_add(self.jumped.load(Ordering::SeqCst)))
    }

    fn boot_time(&self) -> Duration {
        *self.passed() + Duration::from_millis(self.suspended.load(Ordering::SeqCst))
    }

    fn monotonic(&self) -> Duration {
        *self.passed()
    }

    async fn sleep(&self, duration: Duration) {
        let until = self.monotonic() + duration;
        loop {
            let moved = self.moved.notified();
            if self.monotonic() >= until {
                return;
            }
            moved.await;
        }
    }
}
