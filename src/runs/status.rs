//! Statuses of runs, and their transitions. Pure: no I/O.

use serde::{Deserialize, Serialize};

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
    pub fn alive(self) -> Self {
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
    pub fn abort_asked(self) -> Self {
        match self {
            Self::Ready => Self::Aborted,
            Self::Running => Self::Aborting,
            Self::Succeeded | Self::Failed | Self::TimingOut | Self::TimedOut | Self::Aborting | Self::Aborted => self,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OUTCOMES: [Outcome; 4] = [Outcome::Succeeded, Outcome::Failed, Outcome::TimedOut, Outcome::Aborted];

    #[test]
    fn what_is_over_never_changes() {
        for status in RunStatus::ALL.into_iter().filter(|status| status.is_terminal()) {
            assert_eq!((status.alive(), status.abort_asked()), (status, status));
            assert_eq!(OUTCOMES.map(|outcome| status.finished(outcome)), [status; 4]);
        }
    }

    #[test]
    fn a_status_excludes_none_that_may_follow_it() {
        for status in RunStatus::ALL {
            let next = OUTCOMES.map(|outcome| status.finished(outcome)).into_iter();
            let mut next = next.chain([status, status.alive(), status.abort_asked()]);
            assert!(next.all(|next| !status.excludes(next)), "{status:?}");
            let forbidden = RunStatus::ALL.into_iter().filter(|other| status.excludes(*other));
            for other in forbidden {
                let after = RunStatus::ALL.into_iter().filter(|next| !status.excludes(*next));
                assert!(after.into_iter().all(|next| next.excludes(other)), "{status:?} leads to {other:?} after all");
            }
        }
    }

    #[test]
    fn an_end_is_told_once_or_often_with_the_same_result() {
        for status in RunStatus::ALL {
            for outcome in OUTCOMES {
                let once = status.finished(outcome);
                assert!(once.is_terminal(), "{status:?} {outcome:?}");
                assert_eq!(OUTCOMES.map(|again| once.finished(again)), [once; 4]);
            }
        }
    }

    #[test]
    fn whoever_ends_a_run_says_why_it_ended() {
        assert_eq!(OUTCOMES.map(|outcome| RunStatus::Aborting.finished(outcome)), [RunStatus::Aborted; 4]);
        assert_eq!(OUTCOMES.map(|outcome| RunStatus::TimingOut.finished(outcome)), [RunStatus::TimedOut; 4]);
        assert_eq!(RunStatus::Running.finished(Outcome::Failed), RunStatus::Failed);
    }

    #[test]
    fn a_sign_of_life_begins_a_run_and_does_nothing_else() {
        assert_eq!(RunStatus::Ready.alive(), RunStatus::Running);
        for status in RunStatus::ALL.into_iter().filter(|status| *status != RunStatus::Ready) {
            assert_eq!(status.alive(), status);
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
}
