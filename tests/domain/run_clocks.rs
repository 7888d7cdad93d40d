//! Runs beside clocks that jump.

use std::time::Duration;

use larder::{
    clock::{ClockGuard, Random, SeededRandom},
    runs::RunStatus,
};

use crate::{gateways::World, run_host::Host};

/// Interval at which the runs send heartbeats, and due items are done.
const STEP: Duration = Duration::from_mins(10);

/// Steps of six days.
const STEPS: u64 = 6 * 24 * 6;

/// Maximum error of the clock, in milliseconds: ten days.
const MOST_WRONG: u64 = 10 * 24 * 60 * 60 * 1000;

/// Maximum number of consecutive steps with a wrong clock: twelve hours.
const LONGEST_WRONG: u64 = 12 * 6;

fn below(random: &SeededRandom, limit: u64) -> u64 {
    let mut bytes = [0; 8];
    random.fill(&mut bytes);
    u64::from_le_bytes(bytes) % limit
}

/// Lets the clock jump while runs go on: some are kept alive by their heartbeats, and one by the use of its store.
async fn live_with_jumps(seed: u64, is_guarded: bool) {
    let world = World::new();
    let guard = if is_guarded {
        ClockGuard::new(world.clock.clone(), world.clock.clone())
    } else {
        ClockGuard::trusting(world.clock.clone())
    };
    let host = Host::guarded(&world, world.objects.clone(), 1, guard).await;
    let random = SeededRandom::new(seed);
    let (mut beating, mut using) = (Vec::new(), None);
    let (mut wrong_by, mut wrong_until) = (0, 0);
    for step in 0..STEPS {
        if wrong_by != 0 && step >= wrong_until {
            world.clock.jump(-wrong_by);
            wrong_by = 0;
        } else if wrong_by == 0 && below(&random, 60) == 0 {
            let millis = i64::try_from(1 + below(&random, MOST_WRONG)).expect("ten days");
            wrong_by = if below(&random, 2) == 0 { millis } else { -millis };
            wrong_until = step + below(&random, LONGEST_WRONG);
            world.clock.jump(wrong_by);
        }
        if step % 100 == 0 {
            let store = host.gateway.create(world.owner, None).await;
            beating.push(host.start(&world, &store).await.expect("a run").id);
            if using.is_none() && is_guarded {
                using = Some((host.start(&world, &store).await.expect("a run").id, store));
            }
        }
        for run in &beating {
            host.runs.beat(run).await.expect("a heartbeat");
        }
        if let Some((_, store)) = &using {
            // Refused while a clock that is ahead hides the store.
            let _ = host.gateway.put(store, "OUTPUT", "bread").await;
        }
        host.work().await;
        for run in beating.iter().chain(using.as_ref().map(|(run, _)| run)) {
            let run = host.runs.get(run).await.expect("a run");
            assert!(!run.status.is_terminal(), "seed {seed}, step {step}, {wrong_by} ms: {run:?}");
        }
        world.clock.advance(STEP);
    }
    if wrong_by != 0 {
        world.clock.jump(-wrong_by);
    }
    for _ in 0..2 * 24 * 6 {
        world.clock.advance(STEP);
        host.work().await;
    }
    for run in beating.iter().chain(using.as_ref().map(|(run, _)| run)) {
        let run = host.runs.get(run).await.expect("a run");
        assert_eq!(run.status, RunStatus::TimedOut, "seed {seed}: what is due is done within two days: {run:?}");
    }
}

#[tokio::test]
async fn clocks_that_jump_by_ten_days_for_hours_end_no_run_and_what_is_due_is_done_in_two_days() {
    for seed in 0..12 {
        live_with_jumps(seed, true).await;
    }
}

#[tokio::test]
async fn the_uptime_alone_keeps_runs_from_ending_where_no_guard_notices_a_jump() {
    for seed in 0..12 {
        live_with_jumps(seed, false).await;
    }
}
