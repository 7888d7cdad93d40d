//! Guard over irreversible work that depends on the wall clock: expiry, the end of runs, the end of their tokens.
//!
//! One reading of a clock never leads to a deletion. Callers take the time by which they decide on a deletion from
//! [`ClockGuard::deletion_time`], or ask [`ClockGuard::allows_deletion`] before each irreversible step, and measure
//! waiting times by [`ClockGuard::uptime`], which no change of the wall clock moves.

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use parking_lot::{Mutex, MutexGuard};

use super::{
    clocks::{Clock, Timestamp},
    timeline::{ClockRecord, Reading, TOLERATED_MILLIS, Timeline},
};

/// Maximum boot time between two readings of the clocks that count as one moment.
const ONE_MOMENT: Duration = Duration::from_secs(1);

/// Maximum number of readings to get two that count as one moment.
const MAX_READINGS: usize = 4;

/// Interval between writes of the record.
const RECORD_INTERVAL: Duration = Duration::from_mins(1);

/// A period in which no expired data is deleted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Suspension {
    /// Start of the suspension, by the wall clock of this gateway.
    pub since: Timestamp,
    /// Reason, for logs and operators.
    pub reason: String,
}

/// Switches of the guard's measures. All are on in production; simulations turn them off one at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of its own")]
pub struct ClockToggles {
    /// Suspends deletions while the clocks of machine and object store differ.
    pub compares_clocks: bool,
    /// Suspends deletions after a jump of the wall clock against boot time.
    pub notices_jumps: bool,
    /// Suspends deletions after a start before the latest recorded time.
    pub notices_early_starts: bool,
    /// Computes ends from the latest trusted time while the wall clock is behind it.
    pub keeps_expiry_base: bool,
    /// Lets what was alive before a forward jump live its retention after it.
    pub carries_over_jumps: bool,
}

impl ClockToggles {
    /// All measures on, as production needs them.
    pub const ALL: Self = Self {
        compares_clocks: true,
        notices_jumps: true,
        notices_early_starts: true,
        keeps_expiry_base: true,
        carries_over_jumps: true,
    };
}

/// Trust in the wall clock of this installation.
#[derive(Debug)]
pub struct ClockGuard {
    /// Clock of the installation.
    clock: Arc<dyn Clock>,
    /// Clock of this machine; the same unless the object store's time is used.
    machine: Arc<dyn Clock>,
    /// `None` trusts the clock without conditions.
    toggles: Option<ClockToggles>,
    state: Mutex<State>,
    /// Copies of the timeline's offsets, for readers while the clock has not moved.
    offset: AtomicI64,
    reference: AtomicI64,
}

#[derive(Debug)]
struct State {
    timeline: Timeline,
    /// Wall time since which the clocks of machine and object store differ.
    skewed_since: Option<Timestamp>,
    /// Difference of these clocks in seconds.
    skew_secs: u64,
    is_logged: bool,
}

impl ClockGuard {
    /// Returns a guard that trusts `clock` without conditions.
    pub fn trusting(clock: Arc<dyn Clock>) -> Self {
        Self::build(Arc::clone(&clock), clock, None)
    }

    /// Returns a guard over `clock` on a machine whose own clock is `machine`. It trusts the wall time that it starts
    /// with until [`ClockGuard::resume`] gives it an earlier record.
    pub fn new(clock: Arc<dyn Clock>, machine: Arc<dyn Clock>) -> Self {
        Self::build(clock, machine, Some(ClockToggles::ALL))
    }

    /// Returns the same guard with only these toggles.
    #[must_use]
    pub fn with_toggles(self, toggles: ClockToggles) -> Self {
        Self { toggles: Some(toggles), ..self }
    }

    fn build(clock: Arc<dyn Clock>, machine: Arc<dyn Clock>, toggles: Option<ClockToggles>) -> Self {
        let reading = Reading { wall: clock.now(), boot: clock.boot_time() };
        let timeline = Timeline::new(reading, is_skewed(reading, machine.as_ref()));
        let (offset, reference) = timeline.offsets();
        let state = State { timeline, skewed_since: None, skew_secs: 0, is_logged: false };
        let (offset, reference) = (AtomicI64::new(offset), AtomicI64::new(reference));
        Self { clock, machine, toggles, state: Mutex::new(state), offset, reference }
    }

