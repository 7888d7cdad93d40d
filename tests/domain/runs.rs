//! Runs over the reference object store: long lists, crashes at every call, items that cannot be processed, clocks that jump.

use std::sync::Arc;
use std::time::Duration;

use larder::clock::{ClockGuard, Random, SeededRandom};
use larder::jobs::Job;
use larder::kv::{create_json, put_unconditionally};
use larder::runs::{Outcome, RunFilter, RunScope, RunStatus};
use larder::storage::metrics_layer::MetricsLayer;
use larder::storage::{ListOptions, MAX_LIST_KEYS, ObjectStore, Operation};
use larder_test_kit::fault_injection::{Call, Fault, FaultInjector, Refusal};

use crate::gateways::World;
use crate::run_host::Host;

fn all_of(world: &World) -> RunScope {
    RunScope { owner: world.owner, actor: None }
}

async fn count(objects: &dyn ObjectStore, prefix: &str) -> usize {
    let (mut count, mut start_after) = (0, None);
    loop {
        let options = ListOptions { prefix: prefix.to_owned(), start_after, limit: MAX_LIST_KEYS };
        let page = objects.list(options).await.expect("the reference lists");
        count += page.objects.len();
        start_after = page.objects.last().map(|object| object.key.clone()).filter(|_| page.is_truncated);
        if start_after.is_none() {
            return count;
        }
    }
}

#[tokio::test]
async fn a_page_anywhere_in_a_long_list_costs_few_lists_and_a_read_for_each_run_that_it_shows() {
    const RUNS: usize = 4_500;
    let world = World::new();
    let measured = Arc::new(MetricsLayer::new(world.objects.clone()));
    let host = Host::new(&world, measured.clone(), 1).await;
    let store = host.gateway.create(world.owner, None).await;
    let mut made = Vec::new();
    for number in 0..RUNS {
        world.clock.advance(Duration::from_millis(1));
        let run = host.start(&world, &store).await.expect("a run");
        if number % 9 == 0 {
            host.finish(&run, Outcome::Failed).await.expect("an end");
        }
        made.push(run.id);
    }
    let of = all_of(&world);
    let failed = RunFilter { statuses: vec![RunStatus::Failed], ..RunFilter::default() };
    let some: Vec<_> = made.iter().copied().step_by(9).collect();
    for (filter, expected) in [(RunFilter::default(), &made), (failed, &some)] {
        host.runs.list(&of, &filter, true, 0, 1).await.expect("a page");
        for is_descending in [true, false] {
            for offset in [0, 1, 400, 999, 1000, 1001, 2500, 3990, 4499, 4500, 9000] {
                let before = measured.counts();
                let page = host.runs.list(&of, &filter, is_descending, offset, 20).await.expect("a page");
                let ids: Vec<_> = page.runs.iter().map(|run| run.id).collect();
                let mut ordered = expected.clone();
                if is_descending {
                    ordered.reverse();
                }
                let wanted: Vec<_> = ordered.into_iter().skip(offset).take(20).collect();
                assert_eq!((ids, page.total), (wanted, expected.len()), "{is_descending} {offset}");
                let cost = measured.counts().since(&before);
                assert!(
                    cost.for_operation(Operation::List).begun <= 5,
                    "{} lists",
                    cost.for_operation(Operation::List).begun
                );
                assert_eq!(cost.for_operation(Operation::Get).begun, page.runs.len() as u64);
            }
        }
    }
    // Later changes are counted at once, though the rest is not counted again.
    for _ in 0..1_500 {
        world.clock.advance(Duration::from_millis(1));
        made.push(host.start(&world, &store).await.expect("a run").id);
    }
    let page = host.runs.list(&of, &RunFilter::default(), false, 5_000, 10).await.expect("a page");
    assert_eq!(page.total, 6_000);
    assert_eq!(page.runs.iter().map(|run| run.id).collect::<Vec<_>>(), made[5_000..5_010]);
}

#[tokio::test]
async fn a_crash_at_any_call_of_a_runs_life_leaves_nothing_for_ever_and_never_half_a_run() {
    for crash_at in 0..70 {
        let world = World::new();
        let faulty = Arc::new(FaultInjector::new(world.objects.clone(), world.clock.clone()));
        let sound = Host::new(&world, world.objects.clone(), 1).await;
        let store = sound.gateway.create(world.owner, None).await;
        let before = count(world.objects.as_ref(), "larder/runs").await;
        let host = Host::new(&world, faulty.clone(), 2).await;
        for _ in 0..200 {
            let call = Call { operation: None, key_contains: "larder/runs".to_owned(), skip: crash_at };
            faulty.inject(call, Fault::Refuse(Refusal::Unavailable));
        }
        let made = host.start(&world, &store).await;
        if let Ok(run) = &made {
            let _ = host.runs.heartbeat(&run.id).await;
            let _ = host.finish(run, Outcome::Succeeded).await;
        }
        host.pass(&world, 3).await;
        world.clock.advance(Duration::from_hours(24 * 8));
        host.pass(&world, 2).await;
        let page = sound.runs.list(&all_of(&world), &RunFilter::default(), true, 0, 10).await.expect("a page");
        let is_listed = !page.runs.is_empty();
        let is_there = match &made {
            Ok(run) => sound.runs.get(&run.id).await.is_ok(),
            Err(_) => is_listed,
        };
        assert_eq!(is_listed, is_there, "call {crash_at}");
        // Another process goes on from there.
        sound.pass(&world, 4).await;
        world.clock.advance(Duration::from_hours(24 * 8));
        sound.pass(&world, 4).await;
        assert_eq!(world.keys("larder/runs").await, Vec::<String>::new(), "call {crash_at}");
        assert_eq!(before, 0);
    }
}

#[tokio::test]
async fn items_whose_runs_cannot_be_read_hold_up_no_other_run() {
    let world = World::new();
    let host = Host::new(&world, world.objects.clone(), 1).await;
    let store = host.gateway.create(world.owner, None).await;
    for _ in 0..MAX_LIST_KEYS + 10 {
        let id = host.runs.new_id();
        let objects = world.objects.as_ref();
        create_json(objects, &format!("larder/runs/{id}"), &"damaged").await.expect("a write");
        let item = format!("larder/runs-due/0000000000001-{id}");
        put_unconditionally(objects, &item, &()).await.expect("a write");
    }
    let run = host.start(&world, &store).await.expect("a run");
    world.clock.advance(Duration::from_hours(2));
    assert!(host.reconciler.run_once().await.is_err(), "what failed is told");
    assert_eq!(host.runs.get(&run.id).await.expect("a run").status, RunStatus::TimedOut);
    let items = count(world.objects.as_ref(), "larder/runs-due/").await;
    assert_eq!(items, MAX_LIST_KEYS + 10, "they are tried again, later");
}

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
            host.runs.heartbeat(run).await.expect("a heartbeat");
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
