//! A moment in milliseconds, in the single form that the Apify API writes.

use std::{
    fmt,
    str::FromStr,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A moment, in whole milliseconds since 1970-01-01T00:00:00Z.
///
/// Written as the API writes dates: ISO 8601, UTC, three decimals, `Z` (`2019-12-12T07:34:14.202Z`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

/// The text is not a date in ISO 8601 with an offset.
#[derive(Debug, thiserror::Error)]
#[error("not an ISO 8601 date")]
pub struct TimestampError(#[from] jiff::Error);

impl Timestamp {
    /// The earliest and the latest moment: the years -9999 and 9999, the bounds of `jiff` for dates in milliseconds.
    const MIN: i64 = -377_705_023_201_000;
    const MAX: i64 = 253_402_207_200_000;

    /// Returns the moment `millis` after the epoch, clamped to the dates that can be written.
    pub const fn from_millis(millis: i64) -> Self {
        match millis {
            ..Self::MIN => Self(Self::MIN),
            Self::MAX.. => Self(Self::MAX),
            Self::MIN.. => Self(millis),
        }
    }

    /// Returns the milliseconds since the epoch.
    pub const fn as_millis(self) -> i64 {
        self.0
    }

    /// Returns the moment `duration` later, in whole milliseconds.
    #[must_use]
    pub fn plus(self, duration: Duration) -> Self {
        Self::from_millis(self.0.saturating_add(i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)))
    }

    /// Returns the moment `duration` earlier, in whole milliseconds.
    #[must_use]
    pub fn minus(self, duration: Duration) -> Self {
        Self::from_millis(self.0.saturating_sub(i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)))
    }

    /// Returns the time from `earlier` to this moment; zero if `earlier` is the later one.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }
}

impl From<Timestamp> for SystemTime {
    fn from(moment: Timestamp) -> Self {
        UNIX_EPOCH + Duration::from_millis(u64::try_from(moment.0).unwrap_or(0))
    }
}

impl From<SystemTime> for Timestamp {
    fn from(time: SystemTime) -> Self {
        let since_epoch = time.duration_since(UNIX_EPOCH).unwrap_or_default();
        Self::from_millis(i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX))
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let moment = jiff::Timestamp::from_millisecond(self.0).map_err(|_| fmt::Error)?;
        write!(f, "{moment:.3}")
    }
}

impl FromStr for Timestamp {
    type Err = TimestampError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        // The last second that can be parsed is longer than the one that can be written.
        Ok(Self::from_millis(text.parse::<jiff::Timestamp>()?.as_millisecond()))
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_date_is_written_with_three_decimals_and_z() {
        assert_eq!(Timestamp::from_millis(1_576_136_054_202).to_string(), "2019-12-12T07:34:14.202Z");
        assert_eq!(Timestamp::from_millis(1_576_136_054_000).to_string(), "2019-12-12T07:34:14.000Z");
    }

    #[test]
    fn every_moment_can_be_written_and_read_whatever_is_added_to_it() {
        for millis in [i64::MIN, Timestamp::MIN, -1, 0, Timestamp::MAX, i64::MAX] {
            let moment = Timestamp::from_millis(millis);
            for moment in [moment, moment.plus(Duration::MAX), moment.minus(Duration::MAX)] {
                assert_eq!(moment.to_string().parse::<Timestamp>().ok(), Some(moment));
            }
        }
    }

    #[test]
    fn every_date_that_can_be_read_can_be_written() {
        for text in ["9999-12-30T22:00:00.999999999Z", "-009999-01-02T01:59:59Z", "-009999-01-02T01:59:59.999999999Z"] {
            let moment: Timestamp = text.parse().expect("a date");
            assert_eq!(moment.to_string().parse::<Timestamp>().ok(), Some(moment), "{text}");
        }
    }

    #[test]
    fn a_date_reads_back_as_it_was_written() {
        let moment = Timestamp::from_millis(1_767_225_600_001);
        assert_eq!(moment.to_string().parse::<Timestamp>().ok(), Some(moment));
    }
}
