//! Retention of unnamed stores, and the lifecycle class of their records.

use std::{
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Duration,
};

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;

/// A day.
const DAY: Duration = Duration::from_hours(24);

/// Maximum time by which an expiry is extended beyond need.
const MAX_COALESCING_WINDOW: Duration = Duration::from_mins(1);

/// Maximum time from a store's expiry to the deletion of its records.
const MAX_GRACE: Duration = Duration::from_hours(1);

/// A day in milliseconds.
const DAY_MILLIS: u64 = 24 * 60 * 60 * 1000;

/// Time that an unnamed store lives after its last change.
///
/// Resolved when the store is created or updated and kept in its document, so a new default affects only new stores.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Retention {
    millis: u64,
}

impl Retention {
    /// Maximum retention: the limit of the last lifecycle class.
    pub const MAX: Self = Self { millis: 366 * DAY_MILLIS };

    /// The platform's default: seven days.
    pub const DEFAULT: Self = Self { millis: 7 * DAY_MILLIS };

    /// Returns a retention in days, fractions allowed; `None` unless it is at least a second and at most
    /// [`Retention::MAX`].
    pub fn from_days(days: f64) -> Option<Self> {
        let duration = Duration::try_from_secs_f64(days * DAY.as_secs_f64()).ok()?;
        let retention = Self { millis: u64::try_from(duration.as_millis()).ok()? };
        (retention.millis >= 1_000 && retention.millis <= Self::MAX.millis).then_some(retention)
    }

    /// Returns the retention in days.
    pub fn as_days(self) -> f64 {
        self.duration().as_secs_f64() / DAY.as_secs_f64()
    }

    /// Returns the time by which an expiry is extended beyond need. Changes within it share one write.
    pub fn coalescing_window(self) -> Duration {
        (self.duration() / 10).min(MAX_COALESCING_WINDOW)
    }

    /// Returns how long after its expiry the store's records stay, for repairs.
    pub fn grace(self) -> Duration {
        self.duration().min(MAX_GRACE)
    }

    /// Returns the retention as a duration.
    pub fn duration(self) -> Duration {
        Duration::from_millis(self.millis)
    }
}

/// The default retention of stores; it may change at any time.
#[derive(Debug)]
pub struct DefaultRetention(AtomicU64);

impl DefaultRetention {
    /// Returns this default.
    pub fn new(retention: Retention) -> Self {
        Self(AtomicU64::new(retention.millis))
    }

    /// Returns the current default.
    pub fn get(&self) -> Retention {
        Retention { millis: self.0.load(Relaxed) }
    }

    /// Sets the default from now on.
    pub fn set(&self, retention: Retention) {
        self.0.store(retention.millis, Relaxed);
    }
}

/// One of a small fixed set of prefixes, each with its own lifecycle rule. All rules are on the bucket from the
/// start, so creating a store never writes one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct LifecycleClass {
    days: u16,
}

impl LifecycleClass {
    /// Every class. A rule of N days serves retentions R with N >= 3 R + 2 days: one R until a store's last change
    /// may come, one until it expires, one for the relocation of a live store to a fresh generation, and two
    /// days for the coarseness of vendors' clocks. So these serve up to 1, 7, 30, 90 and 366 days.
    pub const ALL: [Self; 5] =
        [Self { days: 5 }, Self { days: 23 }, Self { days: 92 }, Self { days: 272 }, Self { days: 1100 }];

    /// Returns the class with the shortest rule that serves `retention`.
    pub fn smallest_for(retention: Retention) -> Self {
        Self::ALL.into_iter().find(|class| class.serves(retention)).unwrap_or(Self::ALL[Self::ALL.len() - 1])
    }

    /// Returns whether a store of this retention can live under the class's rule.
    pub fn serves(self, retention: Retention) -> bool {
        retention.duration() * 3 + DAY * 2 <= DAY * u32::from(self.days)
    }

    /// Returns the time until which everything written since `created_at` surely exists: a day before the rule may
    /// delete the first of it.
    pub fn safe_until(self, created_at: Timestamp) -> Timestamp {
        created_at.plus(DAY * u32::from(self.days - 1))
    }

    /// Returns the time at which records written since `created_at` must be relocated to a fresh generation if
    /// their store still lives: early enough to leave a day more than the retention.
    pub fn relocation_due(self, created_at: Timestamp, retention: Retention) -> Timestamp {
        self.safe_until(created_at).minus(retention.duration() * 2 + DAY)
    }

    /// Returns the days of the class's lifecycle rule.
    pub fn days(self) -> u16 {
        self.days
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_class_serves_the_retentions_it_is_meant_for() {
        let class = |days| LifecycleClass::smallest_for(Retention::from_days(days).expect("within bounds")).days();
        assert_eq!([0.001, 1.0, 1.1, 7.0, 8.0, 30.0, 90.0, 366.0].map(class), [5, 5, 23, 23, 92, 92, 272, 1100]);
    }

    #[test]
    fn a_retention_is_between_a_second_and_the_longest() {
        assert!(Retention::from_days(0.0).is_none());
        assert!(Retention::from_days(-1.0).is_none());
        assert!(Retention::from_days(f64::NAN).is_none());
        assert!(Retention::from_days(367.0).is_none());
        assert_eq!(Retention::from_days(7.0), Some(Retention::DEFAULT));
    }
}
