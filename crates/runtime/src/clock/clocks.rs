//! The clock interface, with the clock of the machine and one that tests move by hand.
//!
//! All code that needs the time receives a [`Clock`]. Only this file reads the system's clock.
#![expect(clippy::disallowed_methods, reason = "only this file reads the system's clock")]

use std::{
    fmt::Debug,
    sync::{
        LazyLock, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicI64, AtomicU64, Ordering},
    },
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use async_trait::async_trait;
use rustix::time::{ClockId, clock_gettime};
use tokio::sync::Notify;

use super::timestamp::Timestamp;

/// A source of time: the wall clock for what users see, a monotonic one for ages and deadlines.
#[async_trait]
pub trait Clock: Debug + Send + Sync + 'static {
    /// Returns the time of day.
    fn now(&self) -> Timestamp;

    /// Returns the time since an arbitrary fixed instant. It never goes back, and changes of the time of day do not
    /// affect it.
    fn monotonic(&self) -> Duration;

    /// Returns the time since an arbitrary fixed instant, including time in which the machine was suspended. A change
    /// of the time of day does not move it, so it tells such a change from elapsed time. For machines that are never
    /// suspended it equals the monotonic time.
    fn boot_time(&self) -> Duration {
        self.monotonic()
    }

    /// Returns once `duration` has passed by [`Clock::monotonic`].
    async fn sleep(&self, duration: Duration);
}

/// First reading of the clock in this process: the zero of [`Clock::monotonic`].
static STARTED: LazyLock<Instant> = LazyLock::new(Instant::now);

/// The kernel's clock that also runs while the machine is suspended.
#[cfg(any(target_os = "linux", target_os = "android"))]
const BOOT_CLOCK: ClockId = ClockId::Boottime;

/// The kernel's clock that also runs while the machine is suspended: on Apple systems, the monotonic clock.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
const BOOT_CLOCK: ClockId = ClockId::Monotonic;

/// The clock of the machine.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

#[async_trait]
impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Timestamp::from_millis(i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX))
    }

    fn monotonic(&self) -> Duration {
        STARTED.elapsed()
    }

    fn boot_time(&self) -> Duration {
        let time = clock_gettime(BOOT_CLOCK);
        let nanos = u32::try_from(time.tv_nsec).unwrap_or_default();
        Duration::new(u64::try_from(time.tv_sec).unwrap_or_default(), nanos)
    }

    async fn sleep(&self, duration: Duration) {
        tokio::time::sleep(duration).await;
    }
}

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
