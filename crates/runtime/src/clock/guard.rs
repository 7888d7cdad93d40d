//! Guard over irreversible work that depends on the wall clock: expiry, the end of runs, the end of their tokens.
//!
//! One reading of a clock never leads to a deletion. Callers take the time by which they decide on a deletion from
//! [`ClockGuard::deletion_time`], or ask [`ClockGuard::allows_deletion`] before each irreversible step, and measure
//! waiting times by [`ClockGuard::uptime`], which no change of the wall clock moves.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use super::{
    jump::TOLERATED_MILLIS,
    record::ClockRecord,
    source::Clock,
    timeline::{Reading, Timeline},
    timestamp::Timestamp,
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
pub struct ClockSafeguards {
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

impl ClockSafeguards {
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
    safeguards: Option<ClockSafeguards>,
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
    is_announced: bool,
}

impl ClockGuard {
    /// Returns a guard that trusts `clock` without conditions.
    pub fn trusting(clock: Arc<dyn Clock>) -> Self {
        Self::made(Arc::clone(&clock), clock, None)
    }

    /// Returns a guard over `clock` on a machine whose own clock is `machine`. It trusts the wall time that it starts
    /// with until [`ClockGuard::resume`] gives it an earlier record.
    pub fn new(clock: Arc<dyn Clock>, machine: Arc<dyn Clock>) -> Self {
        Self::made(clock, machine, Some(ClockSafeguards::ALL))
    }

    /// Returns the same guard with only these safeguards.
    #[must_use]
    pub fn with_safeguards(self, safeguards: ClockSafeguards) -> Self {
        Self { safeguards: Some(safeguards), ..self }
    }

    fn made(clock: Arc<dyn Clock>, machine: Arc<dyn Clock>, safeguards: Option<ClockSafeguards>) -> Self {
        let reading = Reading { wall: clock.now(), boot: clock.boot_time() };
        let timeline = Timeline::new(reading, is_skewed(reading, machine.as_ref()));
        let (offset, reference) = timeline.offsets();
        let state = State { timeline, skewed_since: None, skew_secs: 0, is_announced: false };
        let (offset, reference) = (AtomicI64::new(offset), AtomicI64::new(reference));
        Self { clock, machine, safeguards, state: Mutex::new(state), offset, reference }
    }

    /// Returns the suspension in force, or `None` while the wall clock is trusted.
    pub fn suspension(&self) -> Option<Suspension> {
        self.safeguards.and_then(|safeguards| self.observed(safeguards).0.suspension())
    }

    /// Returns whether expired data may be deleted, runs ended and their tokens revoked now.
    pub fn allows_deletion(&self) -> bool {
        self.deletion_time().is_some()
    }

    /// Returns the wall time to decide deletions by, or `None` while deletions are suspended. The guard has checked
    /// this very reading: no jump can come between reading and check.
    pub fn deletion_time(&self) -> Option<Timestamp> {
        let Some(safeguards) = self.safeguards else { return Some(self.clock.now()) };
        let (state, reading) = self.observed(safeguards);
        state.suspension().is_none().then_some(reading.wall)
    }

    /// Returns the time by which scheduled work is due: the wall time or, while deletions are suspended, the earlier
    /// one of it and the last trusted time.
    pub fn scheduling_time(&self) -> Timestamp {
        let Some(safeguards) = self.safeguards else { return self.clock.now() };
        let (state, reading) = self.observed(safeguards);
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
        self.lock().timeline.uptime(boot)
    }

    /// Returns the base for new expiry times: the wall time, or the latest trusted time if the wall clock is behind it.
    pub fn expiry_base(&self) -> Timestamp {
        let now = self.clock.now();
        let Some(safeguards) = self.safeguards.filter(|safeguards| safeguards.keeps_expiry_base) else { return now };
        let boot = i64::try_from(self.clock.boot_time().as_millis()).unwrap_or(i64::MAX);
        let deviation = now.as_millis().saturating_sub(boot).saturating_sub(self.offset.load(Ordering::Relaxed));
        if deviation.abs() > TOLERATED_MILLIS {
            let (state, reading) = self.observed(safeguards);
            return reading.wall.max(state.timeline.by_reference(reading.boot));
        }
        // Clocks are read one after the other, in whole milliseconds: times less than a moment apart are equal.
        let reference = Timestamp::from_millis(self.reference.load(Ordering::Relaxed).saturating_add(boot));
        if reference.since(now) < ONE_MOMENT { now } else { reference }
    }