    /// Returns the suspension in force, or `None` while the wall clock is trusted.
    pub fn suspension(&self) -> Option<Suspension> {
        self.toggles.and_then(|toggles| self.observed(toggles).0.suspension())
    }

    /// Returns whether expired data may be deleted, runs ended and their tokens revoked now.
    pub fn allows_deletion(&self) -> bool {
        self.deletion_time().is_some()
    }

    /// Returns the wall time to decide deletions by, or `None` while deletions are suspended. The guard has checked
    /// this very reading: no jump can come between reading and check.
    pub fn deletion_time(&self) -> Option<Timestamp> {
        let Some(toggles) = self.toggles else { return Some(self.clock.now()) };
        let (state, reading) = self.observed(toggles);
        state.suspension().is_none().then_some(reading.wall)
    }

    /// Returns the time by which scheduled work is due: the wall time or, while deletions are suspended, the earlier
    /// one of it and the last trusted time.
    pub fn scheduling_time(&self) -> Timestamp {
        let Some(toggles) = self.toggles else { return self.clock.now() };
        let (state, reading) = self.observed(toggles);
        if state.suspension().is_none() {
            return reading.wall;
        }
        reading.wall.min(state.timeline.by_reference(reading.boot))
    }

    /// Returns the accumulated time for which this installation has been running, by boot-time clocks, over all
    /// processes. It never goes back, and never advances faster than real time. A gateway that joins others is at most
    /// about a minute behind them.
    pub fn uptime(&self) -> Duration {
        let boot = self.clock.boot_time();
        self.state.lock().timeline.uptime(boot)
    }

    /// Returns the base for new expiry times: the wall time, or the latest trusted time if the wall clock is behind it.
    pub fn expiry_base(&self) -> Timestamp {
        let now = self.clock.now();
        let Some(toggles) = self.toggles.filter(|toggles| toggles.keeps_expiry_base) else { return now };
        let boot = i64::try_from(self.clock.boot_time().as_millis()).unwrap_or(i64::MAX);
        let deviation = now.as_millis().saturating_sub(boot).saturating_sub(self.offset.load(Ordering::Relaxed));
        if deviation.abs() > TOLERATED_MILLIS {
            let (state, reading) = self.observed(toggles);
            return reading.wall.max(state.timeline.by_reference(reading.boot));
        }
        // Clocks are read one after the other, in whole milliseconds: times less than a moment apart are equal.
        let reference = Timestamp::from_millis(self.reference.load(Ordering::Relaxed).saturating_add(boot));
        if reference.since(now) < ONE_MOMENT { now } else { reference }
    }

    /// Returns the expiry of data with `retention` whose written expiry is `end`. Data that was alive before a forward
    /// jump of the wall clock lives as if it had been changed at the jump.
    pub fn carried_over(&self, end: Timestamp, retention: Duration) -> Timestamp {
        match self.toggles {
            Some(toggles) if toggles.carries_over_jumps => {
                self.observed(toggles).0.timeline.carried_over(end, retention)
            }
            _ => end,
        }
    }

    /// Resumes from the record of earlier processes. Must be called before any other method.
    pub fn resume(&self, record: &ClockRecord) {
        let Some(toggles) = self.toggles else { return };
        let reading = self.reading();
        let mut state = self.state.lock();
        let is_skewed = toggles.compares_clocks && is_skewed(reading, self.machine.as_ref());
        state.timeline.resume(record, (reading, is_skewed), toggles.notices_early_starts);
        self.update(&mut state, reading, toggles);
    }

    /// Suspends deletions for a day of boot time, for `reason`.
    pub fn suspend(&self, reason: &str) {
        let Some(toggles) = self.toggles else { return };
        let (mut state, reading) = self.observed(toggles);
        state.timeline.suspend(reading, reason);
        self.update(&mut state, reading, toggles);
    }

    /// Merges the record that other gateways have written.
    pub fn merge(&self, record: &ClockRecord) {
        let Some(toggles) = self.toggles else { return };
        let (mut state, reading) = self.observed(toggles);
        state.timeline.merge(record, reading, toggles.notices_early_starts);
        self.update(&mut state, reading, toggles);
    }

