//! A clock that tests move by hand.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use tokio::sync::Notify;

use super::{source::Clock, timestamp::Timestamp};

/// A clock that stands still until it is told to move; sleepers wake when it has moved far enough.
#[derive(Debug)]
pub struct ManualClock {
    started: Timestamp,
    passed: Mutex<Duration>,
    moved: Notify,
}

impl ManualClock {
    /// A clock that shows `now`.
    pub fn new(now: Timestamp) -> Self {
        Self { started: now, passed: Mutex::new(Duration::ZERO), moved: Notify::new() }
    }

    /// Moves the clock forward and wakes whoever waited for that.
    pub fn advance(&self, by: Duration) {
        *self.passed() += by;
        self.moved.notify_waiters();
    }

    fn passed(&self) -> MutexGuard<'_, Duration> {
        self.passed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        self.started.plus(*self.passed())
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
