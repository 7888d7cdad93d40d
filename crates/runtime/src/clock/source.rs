//! The clock interface: all code that needs the time receives a [`Clock`].

use std::{fmt::Debug, time::Duration};

use async_trait::async_trait;

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
