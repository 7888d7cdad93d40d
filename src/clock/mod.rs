//! Time and chance, injected.
//!
//! Nothing in Larder reads the system's clock or its randomness but the implementations in this room, so that
//! tests can move time by hand and repeat chance by a seed. It does not schedule anything: that is `jobs`.

mod manual;
mod random;
mod system;
mod timestamp;

pub use manual::ManualClock;
pub use random::{Random, SeededRandom, SystemRandom};
pub use system::SystemClock;
pub use timestamp::{Timestamp, TimestampError};

use std::{fmt::Debug, time::Duration};

use async_trait::async_trait;

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
