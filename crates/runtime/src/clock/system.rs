//! The clock of the machine.
#![expect(clippy::disallowed_methods, reason = "this is the one place that reads the system's clock")]

use std::{
    sync::LazyLock,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use async_trait::async_trait;
use rustix::time::{ClockId, clock_gettime};

use super::{source::Clock, timestamp::Timestamp};

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
