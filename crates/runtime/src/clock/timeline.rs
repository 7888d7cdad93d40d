//! The wall clock against boot time: its jumps, whether it is trusted, the uptime of the installation, and the record of
//! them that survives restarts.
//!
//! Nothing here reads a clock: every method receives the readings.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::clocks::Timestamp;

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

/// State of the clock of an installation, shared by its gateways and kept across restarts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ClockRecord {
    /// Latest wall time since the last jump.
    pub wall_time: Timestamp,
    /// Accumulated running time of the installation in milliseconds.
    pub uptime_millis: u64,
    /// Number of times an operator confirmed the wall time.
    pub confirmations: u64,
    /// Suspension of deletions in force, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub suspension: Option<RecordedSuspension>,
    /// Forward jumps that expiry times may still depend on, oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub jumps: Vec<Jump>,
}

/// Recorded suspension of deletions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RecordedSuspension {
    /// Wall time at which it began.
    pub since: Timestamp,
    /// Uptime in milliseconds at which it ends by itself.
    pub until_uptime_millis: u64,
    /// Reason for logs and operators.
    pub reason: String,
    /// Wall time without the jump, when the record was written.
    pub reference: Timestamp,
    /// Wall time without the jump, at the last jump.
    pub jumped_at: Timestamp,
    /// Earliest change that a forward jump covers; `None` covers everything alive.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub changed_from: Option<Timestamp>,
}

/// Boot time for which a jump of the wall clock suspends deletions.
pub(super) const SUSPENSION: Duration = Duration::from_hours(24);

/// Boot time in which the wall clock may drift by one unit of time. Crystals drift far less; jumps in small steps
/// cannot add up unnoticed.
const DRIFT_DIVISOR: i64 = 1000;

/// Maximum number of remembered jumps; the oldest are forgotten first.
const MAX_JUMPS: usize = 64;

/// Time after which no expiry depends on a jump any more: longer than the longest retention.
const JUMP_LIFETIME: Duration = Duration::from_hours(24 * 400);

/// Readings of the clocks at one moment.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reading {
    /// Time of day.
    pub wall: Timestamp,
    /// Boot time.
    pub boot: Duration,
}

impl Reading {
    fn offset(self) -> i64 {
        self.wall.as_millis().saturating_sub(millis(self.boot))
    }
}

/// Suspension after a jump.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct JumpSuspension {
    /// Wall time at which it began.
    pub since: Timestamp,
    /// Reason for logs and operators.
    pub reason: String,
    /// Uptime at which it ends by itself.
    until: Duration,
}

/// Course of the wall clock against boot time. Offsets are wall time minus boot time in milliseconds.
#[derive(Debug)]
pub(super) struct Timeline {
    /// Offset in effect.
    offset: i64,
    /// Boot time up to which `offset` includes the drift of the wall clock.
    followed_at: Duration,
    /// Last trusted offset. Equals `offset` while no suspension is in force.
    reference: i64,
    /// Wall time by `reference` at the last jump.
    jumped_at: Timestamp,
    changed_from: Option<Timestamp>,
    /// True if the clock agreed with that of the machine when `reference` was in effect.
    is_reference_confirmed: bool,
    jump_suspension: Option<JumpSuspension>,
    jumps: Vec<Jump>,
    confirmations: u64,
    uptime_base: Duration,
    boot_base: Duration,
}

impl Timeline {
    /// Returns the timeline of an installation that starts for the first time. `is_skewed` says that its clock differs
    /// from the machine's.
    pub fn new(reading: Reading, is_skewed: bool) -> Self {
        Self {
            offset: reading.offset(),
            followed_at: reading.boot,
            reference: reading.offset(),
            jumped_at: reading.wall,
            changed_from: None,
            is_reference_confirmed: !is_skewed,
            jump_suspension: None,
            jumps: Vec::new(),
            confirmations: 0,
            uptime_base: Duration::ZERO,
            boot_base: reading.boot,
        }
    }

    /// Resumes from the record of earlier processes. A start more than a minute before the recorded time suspends
    /// deletions, if `notices_early_starts`.
    pub fn resume(&mut self, record: &ClockRecord, (reading, is_skewed): (Reading, bool), notices_early_starts: bool) {
        *self = Self::new(reading, is_skewed);
        self.uptime_base = Duration::from_millis(record.uptime_millis);
        self.confirmations = record.confirmations;
        self.jumps.clone_from(&record.jumps);
        let elapsed = reading.wall.as_millis().saturating_sub(record.wall_time.as_millis());
        let is_early = elapsed < -TOLERATED_MILLIS;
        let suspended = record.suspension.as_ref();
        if is_early && notices_early_starts {
            let seconds = elapsed.unsigned_abs() / 1000;
            self.reference_before_early_start(record, reading);
            let since = suspended.map_or(reading.wall, |suspension| suspension.since);
            let reason = format!("the gateway started {seconds} s before the latest recorded time");
            self.suspend_since(since, reason, reading.boot);
        } else if let Some(suspension) = suspended {
            self.adopt(suspension, record.wall_time, reading);
            let until_reference = |wall: Timestamp| suspension.reference.as_millis().saturating_sub(wall.as_millis());
            let was_behind = until_reference(record.wall_time) > TOLERATED_MILLIS;
            let is_corrected = until_reference(reading.wall) <= TOLERATED_MILLIS;
            if was_behind && is_corrected {
                // The clock was corrected between the processes. Changes made by the wrong clock live on from here.
                self.reference = suspension.reference.as_millis().saturating_sub(millis(reading.boot));
                self.jumped_at = suspension.reference;
            }
        }
    }

