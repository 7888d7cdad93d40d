//! The machine's clock, with a hand that moves it forward: dates differ when a test says so.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use async_trait::async_trait;
use larder::clock::{Clock, SystemClock, Timestamp};

/// The machine's clock, some milliseconds ahead, or by so many behind. Sleepers sleep in real time, so that nothing hangs for want of a hand.
#[derive(Debug, Default)]
pub(crate) struct ShiftedClock {
    ahead_ms: AtomicU64,
    behind: Duration,
}

impl ShiftedClock {
    /// A clock that says that it is `moment` now, which has been.
    pub(crate) fn from(moment: Timestamp) -> Self {
        Self { behind: SystemClock.now().since(moment), ..Self::default() }
    }

    /// Moves the clock forward.
    pub(crate) fn advance(&self, by: Duration) {
        let millis = u64::try_from(by.as_millis()).expect("a test does not wait for ages");
        self.ahead_ms.fetch_add(millis, Ordering::SeqCst);
    }

    fn ahead(&self) -> Duration {
        Duration::from_millis(self.ahead_ms.load(Ordering::SeqCst))
    }
}

#[async_trait]
impl Clock for ShiftedClock {
    fn now(&self) -> Timestamp {
        SystemClock.now().minus(self.behind).plus(self.ahead())
    }

    fn monotonic(&self) -> Duration {
        SystemClock.monotonic() + self.ahead()
    }

    async fn sleep(&self, duration: Duration) {
        SystemClock.sleep(duration).await;
    }
}
