//! Tests of the guard, with clocks set by hand.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use async_trait::async_trait;

use super::{Clock, ClockGuard, ClockRecord, ManualClock, Timestamp};

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
