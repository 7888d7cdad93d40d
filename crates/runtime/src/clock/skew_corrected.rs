//! A clock that corrects the skew of the local clock against a time server, here the object store.
//!
//! Gateways that share data need one time of day for their decisions. They share the object store, and each of its
//! responses has a `Date` in whole seconds. One observation bounds the skew:
//!
//! 1. The client notes when it sends a request, by the monotonic clock.
//! 2. The server takes `Date` at some moment between sending and receiving, and truncates it to seconds.
//! 3. So the skew is at least `Date - received` and at most `Date + 1 s - sent`.
//! 4. A skew within these bounds stays as it is. Otherwise it moves to the nearer bound.
//!
//! So a local clock without measurable skew is never corrected, and each response makes a correction more exact.
//! Concurrent observations race without a lock. Each result lies within the bounds of one of them: last writer wins.

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;

use super::{clocks::Clock, timestamp::Timestamp};

/// Resolution of a `Date` in milliseconds: the server took it at most this much later than it says.
const DATE_RESOLUTION_MILLIS: i64 = 1000;

/// A clock that corrects the skew of the local clock.
#[derive(Debug)]
pub struct SkewCorrectedClock {
    local: Arc<dyn Clock>,
    /// Milliseconds by which the server is ahead of the local clock.
    skew: AtomicI64,
}

impl SkewCorrectedClock {
    /// Maximum skew. Beyond it one of the two clocks is too wrong to rely on either.
    pub const MAX_SKEW: Duration = Duration::from_mins(1);

    /// Returns a clock that agrees with `local` until it observes another time.
    pub fn new(local: Arc<dyn Clock>) -> Self {
        Self { local, skew: AtomicI64::new(0) }
    }

    /// Returns the milliseconds by which this clock is ahead of the local one.
    pub fn skew_millis(&self) -> i64 {
        self.skew.load(Ordering::Relaxed)
    }

    /// Records that the server's clock read `server_time`, in whole seconds, at some moment since `sent_at`, a time of
    /// [`Clock::monotonic`]. Returns the milliseconds by which that moved this clock.
    pub fn observe(&self, server_time: Timestamp, sent_at: Duration) -> i64 {
        let received_at = self.local.now();
        let sent_at_wall = received_at.minus(self.local.monotonic().saturating_sub(sent_at));
        let least = server_time.as_millis() - received_at.as_millis();
        let most = server_time.as_millis() + DATE_RESOLUTION_MILLIS - sent_at_wall.as_millis();
        let before = self.skew.load(Ordering::Relaxed);
        // Last writer wins: both of two concurrent observations are true.
        let after = before.max(least).min(most);
        self.skew.store(after, Ordering::Relaxed);
        after - before
    }
}

#[async_trait]
impl Clock for SkewCorrectedClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.local.now().as_millis() + self.skew_millis())
    }

    fn monotonic(&self) -> Duration {
        self.local.monotonic()
    }

    fn boot_time(&self) -> Duration {
        self.local.boot_time()
    }

    async fn sleep(&self, duration: Duration) {
        self.local.sleep(duration).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::ManualClock;

    const START: i64 = 1_767_225_600_000;

    fn clocks() -> (Arc<ManualClock>, SkewCorrectedClock) {
        let local = Arc::new(ManualClock::new(Timestamp::from_millis(START)));
        (local.clone(), SkewCorrectedClock::new(local))
    }

    /// Returns the whole second of a clock that is `skew` milliseconds ahead of `local`.
    fn date(local: &ManualClock, skew: i64) -> Timestamp {
        let millis = local.now().as_millis() + skew;
        Timestamp::from_millis(millis - millis.rem_euclid(1000))
    }

    #[test]
    fn a_clock_without_measurable_skew_is_not_corrected() {
        let (local, clock) = clocks();
        for _ in 0..100 {
            local.advance(Duration::from_millis(317));
            let sent_at = local.monotonic();
            let server_time = date(&local, 0);
            local.advance(Duration::from_millis(40));
            assert_eq!((clock.observe(server_time, sent_at), clock.skew_millis()), (0, 0));
        }
    }

    #[test]
    fn each_observation_makes_the_correction_more_exact() {
        for skew in [-3_600_000, -1500, 700, 90_000] {
            let (local, clock) = clocks();
            for _ in 0..100 {
                local.advance(Duration::from_millis(317));
                let sent_at = local.monotonic();
                local.advance(Duration::from_millis(10));
                let server_time = date(&local, skew);
                local.advance(Duration::from_millis(10));
                clock.observe(server_time, sent_at);
                assert!((clock.skew_millis() - skew).abs() <= 1020, "{skew}: {}", clock.skew_millis());
            }
            assert!((clock.skew_millis() - skew).abs() <= 40, "{skew}: {}", clock.skew_millis());
            assert_eq!(clock.now().as_millis() - local.now().as_millis(), clock.skew_millis());
        }
    }

    #[test]
    fn a_slow_response_corrects_little() {
        let (local, clock) = clocks();
        let (sent_at, server_time) = (local.monotonic(), date(&local, 0));
        local.advance(Duration::from_mins(10));
        assert_eq!(clock.observe(server_time, sent_at), 0);
    }
}
