//! How far a run has come, and what may become of it. Pure: nothing is asked or written here.

use serde::{Deserialize, Serialize};

/// How far a run has come; the platform's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum RunStatus {
    /// It is made, and has given no sign of life yet.
    #[serde(rename = "READY")]
    Ready,
    /// It goes on.
    #[serde(rename = "RUNNING")]
    Running,
    /// It did what it was to do.
    #[serde(rename = "SUCCEEDED")]
    Succeeded,
    /// It did not.
    #[serde(rename = "FAILED")]
    Failed,
    /// Its time is over, and it is being ended.
    #[serde(rename = "TIMING-OUT")]
    TimingOut,
    /// Its time was over, or nobody heard of it any more.
    #[serde(rename = "TIMED-OUT")]
    TimedOut,
    /// Somebody wants it to end, and it is being ended.
    #[serde(rename = "ABORTING")]
    Aborting,
    /// Somebody wanted it to end.
    #[serde(rename = "ABORTED")]
    Aborted,
}

/// How a run ended, as whoever ran it tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// It did what it was to do.
    Succeeded,
    /// It did not.
    Failed,
    /// It was ended, since its time was over.
    TimedOut,
    /// It was ended, since somebody wanted that.
    Aborted,
}

impl RunStatus {
    /// Every status there is.
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

    /// The word of the API.
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

    /// The status of that word.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == word)
    }

    /// Whether the run is over; nothing changes it any more.
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

    /// After a sign of life.
    #[must_use]
    pub fn alive(self) -> Self {
        if self == Self::Ready { Self::Running } else { self }
    }

    /// After it was told how the run ended. Whoever was to end it has the last word on why; what is over stays as it is, so
    /// that an end may be told twice.
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

    /// After somebody wanted it to end. What nobody has begun is over at once; what goes on has to be ended by whoever runs it.
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