    /// Ends the suspension after a jump because an operator confirmed the wall time. A difference between the clocks of
    /// machine and object store goes on to suspend deletions.
    pub fn confirm(&self) {
        let Some(toggles) = self.toggles else { return };
        let (mut state, reading) = self.observed(toggles);
        state.timeline.confirm(reading.wall);
        self.update(&mut state, reading, toggles);
    }

    /// Returns the record to write in place of `last`; `None` if `last` is recent enough, or while the clocks of
    /// machine and object store differ.
    pub fn new_record(&self, last: Option<&ClockRecord>) -> Option<ClockRecord> {
        let (state, reading) = self.observed(self.toggles?);
        if state.skewed_since.is_some() {
            return None;
        }
        let record = state.timeline.record(reading, last);
        let Some(last) = last else { return Some(record) };
        let is_other = record.confirmations != last.confirmations
            || record.jumps != last.jumps
            || record.suspension.as_ref().map(|new| new.until_uptime_millis)
                != last.suspension.as_ref().map(|old| old.until_uptime_millis);
        let age = record.wall_time.as_millis().abs_diff(last.wall_time.as_millis());
        (is_other || u128::from(age) >= RECORD_INTERVAL.as_millis()).then_some(record)
    }

    /// Returns the wall times of this gateway and of its machine.
    pub fn times(&self) -> (Timestamp, Timestamp) {
        (self.clock.now(), self.machine.now())
    }

    /// Observes the clocks, then locks the state.
    fn observed(&self, toggles: ClockToggles) -> (MutexGuard<'_, State>, Reading) {
        let mut state = self.state.lock();
        let reading = self.reading();
        self.update(&mut state, reading, toggles);
        (state, reading)
    }

    fn update(&self, state: &mut State, reading: Reading, toggles: ClockToggles) {
        let is_skewed = toggles.compares_clocks && is_skewed(reading, self.machine.as_ref());
        state.timeline.observe(reading, is_skewed, toggles.notices_jumps);
        let (offset, reference) = state.timeline.offsets();
        self.offset.store(offset, Ordering::Relaxed);
        self.reference.store(reference, Ordering::Relaxed);
        state.skew_secs = skew_millis(reading, self.machine.as_ref()) / 1000;
        state.skewed_since = is_skewed.then(|| state.skewed_since.unwrap_or(reading.wall));
        state.log_change();
    }

    /// Reads wall and boot time at one moment.
    fn reading(&self) -> Reading {
        let mut boot = self.clock.boot_time();
        let mut wall = self.clock.now();
        for _ in 1..MAX_READINGS {
            let after = self.clock.boot_time();
            if after.saturating_sub(boot) < ONE_MOMENT {
                break;
            }
            (boot, wall) = (after, self.clock.now());
        }
        Reading { wall, boot }
    }
}

/// Returns the difference between the clocks of the object store and of the machine in milliseconds.
fn skew_millis(reading: Reading, machine: &dyn Clock) -> u64 {
    reading.wall.as_millis().abs_diff(machine.now().as_millis())
}

fn is_skewed(reading: Reading, machine: &dyn Clock) -> bool {
    skew_millis(reading, machine) > TOLERATED_MILLIS.unsigned_abs()
}

impl State {
    fn suspension(&self) -> Option<Suspension> {
        let of_jump =
            self.timeline.jump_suspension().map(|jump| Suspension { since: jump.since, reason: jump.reason.clone() });
        of_jump.or_else(|| {
            let skew = self.skew_secs;
            let reason = format!("the clocks of this machine and of the object store differ by {skew} s");
            self.skewed_since.map(|since| Suspension { since, reason })
        })
    }

