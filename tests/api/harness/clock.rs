//! The machine's clock, with a hand that moves it forward: dates differ when a test says so.

use std::{
    sync::atomic::{AtomicI64, AtomicU64, Ordering},
    time::Duration,
};

use async_trait::async_trait;
use larder::clock::{Clock, SystemClock, Timestamp};

/// The machine's clock, some milliseconds ahead, or by so many behind. Sleepers sleep in real time, so that nothing hangs for want of a hand.
#[derive(Debug, Default)]
pub(crate) struct ShiftedClock {
    ahead_ms: AtomicU64,
    behind: Duration,
    wrong_by_ms: AtomicI64,
}

impl ShiftedClock {
    /// Creates a clock whose time is `moment` now, which is in the past.
    pub(crate) fn from(moment: Timestamp) -> Self {
        Self { behind: SystemClock.now().since(moment), ..Self::default() }
    }

    /// Moves the clock forward.
    pub(crate) fn advance(&self, by: Duration) {
        let millis = u64::try_from(by.as_millis()).expect("a test does not wait for ages");
        self.ahead_ms.fetch_add(millis, Ordering::SeqCst);
    }

    /// Makes the time of day wrong by so many milliseconds; 0 sets it right. The monotonic clock does not change.
    pub(crate) fn set_wrong_by(&self, millis: i64) {
        self.wrong_by_ms.store(millis, Ordering::SeqCst);
    }

    fn ahead(&self) -> Duration {
        Duration::from_millis(self.ahead_ms.load(Ordering::SeqCst))
    }
}

#[async_trait]
impl Clock for ShiftedClock {
    fn now(&self) -> Timestamp {
        let right = SystemClock.now().minus(self.behind).plus(self.ahead());
        Timestamp::from_millis(right.as_millis() + self.wrong_by_ms.load(Ordering::SeqCst))
    }

    fn monotonic(&self) -> Duration {
        SystemClock.monotonic() + self.ahead()
    }

    async fn sleep(&self, duration: Duration) {
        SystemClock.sleep(duration).await;
    }
}