    /// Sets the reference to the recorded time, since the elapsed time is unknown.
    fn reference_before_early_start(&mut self, record: &ClockRecord, reading: Reading) {
        let suspended = record.suspension.as_ref();
        let returned = suspended.filter(|held| {
            let after_reference = reading.wall.as_millis().saturating_sub(held.reference.as_millis());
            after_reference >= -TOLERATED_MILLIS
        });
        let reference = match (returned, suspended) {
            (Some(held), _) => {
                self.changed_from = held.changed_from;
                held.reference
            }
            (None, held) => {
                if let Some(jump) = held.and_then(|held| jump_of(held, record.wall_time)) {
                    self.remember(jump);
                }
                let latest = held.map_or(record.wall_time, |held| held.reference.max(record.wall_time));
                self.changed_from = Some(latest);
                latest
            }
        };
        self.reference = reference.as_millis().saturating_sub(millis(reading.boot));
        self.is_reference_confirmed = true;
        self.jumped_at = reference;
    }

    /// Follows the wall clock, and suspends deletions if it jumped and `notices_jumps`. `is_skewed` says that it
    /// differs from the machine's.
    pub fn observe(&mut self, reading: Reading, is_skewed: bool, notices_jumps: bool) {
        let deviation = reading.offset().saturating_sub(self.offset);
        if deviation.abs() > TOLERATED_MILLIS {
            self.jump(reading, deviation, notices_jumps);
        } else {
            self.follow(reading, deviation);
        }
        if self.jump_suspension.as_ref().is_some_and(|jump| jump.until <= self.uptime(reading.boot)) {
            self.trust(reading.wall);
        }
        if !is_skewed && !self.is_reference_confirmed {
            // At the start the two clocks contradicted each other. Now they agree.
            self.reference = self.reference.min(self.offset);
            self.is_reference_confirmed = true;
        }
    }

    fn jump(&mut self, reading: Reading, deviation: i64, notices_jumps: bool) {
        self.jumped_at = self.by_reference(reading.boot);
        self.offset = reading.offset();
        self.followed_at = reading.boot;
        if notices_jumps {
            let direction = if deviation > 0 { "forward" } else { "back" };
            let seconds = deviation.unsigned_abs() / 1000;
            let since = self.jump_suspension.as_ref().map_or(reading.wall, |jump| jump.since);
            self.suspend_since(since, format!("the wall clock jumped {direction} by {seconds} s"), reading.boot);
        } else {
            self.reference = self.offset;
        }
    }

    fn follow(&mut self, reading: Reading, deviation: i64) {
        let allowance = millis(reading.boot.saturating_sub(self.followed_at)) / DRIFT_DIVISOR;
        if allowance > 0 {
            let step = deviation.clamp(-allowance, allowance);
            self.offset += step;
            self.reference += step;
            self.followed_at = reading.boot;
        }
    }

    fn suspend_since(&mut self, since: Timestamp, reason: String, boot: Duration) {
        self.jump_suspension = Some(JumpSuspension { since, reason, until: self.uptime(boot) + SUSPENSION });
    }

    /// Suspends deletions for `reason`.
    pub fn suspend(&mut self, reading: Reading, reason: &str) {
        self.suspend_since(reading.wall, reason.to_owned(), reading.boot);
    }

    /// Ends the suspension and trusts the wall clock as it is.
    fn trust(&mut self, wall: Timestamp) {
        if let Some(jump) = self.jump_under_way() {
            self.remember(jump);
        }
        self.jumps.retain(|jump| jump.after.plus(JUMP_LIFETIME) > wall);
        self.reference = self.offset;
        self.is_reference_confirmed = false;
        self.changed_from = None;
        self.jump_suspension = None;
    }

    fn remember(&mut self, jump: Jump) {
        if !self.jumps.iter().any(|known| known.is_same(jump)) {
            self.jumps.push(jump);
            let surplus = self.jumps.len().saturating_sub(MAX_JUMPS);
            self.jumps.drain(..surplus);
        }
    }

    /// Ends the suspension because an operator confirmed the wall time.
    pub fn confirm(&mut self, wall: Timestamp) {
        self.trust(wall);
        self.confirmations += 1;
    }

