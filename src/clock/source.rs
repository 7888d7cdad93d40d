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

    /// Returns once `duration` has passed by [`Clock::monotonic`].
    async fn sleep(&self, duration: Duration);
}
