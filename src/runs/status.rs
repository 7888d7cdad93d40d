//! Statuses of runs, their transitions, and the times at which a run ends by itself. Pure: no I/O.
//!
//! Wall clocks jump, and a gateway that is down receives no heartbeats. So the uptime of the installation decides: it
//! stops while no gateway runs, and is never faster than real time. A limit has passed when the wall clock agrees. If
//! the wall clock was wrong when the limit began, the uptime needs [`UPTIME_MARGIN`] more, since gateways learn of each
//! other's uptime late. No wall clock reading alone ends a run.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;

use super::run::Run;

/// Status of a run; the platform's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum RunStatus {
    /// Created, without a heartbeat yet.
    #[serde(rename = "READY")]
    Ready,
    /// Active.
    #[serde(rename = "RUNNING")]
    Running,
    /// Ended with success.
    #[serde(rename = "SUCCEEDED")]
    Succeeded,
    /// Ended with failure.
    #[serde(rename = "FAILED")]
    Failed,
    /// Timed out, and being ended.
    #[serde(rename = "TIMING-OUT")]
    TimingOut,
    /// Ended by a timeout, or after its heartbeats stopped.
    #[serde(rename = "TIMED-OUT")]
    TimedOut,
    /// Abort requested, and being ended.
    #[serde(rename = "ABORTING")]
    Aborting,
    /// Ended by an abort.
    #[serde(rename = "ABORTED")]
    Aborted,
}

/// Outcome of a run, as reported by its runner.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// Success.
    Succeeded,
    /// Failure.
    Failed,
    /// Ended by a timeout.
    TimedOut,
    /// Ended by an abort.
    Aborted,
}

impl RunStatus {
    /// All statuses.
    pub const ALL: [Self; 8] = [
        Self::Ready,
        Self::Running,
        Self::Succeeded,
        Self::Failed,
        Self::TimingOut,
        Self::TimedOut,
        Self::Aborting,
        Self::Aborted,
    ];

    /// Returns the word in the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ready => "READY",
            Self::Running => "RUNNING",
            Self::Succeeded => "SUCCEEDED",
            Self::Failed => "FAILED",
            Self::TimingOut => "TIMING-OUT",
            Self::TimedOut => "TIMED-OUT",
            Self::Aborting => "ABORTING",
            Self::Aborted => "ABORTED",
        }
    }

    /// Parses the word of the API.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == word)
    }

    /// Returns whether the run is over; its status never changes again.
    pub fn is_terminal(self) -> bool {
        match self {
            Self::Succeeded | Self::Failed | Self::TimedOut | Self::Aborted => true,
            Self::Ready | Self::Running | Self::TimingOut | Self::Aborting => false,
        }
    }

    /// Returns whether a run of this status neither has `other` nor can ever have it.
    pub fn excludes(self, other: Self) -> bool {
        let may_follow = match self {
            Self::Ready => true,
            Self::Running => other != Self::Ready,
            Self::TimingOut => other == Self::TimedOut,
            Self::Aborting => other == Self::Aborted,
            Self::Succeeded | Self::Failed | Self::TimedOut | Self::Aborted => false,
        };
        other != self && !may_follow
    }

    /// Returns the status after a heartbeat.
    #[must_use]
    pub fn after_heartbeat(self) -> Self {
        if self == Self::Ready { Self::Running } else { self }
    }

    /// Returns the status after the outcome was reported. The runner's report is authoritative. A finished run stays
    /// as it is, so the report is idempotent.
    #[must_use]
    pub fn finished(self, outcome: Outcome) -> Self {
        match (self, outcome) {
            (Self::Ready | Self::Running, Outcome::Succeeded) => Self::Succeeded,
            (Self::Ready | Self::Running, Outcome::Failed) => Self::Failed,
            (Self::Ready | Self::Running, Outcome::TimedOut) | (Self::TimingOut, _) => Self::TimedOut,
            (Self::Ready | Self::Running, Outcome::Aborted) | (Self::Aborting, _) => Self::Aborted,
            (Self::Succeeded | Self::Failed | Self::TimedOut | Self::Aborted, _) => self,
        }
    }

    /// Returns the status after an abort request. A run that has not begun ends at once; an active one must be ended
    /// by its runner.
    #[must_use]
    pub fn abort_requested(self) -> Self {
        match self {
            Self::Ready => Self::Aborted,
            Self::Running => Self::Aborting,
            Self::Succeeded | Self::Failed | Self::TimingOut | Self::TimedOut | Self::Aborting | Self::Aborted => self,
        }
    }
}

/// Extra uptime beyond a limit that is required if the wall clock does not agree that the limit has passed.
const UPTIME_MARGIN: Duration = Duration::from_hours(1);

/// Maximum difference between two clocks over the same period at which they agree.
pub const CLOCK_TOLERANCE: Duration = Duration::from_mins(1);