    /// Returns the expiry of data with `retention` whose written expiry is `end`. Data that was alive before a forward
    /// jump of the wall clock lives as if it had been changed at the jump.
    pub fn carried_over(&self, end: Timestamp, retention: Duration) -> Timestamp {
        match self.safeguards {
            Some(safeguards) if safeguards.carries_over_jumps => {
                self.observed(safeguards).0.timeline.carried_over(end, retention)
            }
            _ => end,
        }
    }

    /// Resumes from the record of earlier processes. Must be called before any other method.
    pub fn resume(&self, record: &ClockRecord) {
        let Some(safeguards) = self.safeguards else { return };
        let reading = self.reading();
        let mut state = self.lock();
        let is_skewed = safeguards.compares_clocks && is_skewed(reading, self.machine.as_ref());
        state.timeline.resume(record, (reading, is_skewed), safeguards.notices_early_starts);
        self.settle(&mut state, reading, safeguards);
    }

    /// Suspends deletions for a day of boot time, for `reason`.
    pub fn doubt(&self, reason: &str) {
        let Some(safeguards) = self.safeguards else { return };
        let (mut state, reading) = self.observed(safeguards);
        state.timeline.doubt(reading, reason);
        self.settle(&mut state, reading, safeguards);
    }

    /// Merges the record that other gateways have written.
    pub fn merge(&self, record: &ClockRecord) {
        let Some(safeguards) = self.safeguards else { return };
        let (mut state, reading) = self.observed(safeguards);
        state.timeline.merge(record, reading, safeguards.notices_early_starts);
        self.settle(&mut state, reading, safeguards);
    }

    /// Ends the suspension after a jump because an operator confirmed the wall time. A difference between the clocks of
    /// machine and object store goes on to suspend deletions.
    pub fn confirm(&self) {
        let Some(safeguards) = self.safeguards else { return };
        let (mut state, reading) = self.observed(safeguards);
        state.timeline.confirm(reading.wall);
        self.settle(&mut state, reading, safeguards);
    }

    /// Returns the record to write in place of `last`; `None` if `last` is recent enough, or while the clocks of
    /// machine and object store differ.
    pub fn new_record(&self, last: Option<&ClockRecord>) -> Option<ClockRecord> {
        let (state, reading) = self.observed(self.safeguards?);
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
    fn observed(&self, safeguards: ClockSafeguards) -> (MutexGuard<'_, State>, Reading) {
        let mut state = self.lock();
        let reading = self.reading();
        self.settle(&mut state, reading, safeguards);
        (state, reading)
    }

    fn settle(&self, state: &mut State, reading: Reading, safeguards: ClockSafeguards) {
        let is_skewed = safeguards.compares_clocks && is_skewed(reading, self.machine.as_ref());
        state.timeline.observe(reading, is_skewed, safeguards.notices_jumps);
        let (offset, reference) = state.timeline.offsets();
        self.offset.store(offset, Ordering::Relaxed);
        self.reference.store(reference, Ordering::Relaxed);
        state.skew_secs = skew_millis(reading, self.machine.as_ref()) / 1000;
        state.skewed_since = is_skewed.then(|| state.skewed_since.unwrap_or(reading.wall));
        state.announce();
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

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
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
        let of_jump = self.timeline.hold().map(|hold| Suspension { since: hold.since, reason: hold.reason.clone() });
        of_jump.or_else(|| {
            let skew = self.skew_secs;
            let reason = format!("the clocks of this machine and of the object store differ by {skew} s");
            self.skewed_since.map(|since| Suspension { since, reason })
        })
    }

    /// Logs that a suspension began or ended.
    fn announce(&mut self) {
        let suspension = self.suspension();
        if suspension.is_some() == self.is_announced {
            return;
        }
        self.is_announced = suspension.is_some();
        if let Some(Suspension { reason, .. }) = suspension {
            tracing::warn!(reason, "deletions by time are suspended: the wall clock is in doubt");
        } else {
            tracing::info!("deletions by time go on: the wall clock is trusted again");
        }
    }
}