    /// Merges the record that other gateways have written.
    pub fn merge(&mut self, record: &ClockRecord, reading: Reading, notices_early_starts: bool) {
        if record.confirmations > self.confirmations {
            self.trust(reading.wall);
            self.confirmations = record.confirmations;
        }
        for jump in &record.jumps {
            self.remember(*jump);
        }
        if let Some(other) = record.suspension.as_ref().filter(|_| record.confirmations == self.confirmations) {
            let known_until = self.jump_suspension.as_ref().map_or(self.uptime(reading.boot), |jump| jump.until);
            // The longer of two suspensions stays; the jump behind the other one is kept.
            match other.until_uptime_millis.cmp(&millis_of(known_until)) {
                std::cmp::Ordering::Equal => {}
                std::cmp::Ordering::Less => {
                    if let Some(jump) = jump_of(other, record.wall_time) {
                        self.remember(jump);
                    }
                }
                std::cmp::Ordering::Greater => {
                    if let Some(jump) = self.jump_under_way() {
                        self.remember(jump);
                    }
                    self.adopt(other, record.wall_time, reading);
                }
            }
        }
        let behind = record.wall_time.as_millis().saturating_sub(reading.wall.as_millis());
        if self.jump_suspension.is_none() && behind > TOLERATED_MILLIS && notices_early_starts {
            self.reference = record.wall_time.as_millis().saturating_sub(millis(reading.boot));
            self.jumped_at = record.wall_time;
            let reason = format!("another gateway recorded a time {} s ahead", behind / 1000);
            self.suspend_since(reading.wall, reason, reading.boot);
        }
    }

    /// Adopts a suspension recorded when the wall clock showed `recorded`, unless it is over.
    fn adopt(&mut self, suspension: &RecordedSuspension, recorded: Timestamp, reading: Reading) {
        let until = Duration::from_millis(suspension.until_uptime_millis);
        let jump = JumpSuspension { since: suspension.since, reason: suspension.reason.clone(), until };
        let elapsed = reading.wall.as_millis().saturating_sub(recorded.as_millis());
        let reference = suspension.reference.as_millis().saturating_add(elapsed);
        self.reference = reference.saturating_sub(millis(reading.boot));
        self.is_reference_confirmed = true;
        self.jumped_at = suspension.jumped_at;
        self.changed_from = suspension.changed_from;
        self.jump_suspension = Some(jump);
    }

    /// Returns the record to write in place of `last`.
    pub fn record(&self, reading: Reading, last: Option<&ClockRecord>) -> ClockRecord {
        let uptime = millis_of(self.uptime(reading.boot));
        let suspension = self.jump_suspension.as_ref().map(|jump| RecordedSuspension {
            since: jump.since,
            until_uptime_millis: millis_of(jump.until),
            reason: jump.reason.clone(),
            reference: self.by_reference(reading.boot),
            jumped_at: self.jumped_at,
            changed_from: self.changed_from,
        });
        ClockRecord {
            wall_time: reading.wall,
            uptime_millis: last.map_or(uptime, |last| last.uptime_millis.max(uptime)),
            confirmations: self.confirmations,
            suspension,
            jumps: self.jumps.clone(),
        }
    }

    /// Returns the suspension after a jump, if one is in force.
    pub fn jump_suspension(&self) -> Option<&JumpSuspension> {
        self.jump_suspension.as_ref()
    }

    /// Returns the offset in effect and the one trusted last.
    pub fn offsets(&self) -> (i64, i64) {
        (self.offset, self.reference)
    }

    /// Returns the wall time at `boot`, had the clock not jumped.
    pub fn by_reference(&self, boot: Duration) -> Timestamp {
        Timestamp::from_millis(self.reference.saturating_add(millis(boot)))
    }

    /// Returns the running time of the installation at `boot`.
    pub fn uptime(&self, boot: Duration) -> Duration {
        self.uptime_base + boot.saturating_sub(self.boot_base)
    }

    /// Returns the expiry of data with `retention` whose written expiry is `end`, after all forward jumps since.
    pub fn carried_over(&self, end: Timestamp, retention: Duration) -> Timestamp {
        let jumps = self.jumps.iter().copied().chain(self.jump_under_way());
        jumps.fold(end, |end, jump| jump.carried_over(end, retention))
    }

    /// Returns the forward jump that caused the suspension in force, if a jump did.
    fn jump_under_way(&self) -> Option<Jump> {
        let distance = self.offset.saturating_sub(self.reference);
        (self.jump_suspension.is_some() && distance > tolerated(self.changed_from)).then(|| Jump {
            changed_from: self.changed_from,
            before: self.jumped_at,
            after: Timestamp::from_millis(self.jumped_at.as_millis().saturating_add(distance)),
        })
    }
}

/// Returns the forward jump that caused a recorded suspension, if a jump did.
fn jump_of(suspension: &RecordedSuspension, recorded: Timestamp) -> Option<Jump> {
    let distance = recorded.as_millis().saturating_sub(suspension.reference.as_millis());
    (distance > tolerated(suspension.changed_from)).then(|| Jump {
        changed_from: suspension.changed_from,
        before: suspension.jumped_at,
        after: Timestamp::from_millis(suspension.jumped_at.as_millis().saturating_add(distance)),
    })
}

/// Returns the maximum distance from the reference that is no jump. After an early start the reference is behind by a
/// pause of unknown length, however short.
fn tolerated(changed_from: Option<Timestamp>) -> i64 {
    if changed_from.is_some() { 0 } else { TOLERATED_MILLIS }
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

fn millis_of(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
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