/// Pause to the next check of a limit on which the clocks disagree.
const CLOCK_MISMATCH_INTERVAL: Duration = Duration::from_mins(5);

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
        by_uptime >= self.length && (by_wall >= self.length || by_uptime >= self.length.saturating_add(UPTIME_MARGIN))
    }

    /// Returns the uptime at which to check the limit again.
    pub fn next_check(&self, now: Moment) -> Duration {
        let expected = self.since.uptime.saturating_add(self.length);
        if expected > now.uptime { expected } else { now.uptime + CLOCK_MISMATCH_INTERVAL }
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
    pub fn heartbeat_limit(&self, length: Duration) -> Limit {
        let since = Moment { wall: self.seen_at, uptime: Duration::from_millis(self.uptimes.seen) };
        Limit { since, length }
    }

    /// Returns the limit on the time from an abort request to the end, if an abort was requested.
    pub fn abort_limit(&self, length: Duration) -> Option<Limit> {
        let uptime = Duration::from_millis(self.uptimes.abort_requested.unwrap_or_default());
        Some(Limit { since: Moment { wall: self.abort_requested_at?, uptime }, length })
    }

    /// Records by uptime what a change, made now, has recorded by wall time.
    pub fn stamp(&mut self, before: &Self, now: Moment) {
        if self.seen_at != before.seen_at {
            let passed =
                [now.wall.since(before.seen_at), now.uptime.saturating_sub(Duration::from_millis(before.uptimes.seen))];
            let is_steady = passed[0].abs_diff(passed[1]) <= CLOCK_TOLERANCE;
            // Only the wall clock knows the age of the last heartbeat; it counts as zero if that clock was wrong.
            let age = if is_steady { now.wall.since(self.seen_at) } else { Duration::ZERO };
            self.uptimes.seen = before.uptimes.seen.max(whole_millis(now.uptime.saturating_sub(age)));
        }
        if self.abort_requested_at != before.abort_requested_at {
            self.uptimes.abort_requested = Some(whole_millis(now.uptime));
        }
    }

    /// Corrects moments far ahead of the uptime, which occur after the uptime was lost. Returns whether there were
    /// any.
    pub fn correct_uptimes(&mut self, now: Duration) -> bool {
        let before = self.uptimes;
        let (now, latest) = (whole_millis(now), whole_millis(now.saturating_add(UPTIME_MARGIN)));
        let correct = |at: u64| if at > latest { now } else { at };
        self.uptimes.started = correct(before.started);
        self.uptimes.seen = correct(before.seen);
        self.uptimes.abort_requested = before.abort_requested.map(correct);
        self.uptimes != before
    }
}

/// Returns a duration in whole milliseconds.
pub fn whole_millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const OUTCOMES: [Outcome; 4] = [Outcome::Succeeded, Outcome::Failed, Outcome::TimedOut, Outcome::Aborted];

    #[test]
    fn what_is_over_never_changes() {
        for status in RunStatus::ALL.into_iter().filter(|status| status.is_terminal()) {
            assert_eq!((status.after_heartbeat(), status.abort_requested()), (status, status));
            assert_eq!(OUTCOMES.map(|outcome| status.finished(outcome)), [status; 4]);
        }
    }

    #[test]
    fn a_status_excludes_none_that_may_follow_it() {
        for status in RunStatus::ALL {
            let next = OUTCOMES.map(|outcome| status.finished(outcome)).into_iter();
            let mut next = next.chain([status, status.after_heartbeat(), status.abort_requested()]);
            assert!(next.all(|next| !status.excludes(next)), "{status:?}");
            let forbidden = RunStatus::ALL.into_iter().filter(|other| status.excludes(*other));
            for other in forbidden {
                let after = RunStatus::ALL.into_iter().filter(|next| !status.excludes(*next));
                assert!(after.into_iter().all(|next| next.excludes(other)), "{status:?} leads to {other:?} after all");
            }
        }
    }

    #[test]
    fn ending_a_run_is_idempotent() {
        for status in RunStatus::ALL {
            for outcome in OUTCOMES {
                let once = status.finished(outcome);
                assert!(once.is_terminal(), "{status:?} {outcome:?}");
                assert_eq!(OUTCOMES.map(|again| once.finished(again)), [once; 4]);
            }
        }
    }

    #[test]
    fn the_end_of_a_run_has_a_reason() {
        assert_eq!(OUTCOMES.map(|outcome| RunStatus::Aborting.finished(outcome)), [RunStatus::Aborted; 4]);
        assert_eq!(OUTCOMES.map(|outcome| RunStatus::TimingOut.finished(outcome)), [RunStatus::TimedOut; 4]);
        assert_eq!(RunStatus::Running.finished(Outcome::Failed), RunStatus::Failed);
    }

    #[test]
    fn a_sign_of_life_begins_a_run_and_does_nothing_else() {
        assert_eq!(RunStatus::Ready.after_heartbeat(), RunStatus::Running);
        for status in RunStatus::ALL.into_iter().filter(|status| *status != RunStatus::Ready) {
            assert_eq!(status.after_heartbeat(), status);
        }
    }

    #[test]
    fn each_word_is_that_of_one_status_and_is_how_it_is_kept() {
        for status in RunStatus::ALL {
            assert_eq!(RunStatus::parse(status.as_str()), Some(status));
            assert_eq!(serde_json::to_value(status).expect("it serialises"), status.as_str());
        }
        assert_eq!(RunStatus::parse("bogus"), None);
    }

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
        assert_eq!(limit.next_check(moment(0, 15)), HOUR * 15 + CLOCK_MISMATCH_INTERVAL);
    }
}