    /// Logs that a suspension began or ended.
    fn log_change(&mut self) {
        let suspension = self.suspension();
        if suspension.is_some() == self.is_logged {
            return;
        }
        self.is_logged = suspension.is_some();
        if let Some(Suspension { reason, .. }) = suspension {
            tracing::warn!(reason, "deletions by time are suspended: the wall clock is in doubt");
        } else {
            tracing::info!("deletions by time go on: the wall clock is trusted again");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

    use async_trait::async_trait;

    use super::*;
    use crate::clock::ManualClock;

    const START: Timestamp = Timestamp::from_millis(1_767_225_600_000);
    const DAY: Duration = Duration::from_hours(24);
    const WEEK: Duration = Duration::from_hours(24 * 7);
    const DAY_MILLIS: i64 = 86_400_000;

    fn guard_at(start: Timestamp) -> (Arc<ManualClock>, ClockGuard) {
        let clock = Arc::new(ManualClock::new(start));
        (clock.clone(), ClockGuard::new(clock.clone(), clock))
    }

    fn guard() -> (Arc<ManualClock>, ClockGuard) {
        guard_at(START)
    }

    /// Returns the guard of the next process, which starts `pause` after the record was written, by a clock `ahead_millis`
    /// ahead.
    fn restarted(record: &ClockRecord, pause: Duration, ahead_millis: i64) -> (Arc<ManualClock>, ClockGuard) {
        let shown = record.wall_time.plus(pause).as_millis() + ahead_millis;
        let (clock, guard) = guard_at(Timestamp::from_millis(shown));
        guard.resume(record);
        (clock, guard)
    }

    fn record(guard: &ClockGuard) -> ClockRecord {
        guard.new_record(None).expect("there is something to record")
    }

    #[test]
    fn a_jump_of_the_wall_clock_suspends_deletions_for_a_day_of_boot_time() {
        for jump in [61_000, -61_000, 8 * DAY_MILLIS, -8 * DAY_MILLIS] {
            let (clock, guard) = guard();
            assert!(guard.allows_deletion());
            clock.jump(jump);
            assert_eq!(guard.deletion_time(), None, "{jump}");
            clock.advance(DAY.saturating_sub(Duration::from_secs(1)));
            assert!(!guard.allows_deletion());
            clock.advance(Duration::from_secs(1));
            assert_eq!(guard.deletion_time(), Some(clock.now()));
        }
    }

    #[test]
    fn a_jump_that_is_undone_suspends_deletions_all_the_same() {
        let (clock, guard) = guard();
        clock.jump(8 * DAY_MILLIS);
        assert!(!guard.allows_deletion());
        clock.jump(-8 * DAY_MILLIS);
        clock.advance(Duration::from_hours(23));
        assert!(!guard.allows_deletion());
    }

    #[test]
    fn small_corrections_suspend_nothing_and_do_not_add_up_unnoticed() {
        let (clock, guard) = guard();
        for _ in 0..30 {
            clock.advance(DAY);
            clock.jump(20_000);
            assert!(guard.allows_deletion());
        }
        clock.advance(Duration::from_mins(10));
        for is_noticed in [false, false, true] {
            clock.advance(Duration::from_secs(1));
            clock.jump(30_000);
            assert_eq!(guard.allows_deletion(), !is_noticed);
        }
    }

    #[test]
    fn neither_a_machine_that_sleeps_nor_a_long_pause_between_processes_is_a_jump() {
        let (clock, guard) = guard();
        clock.suspend(DAY * 3);
        assert!(guard.allows_deletion());
        let (_, next) = restarted(&record(&guard), DAY * 30, 0);
        assert!(next.allows_deletion());
    }

    #[test]
    fn a_start_before_the_latest_recorded_time_suspends_deletions() {
        let (_, first) = guard();
        let (_, near) = restarted(&record(&first), Duration::ZERO, -60_000);
        assert!(near.allows_deletion());
        let (_, next) = restarted(&record(&first), Duration::ZERO, -61_000);
        assert!(!next.allows_deletion());
        assert!(next.suspension().is_some_and(|suspension| suspension.reason.contains("61 s before")));
    }

    #[test]
    fn a_suspension_outlives_restarts_and_ends_on_a_machine_that_runs_four_hours_a_day() {
        let (clock, guard) = guard();
        clock.jump(-DAY_MILLIS);
        assert!(!guard.allows_deletion());
        let mut last = record(&guard);
        for day in 0..6 {
            let (clock, guard) = restarted(&last, Duration::from_hours(20), 0);
            assert!(!guard.allows_deletion(), "day {day}");
            clock.advance(Duration::from_hours(4));
            last = record(&guard);
        }
        let (_, guard) = restarted(&last, Duration::from_hours(20), 0);
        assert!(guard.allows_deletion());
    }

    #[test]
    fn an_operator_ends_a_suspension_and_other_gateways_hear_of_it() {
        let (clock, guard) = guard();
        let other = ClockGuard::new(clock.clone(), clock.clone());
        clock.jump(8 * DAY_MILLIS);
        assert!(!guard.allows_deletion() && !other.allows_deletion());
        guard.confirm();
        assert!(guard.allows_deletion() && !other.allows_deletion());
        other.merge(&record(&guard));
        assert!(other.allows_deletion());
    }

    #[test]
    fn a_jump_that_one_gateway_saw_suspends_the_deletions_of_all() {
        for jump in [8 * DAY_MILLIS, -8 * DAY_MILLIS] {
            let (clock, guard) = guard();
            clock.jump(jump);
            assert!(!guard.allows_deletion());
            let noted = record(&guard);
            clock.jump(-jump);
            let other = ClockGuard::new(clock.clone(), clock.clone());
            assert!(other.allows_deletion());
            other.merge(&noted);
            assert!(!other.allows_deletion(), "{jump}");
        }
    }

    #[test]
    fn deletions_are_suspended_while_the_clocks_of_machine_and_object_store_differ() {
        let store = Arc::new(ManualClock::new(START));
        let machine = Arc::new(ManualClock::new(START));
        let guard = ClockGuard::new(store, machine.clone());
        assert!(guard.allows_deletion());
        machine.jump(61_000);
        assert!(!guard.allows_deletion());
        assert!(guard.suspension().is_some_and(|suspension| suspension.reason.contains("differ by 61 s")));
        machine.jump(-61_000);
        assert!(guard.allows_deletion());
    }

    #[test]
    fn ends_are_computed_from_the_latest_trusted_time_while_the_clock_is_behind_it() {
        let (clock, guard) = guard();
        clock.advance(DAY);
        clock.jump(-10 * DAY_MILLIS);
        clock.advance(Duration::from_hours(1));
        assert_eq!(guard.expiry_base(), START.plus(Duration::from_hours(25)));
        clock.jump(10 * DAY_MILLIS);
        assert_eq!(guard.expiry_base(), clock.now());
        let (_, next) = restarted(&record(&guard), Duration::ZERO, -10 * DAY_MILLIS);
        assert_eq!(next.expiry_base(), START.plus(Duration::from_hours(25)));
    }

    #[test]
    fn a_time_that_one_of_two_clocks_alone_showed_at_the_start_is_no_base_once_they_agree() {
        let (store, machine) = (Arc::new(ManualClock::new(START)), Arc::new(ManualClock::new(START)));
        store.jump(8 * DAY_MILLIS);
        let guard = ClockGuard::new(store.clone(), machine);
        assert!(!guard.allows_deletion());
        store.jump(-8 * DAY_MILLIS);
        assert!(!guard.allows_deletion());
        assert_eq!(guard.expiry_base(), START);
    }

    #[test]
    fn what_was_made_while_a_fresh_machine_had_the_wrong_time_lives_its_retention_after_the_correction() {
        let (clock, guard) = guard_at(Timestamp::from_millis(0));
        let end = guard.expiry_base().plus(WEEK);
        assert_eq!(guard.carried_over(end, WEEK), end);
        clock.advance(Duration::from_mins(1));
        clock.jump(START.as_millis());
        let corrected = clock.now();
        assert_eq!(guard.carried_over(end, WEEK), corrected.plus(WEEK));
        // This holds after the suspension, too, and after a restart with the wrong time.
        let (second, guard) = restarted(&record(&guard), Duration::ZERO, -START.as_millis());
        assert!(guard.carried_over(end, WEEK) > second.now());
        let of_second = guard.expiry_base().plus(WEEK);
        second.advance(Duration::from_mins(1));
        second.jump(START.as_millis() + DAY_MILLIS);
        assert!(!guard.allows_deletion());
        second.advance(DAY);
        assert!(guard.allows_deletion());
        assert!(guard.carried_over(end, WEEK) >= corrected.plus(WEEK));
        assert!(guard.carried_over(of_second, WEEK) >= second.now().plus(WEEK).minus(DAY + Duration::from_mins(1)));
    }

    #[test]
    fn a_correction_between_two_processes_is_a_forward_jump_too() {
        let (_, first) = guard();
        let (clock, second) = restarted(&record(&first), DAY, -8 * DAY_MILLIS);
        clock.advance(Duration::from_hours(1));
        let end = second.expiry_base().plus(WEEK);
        let (clock, third) = restarted(&record(&second), Duration::ZERO, 7 * DAY_MILLIS + DAY_MILLIS);
        assert!(!third.allows_deletion());
        assert_eq!(third.carried_over(end, WEEK), clock.now().plus(WEEK));
        assert_eq!(third.expiry_base(), clock.now());
        let changed_in_first = START.plus(WEEK);
        assert_eq!(third.carried_over(changed_in_first.minus(DAY), WEEK), changed_in_first.minus(DAY));
    }

    #[test]
    fn a_clock_that_is_ahead_for_a_while_moves_no_ends_once_it_is_right_again() {
        let (clock, guard) = guard();
        let end = clock.now().plus(DAY);
        clock.jump(8 * DAY_MILLIS);
        assert!(guard.carried_over(end, WEEK) > clock.now());
        clock.advance(Duration::from_secs(20));
        clock.jump(-8 * DAY_MILLIS);
        assert_eq!(guard.carried_over(end, WEEK), end);
        clock.advance(DAY);
        assert!(guard.allows_deletion());
        assert_eq!(guard.carried_over(end, WEEK), end);
    }

    #[test]
    fn uptime_adds_up_over_processes_and_no_jump_moves_it() {
        let (clock, guard) = guard();
        clock.advance(Duration::from_hours(4));
        clock.jump(8 * DAY_MILLIS);
        clock.suspend(Duration::from_hours(1));
        assert_eq!(guard.uptime(), Duration::from_hours(5));
        let (clock, next) = restarted(&record(&guard), WEEK, 0);
        clock.advance(Duration::from_hours(2));
        assert_eq!(next.uptime(), Duration::from_hours(7));
        let later = ClockRecord { uptime_millis: 0, ..record(&next) };
        assert_eq!(next.new_record(Some(&later)).map(|record| record.uptime_millis), None);
        clock.advance(Duration::from_mins(1));
        let recorded = |last: &ClockRecord| next.new_record(Some(last)).map(|record| record.uptime_millis);
        assert_eq!(recorded(&later), Some(next.uptime().as_millis().try_into().expect("a short time")));
        let of_others = ClockRecord { uptime_millis: u64::MAX / 2, ..later };
        assert_eq!(recorded(&of_others), Some(u64::MAX / 2), "the uptime that others recorded never goes back");
    }

    #[test]
    fn a_gateway_whose_clocks_differ_records_nothing() {
        let (store, machine) = (Arc::new(ManualClock::new(START)), Arc::new(ManualClock::new(START)));
        let guard = ClockGuard::new(store.clone(), machine);
        let noted = record(&guard);
        store.jump(8 * DAY_MILLIS);
        assert_eq!(guard.new_record(Some(&noted)), None);
        store.jump(-8 * DAY_MILLIS);
        assert!(guard.new_record(Some(&noted)).is_some_and(|recorded| recorded.suspension.is_some()));
    }

    #[test]
    fn a_time_ahead_that_another_gateway_recorded_suspends_deletions() {
        for (ahead, is_trusted) in [(60, true), (61, false)] {
            let (_, other) = guard_at(START.plus(Duration::from_secs(ahead)));
            let (_, guard) = guard();
            guard.merge(&record(&other));
            assert_eq!(guard.allows_deletion(), is_trusted, "{ahead} s");
        }
    }

    #[test]
    fn a_jump_that_was_confirmed_is_remembered_once_by_all_gateways_and_their_next_processes() {
        let (clock, guard) = guard();
        let other = ClockGuard::new(clock.clone(), clock.clone());
        let end = START.plus(DAY);
        clock.jump(8 * DAY_MILLIS);
        assert!(!guard.allows_deletion() && !other.allows_deletion());
        guard.confirm();
        let noted = record(&guard);
        let late = ClockGuard::new(clock.clone(), clock.clone());
        let (_, next) = restarted(&noted, Duration::ZERO, 0);
        for gateway in [&other, &late, &next] {
            gateway.merge(&noted);
            assert!(gateway.allows_deletion());
            assert_eq!(gateway.carried_over(end, WEEK), clock.now().plus(WEEK));
            assert_eq!(record(gateway).jumps.len(), 1);
        }
        let (_, resumed) = restarted(&noted, Duration::ZERO, 0);
        assert_eq!(resumed.carried_over(end, WEEK), clock.now().plus(WEEK));
        clock.advance(DAY * 401);
        clock.jump(DAY_MILLIS);
        assert!(!guard.allows_deletion());
        guard.confirm();
        assert_eq!(record(&guard).jumps.len(), 1, "no life depends on the first any more");
    }

    #[test]
    fn of_two_suspensions_the_longer_stays_and_the_jump_of_the_other_is_not_forgotten() {
        let end = START.plus(DAY);
        let (clock, guard) = guard();
        clock.jump(8 * DAY_MILLIS);
        assert!(!guard.allows_deletion());
        let (later, other) = guard_at(clock.now());
        later.advance(Duration::from_hours(2));
        later.jump(-120_000);
        assert!(!other.allows_deletion());
        let (of_guard, of_other) = (record(&guard), record(&other));
        for (gateway, merged) in [(&other, &of_guard), (&guard, &of_other)] {
            assert!(record(gateway).jumps.is_empty());
            gateway.merge(merged);
            assert!(gateway.suspension().is_some_and(|held| held.reason.contains("back by 120 s")));
            assert!(gateway.carried_over(end, WEEK) >= clock.now().plus(WEEK));
        }
    }

    #[test]
    fn a_start_before_the_time_of_a_recorded_jump_does_not_forget_the_jump() {
        let (clock, first) = guard();
        clock.jump(8 * DAY_MILLIS);
        assert!(!first.allows_deletion());
        let (_, next) = restarted(&record(&first), Duration::ZERO, -10 * DAY_MILLIS);
        assert_eq!(next.carried_over(START.plus(DAY), WEEK), clock.now().plus(WEEK));
    }

    #[test]
    fn work_is_due_by_the_trusted_time_while_deletions_are_suspended() {
        let (clock, guard) = guard();
        clock.jump(8 * DAY_MILLIS);
        clock.advance(Duration::from_hours(1));
        assert_eq!(guard.scheduling_time(), START.plus(Duration::from_hours(1)));
        guard.confirm();
        assert_eq!(guard.scheduling_time(), clock.now());
        clock.jump(-DAY_MILLIS);
        assert_eq!(guard.scheduling_time(), clock.now());
    }

    #[test]
    fn a_clock_that_is_set_back_by_less_than_a_moment_is_the_base_of_ends() {
        let (clock, guard) = guard();
        clock.jump(-900);
        assert_eq!(guard.expiry_base(), clock.now());
        clock.jump(-200);
        assert_eq!(guard.expiry_base(), START);
    }

    /// Clock of a machine that sleeps for an hour between two readings.
    #[derive(Debug)]
    struct Sleepy {
        clock: Arc<ManualClock>,
        falls_asleep: AtomicBool,
    }

    #[async_trait]
    impl Clock for Sleepy {
        fn now(&self) -> Timestamp {
            if self.falls_asleep.swap(false, Relaxed) {
                self.clock.suspend(Duration::from_hours(1));
            }
            self.clock.now()
        }

        fn monotonic(&self) -> Duration {
            self.clock.monotonic()
        }

        fn boot_time(&self) -> Duration {
            self.clock.boot_time()
        }

        async fn sleep(&self, duration: Duration) {
            self.clock.sleep(duration).await;
        }
    }

    #[test]
    fn a_machine_that_sleeps_between_two_readings_of_its_clocks_is_no_jump() {
        let clock = Arc::new(ManualClock::new(START));
        let sleepy = Arc::new(Sleepy { clock: clock.clone(), falls_asleep: AtomicBool::new(false) });
        let guard = ClockGuard::new(sleepy.clone(), clock);
        sleepy.falls_asleep.store(true, Relaxed);
        assert!(guard.allows_deletion());
        assert!(!sleepy.falls_asleep.load(Relaxed));
    }
}
