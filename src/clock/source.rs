//! What a clock is: everything that is told the time takes one.

use std::{fmt::Debug, time::Duration};

use async_trait::async_trait;

use super::timestamp::Timestamp;

/// A source of time: the wall clock for what users see, a monotonic one for ages and deadlines.
#[async_trait]
pub trait Clock: Debug + Send + Sync + 'static {
    /// The time of day.
    fn now(&self) -> Timestamp;

    /// Time passed since an arbitrary fixed instant; never goes back, whatever happens to the time of day.
    fn monotonic(&self) -> Duration;

    /// Time passed since an arbitrary fixed instant, time in which the machine was suspended included. A change of the
    /// time of day does not move it, so that it tells such a change from time that has passed. A clock of a machine that
    /// is never suspended has its monotonic time for it.
    fn boot_time(&self) -> Duration {
        self.monotonic()
    }

    /// Returns once `duration` has passed by [`Clock::monotonic`].
    async fn sleep(&self, duration: Duration);
}
