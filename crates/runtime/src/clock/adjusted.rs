//! A clock that is corrected by the time of another one.
//!
//! Gateways that share data need one time of day for their decisions. They share the object store, and each of its
//! responses has a date in whole seconds. While this machine's clock agrees with that date, it is left alone. Otherwise
//! it is moved just far enough to agree, so that each response makes the correction more exact.

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;

use super::{clocks::Clock, timestamp::Timestamp};

/// Resolution of a date in whole seconds, in milliseconds: the moment it was taken is later than the date by at most
/// this much.
const RESOLUTION_MILLIS: i64 = 1000;

/// A clock corrected by another one.
#[derive(Debug)]
pub struct AdjustedClock {
    own: Arc<dyn Clock>,
    /// Milliseconds by which the other clock is ahead of our own.
    ahead: AtomicI64,
}

impl AdjustedClock {
    /// Maximum difference between the two clocks. Beyond it one of them is too wrong to rely on either.
    pub const TOLERATED: Duration = Duration::from_mins(1);

    /// Returns a clock that agrees with `own` until it hears another time.
    pub fn new(own: Arc<dyn Clock>) -> Self {
        Self { own, ahead: AtomicI64::new(0) }
    }

    /// Returns by how many milliseconds this clock is ahead of the one below it.
    pub fn ahead_millis(&self) -> i64 {
        self.ahead.load(Ordering::Relaxed)
    }

    /// Records that the other clock showed `shown`, in whole seconds, at some time since `asked`, which is by
    /// [`Clock::monotonic`]. Returns by how many milliseconds that moved this clock.
    pub fn hear(&self, shown: Timestamp, asked: Duration) -> i64 {
        let heard_at = self.own.now();
        let asked_at = heard_at.minus(self.own.monotonic().saturating_sub(asked));
        let least = shown.as_millis() - heard_at.as_millis();
        let most = shown.as_millis() + RESOLUTION_MILLIS - asked_at.as_millis();
        let before = self.ahead.load(Ordering::Relaxed);
        // Of two concurrent calls both have a true time: either may win.
        let after = before.max(least).min(most);
        self.ahead.store(after, Ordering::Relaxed);
        after - before
    }
}

#[async_trait]
impl Clock for AdjustedClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.own.now().as_millis() + self.ahead_millis())
    }

    fn monotonic(&self) -> Duration {
        self.own.monotonic()
    }

    fn boot_time(&self) -> Duration {
        self.own.boot_time()
    }

    async fn sleep(&self, duration: Duration) {
        self.own.sleep(duration).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::ManualClock;

    const START: i64 = 1_767_225_600_000;

    fn clocks() -> (Arc<ManualClock>, AdjustedClock) {
        let own = Arc::new(ManualClock::new(Timestamp::from_millis(START)));
        (own.clone(), AdjustedClock::new(own))
    }

    /// Returns the whole second of a clock that is `ahead` milliseconds ahead of `own`.
    fn date(own: &ManualClock, ahead: i64) -> Timestamp {
        let millis = own.now().as_millis() + ahead;
        Timestamp::from_millis(millis - millis.rem_euclid(1000))
    }

    #[test]
    fn a_clock_that_may_be_right_is_left_alone() {
        let (own, clock) = clocks();
        for _ in 0..100 {
            own.advance(Duration::from_millis(317));
            let asked = own.monotonic();
            let shown = date(&own, 0);
            own.advance(Duration::from_millis(40));
            assert_eq!((clock.hear(shown, asked), clock.ahead_millis()), (0, 0));
        }
    }

    #[test]
    fn what_is_heard_sets_the_clock_ever_more_exactly() {
        for ahead in [-3_600_000, -1500, 700, 90_000] {
            let (own, clock) = clocks();
            for _ in 0..100 {
                own.advance(Duration::from_millis(317));
                let asked = own.monotonic();
                own.advance(Duration::from_millis(10));
                let shown = date(&own, ahead);
                own.advance(Duration::from_millis(10));
                clock.hear(shown, asked);
                assert!((clock.ahead_millis() - ahead).abs() <= 1020, "{ahead}: {}", clock.ahead_millis());
            }
            assert!((clock.ahead_millis() - ahead).abs() <= 40, "{ahead}: {}", clock.ahead_millis());
            assert_eq!(clock.now().as_millis() - own.now().as_millis(), clock.ahead_millis());
        }
    }

    #[test]
    fn an_answer_that_was_long_under_way_says_little() {
        let (own, clock) = clocks();
        let (asked, shown) = (own.monotonic(), date(&own, 0));
        own.advance(Duration::from_mins(10));
        assert_eq!(clock.hear(shown, asked), 0);
    }
}
