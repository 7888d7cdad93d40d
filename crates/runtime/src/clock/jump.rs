//! A forward jump of the wall clock, and the life of what existed before it.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::timestamp::Timestamp;

/// Maximum distance in milliseconds between two clocks, or of a wall clock from its boot time, that does not suspend
/// deletions.
pub(super) const TOLERATED_MILLIS: i64 = 60_000;

/// Maximum distance between the requested and the written expiry of a change: the step of renewals, the staleness of
/// other gateways, and a minute of tolerated clock error.
const WRITTEN_AHEAD: Duration = Duration::from_mins(3);

/// A forward jump of the wall clock while boot time shows that no such time has passed.
///
/// Either the clock was behind before the jump, or it is ahead after it. In both cases the jump does not count towards
/// the age of data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Jump {
    /// Earliest change whose end the jump moves. `None` moves the end of everything that was alive.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub changed_from: Option<Timestamp>,
    /// Wall time directly before the jump.
    pub before: Timestamp,
    /// Wall time directly after the jump.
    pub after: Timestamp,
}

impl Jump {
    /// Returns whether `other` is the same jump, as another gateway measured it.
    pub fn is_same(self, other: Self) -> bool {
        let near = |one: Timestamp, two: Timestamp| {
            one.as_millis().abs_diff(two.as_millis()) <= TOLERATED_MILLIS.unsigned_abs()
        };
        near(self.before, other.before) && near(self.after, other.after)
    }

    /// Returns the expiry of data with `retention` whose written expiry is `end`. Data that was alive before the jump
    /// and unchanged since lives as if it had been changed at the jump.
    pub fn carried_over(self, end: Timestamp, retention: Duration) -> Timestamp {
        let was_alive = end > self.before;
        let was_changed_before = end <= self.before.plus(retention + WRITTEN_AHEAD);
        let is_covered = self.changed_from.is_none_or(|from| end >= from.plus(retention));
        if was_alive && was_changed_before && is_covered { end.max(self.after.plus(retention)) } else { end }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: Duration = Duration::from_hours(24);
    const BEFORE: Timestamp = Timestamp::from_millis(1_767_225_600_000);

    fn jump() -> Jump {
        Jump { changed_from: None, before: BEFORE, after: BEFORE.plus(DAY * 8) }
    }

    #[test]
    fn what_was_alive_before_a_jump_lives_its_retention_after_it() {
        let carried = |end| jump().carried_over(end, DAY * 7);
        assert_eq!(carried(BEFORE.plus(DAY)), BEFORE.plus(DAY * 15));
        assert_eq!(carried(carried(BEFORE.plus(DAY))), BEFORE.plus(DAY * 15));
        assert_eq!(carried(BEFORE), BEFORE, "it had ended before");
        let changed_after = jump().after.plus(DAY * 7);
        assert_eq!(carried(changed_after), changed_after);
    }

    #[test]
    fn a_jump_that_covers_late_changes_alone_moves_no_others() {
        let jump = Jump { changed_from: Some(BEFORE.minus(DAY)), ..jump() };
        let retention = DAY * 7;
        let changed_two_days_before = BEFORE.plus(DAY * 5);
        assert_eq!(jump.carried_over(changed_two_days_before, retention), changed_two_days_before);
        assert_eq!(jump.carried_over(BEFORE.plus(retention), retention), jump.after.plus(retention));
    }
}
