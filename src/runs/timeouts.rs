//! Timeouts of runs. Pure: no I/O.
//!
//! Wall clocks jump, and a gateway that is down receives no heartbeats. So the uptime of the installation decides: it
//! stops while no gateway runs, and is never faster than real time. A limit has passed when the wall clock agrees. If
//! the wall clock was wrong when the limit began, the uptime needs [`MARGIN`] more, since gateways learn of each
//! other's uptime late. No wall clock reading alone ends a run.

use std::time::Duration;

use crate::clock::Timestamp;

use super::run::Run;

/// Extra uptime beyond a limit that is required if the wall clock does not agree that the limit has passed.
const MARGIN: Duration = Duration::from_hours(1);

/// Maximum difference between two clocks over the same period at which they agree.
pub const AGREEMENT: Duration = Duration::from_mins(1);

/// Pause to the next check of a limit on which the clocks disagree.
const DISAGREEMENT_PAUSE: Duration = Duration::from_mins(5);

/// A moment by the wall clock and by the uptime of the installation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    /// The wall time.
    pub wall: Timestamp,
    /// The uptime.
    pub uptime: Duration,
}

/// A limit of a run, and its start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit {
    /// Start of the limit.
    pub since: Moment,
    /// Its length.
    pub length: Duration,
}

impl Limit {
    /// Returns whether the limit has passed.
    pub fn has_passed(&self, now: Moment) -> bool {
        let by_uptime = now.uptime.saturating_sub(self.since.uptime);
        let by_wall = now.wall.since(self.since.wall);
        by_uptime >= self.length && (by_wall >= self.length || by_uptime >= self.length.saturating_add(MARGIN))
    }

    /// Returns the uptime at which to check the limit again.
    pub fn next_check(&self, now: Moment) -> Duration {
        let expected = self.since.uptime.saturating_add(self.length);
        if expected > now.uptime { expected } else { now.uptime + DISAGREEMENT_PAUSE }
    }
}

impl Run {
    /// Returns the limit on the run's duration, if it has one.
    pub fn time_limit(&self) -> Option<Limit> {
        let length = Duration::from_secs(self.settings.timeout_secs);
        let since = Moment { wall: self.started_at, uptime: Duration::from_millis(self.uptimes.started) };
        (!length.is_zero()).then_some(Limit { since, length })
    }

    /// Returns the limit on the time without a heartbeat.
    pub fn silence_limit(&self, length: Duration) -> Limit {
        let since = Moment { wall: self.seen_at, uptime: Duration::from_millis(self.uptimes.seen) };
        Limit { since, length }
    }

    /// Returns the limit on the time from an abort request to the end, if an abort was requested.
    pub fn abort_limit(&self, length: Duration) -> Option<Limit> {
        let uptime = Duration::from_millis(self.uptimes.abort_asked.unwrap_or_default());
        Some(Limit { since: Moment { wall: self.abort_asked_at?, uptime }, length })
    }

    /// Records by uptime what a change, made now, has recorded by wall time.
    pub fn stamp(&mut self, before: &Self, now: Moment) {
        if self.seen_at != before.seen_at {
            let passed =
                [now.wall.since(before.seen_at), now.uptime.saturating_sub(Duration::from_millis(before.uptimes.seen))];
            let is_steady = passed[0].abs_diff(passed[1]) <= AGREEMENT;
            // Only the wall clock knows the age of the last heartbeat; it counts as zero if that clock was wrong.
            let age = if is_steady { now.wall.since(self.seen_at) } else { Duration::ZERO };
            self.uptimes.seen = before.uptimes.seen.max(millis(now.uptime.saturating_sub(age)));
        }
        if self.abort_asked_at != before.abort_asked_at {
            self.uptimes.abort_asked = Some(millis(now.uptime));
        }
    }

    /// Corrects moments far ahead of the uptime, which occur after the uptime was lost. Returns whether there were
    /// any.
    pub fn correct_uptimes(&mut self, now: Duration) -> bool {
        let before = self.uptimes;
        let (now, latest) = (millis(now), millis(now.saturating_add(MARGIN)));
        let correct = |at: u64| if at > latest { now } else { at };
        self.uptimes.started = correct(before.started);
        self.uptimes.seen = correct(before.seen);
        self.uptimes.abort_asked = before.abort_asked.map(correct);
        self.uptimes != before
    }
}

/// Returns a duration in whole milliseconds.
pub fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_hours(1);

    fn moment(wall_hours: u32, uptime_hours: u32) -> Moment {
        Moment { wall: Timestamp::from_millis(0).plus(HOUR * wall_hours), uptime: HOUR * uptime_hours }
    }

    #[test]
    fn a_limit_has_passed_once_both_clocks_say_so_or_the_uptime_does_for_long() {
        let limit = Limit { since: moment(1000, 10), length: HOUR * 5 };
        for (now, has_passed) in [
            (moment(1004, 14), false),
            (moment(1005, 15), true),
            (moment(2000, 14), false),
            (moment(2000, 15), true),
            (moment(0, 15), false),
            (moment(0, 16), true),
            (moment(2000, 0), false),
        ] {
            assert_eq!(limit.has_passed(now), has_passed, "{now:?}");
        }
    }

    #[test]
    fn the_next_check_is_when_the_uptime_has_passed_the_limit_and_later_where_the_clocks_disagree() {
        let limit = Limit { since: moment(1000, 10), length: HOUR * 5 };
        assert_eq!(limit.next_check(moment(1002, 12)), HOUR * 15);
        assert_eq!(limit.next_check(moment(0, 15)), HOUR * 15 + DISAGREEMENT_PAUSE);
    }
}
