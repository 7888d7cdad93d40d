//! The runs: as it is, nothing is lost; without any one safeguard, something is.

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use larder::kv::SafetyToggles;

use super::{
    clients::{client, crasher, owner, reconciler_task},
    flaky_store::Weather,
    world::{Scenario, World},
};

/// When everything that was begun must be done.
const END: Duration = Duration::from_mins(25);

/// Time after which all leftovers must be gone, too.
const AFTERWARDS: Duration = Duration::from_mins(100);

/// Steps that the sound protocol is tried with in each scenario; a step is a request to the object store, there or back.
const STEPS: u64 = 1_000_000;

/// Runs in which a missing safeguard must show.
const RUNS: u64 = 400;

/// A world of ordinary failures.
const ORDINARY: Scenario = Scenario {
    weather: Weather { usual_ms: 400, slow: 70, stalled: 30, refused: 5, unanswered: 10, late: 5 },
    life: Duration::from_secs(100),
    clients: 5,
    pause_ms: 4000,
    toggles: SafetyToggles::ALL,
};

/// A world in which many clients use the store at once, and responses are slow.
const CROWDED: Scenario = Scenario {
    weather: Weather { usual_ms: 400, slow: 200, stalled: 10, refused: 0, unanswered: 0, late: 0 },
    clients: 12,
    pause_ms: 600,
    ..ORDINARY
};

/// A world in which the store is always about to end.
const BRIEF: Scenario = Scenario {
    weather: Weather { usual_ms: 400, slow: 0, stalled: 0, refused: 5, unanswered: 10, late: 5 },
    life: Duration::from_secs(12),
    ..ORDINARY
};

/// A world in which the store is nearly forgotten, again and again.
const DROWSY: Scenario = Scenario {
    weather: Weather { usual_ms: 30, slow: 0, stalled: 0, refused: 0, unanswered: 0, late: 0 },
    life: Duration::from_secs(8),
    clients: 3,
    pause_ms: 12_000,
    ..ORDINARY
};

/// A world in which everything is so fast that much happens before any gateway's view is too old.
const QUICK: Scenario = Scenario {
    weather: Weather { usual_ms: 30, slow: 10, stalled: 0, refused: 0, unanswered: 0, late: 0 },
    clients: 12,
    pause_ms: 3000,
    ..ORDINARY
};

/// Returns the contradictions in the run of a seed.
fn run(seed: u64, scenario: Scenario, steps: &Arc<AtomicU64>) -> BTreeSet<&'static str> {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    runtime.block_on(async {
        let world = World::new(seed, scenario, steps.clone());
        let id = world.create().await;
        for number in 1..=scenario.clients {
            tokio::spawn(client(world.clone(), id, number));
        }
        tokio::spawn(owner(world.clone(), id));
        tokio::spawn(crasher(world.clone()));
        for index in 0..2 {
            tokio::spawn(reconciler_task(world.clone(), index));
        }
        world.clock.run(END).await;
        world.clock.run(AFTERWARDS).await;
        world.check(id).await
    })
}

/// Runs a scenario with one seed after the other, until one fails or until it is enough. Returns the seed, and its
/// contradictions.
fn search(scenario: Scenario, is_enough: impl Fn(u64, u64) -> bool) -> Option<(u64, BTreeSet<&'static str>)> {
    let steps = Arc::<AtomicU64>::default();
    for seed in 0.. {
        let wrong = run(seed, scenario, &steps);
        let steps = steps.load(Ordering::Relaxed);
        if !wrong.is_empty() {
            println!("seed {seed}: {wrong:?} after {} runs, {steps} steps", seed + 1);
            return Some((seed, wrong));
        }
        if is_enough(seed + 1, steps) {
            println!("nothing wrong in {} runs, {steps} steps", seed + 1);
            break;
        }
    }
    None
}

#[test]
fn nothing_is_lost_in_a_million_steps() {
    for scenario in [ORDINARY, CROWDED, BRIEF, DROWSY, QUICK] {
        assert_eq!(search(scenario, |_, steps| steps >= STEPS), None, "{scenario:?}");
    }
}

/// Checks that the simulation finds a loss without a safeguard.
fn shows(scenario: Scenario, take_out: impl Fn(&mut SafetyToggles)) {
    let mut unsafe_scenario = scenario;
    take_out(&mut unsafe_scenario.toggles);
    let found = search(unsafe_scenario, |runs, _| runs >= RUNS);
    assert!(found.is_some(), "{RUNS} runs found nothing wrong without it");
}

#[test]
fn late_changes_are_lost_unless_they_are_confirmed() {
    shows(ORDINARY, |all| all.confirms_late_changes = false);
}

#[test]
fn writes_are_lost_unless_a_freeze_is_waited_out() {
    shows(QUICK, |all| all.waits_when_frozen = false);
}

#[test]
fn reads_are_stale_unless_an_arrival_is_waited_out() {
    shows(QUICK, |all| all.waits_when_cutting_over = false);
}

#[test]
fn late_copies_overwrite_what_is_newer_unless_each_attempt_has_a_generation_of_its_own() {
    shows(ORDINARY, |all| all.fresh_generations = false);
}

#[test]
fn views_are_believed_too_long_unless_they_age_from_when_they_were_asked_for() {
    shows(CROWDED, |all| all.ages_from_sending = false);
}

#[test]
fn writes_are_lost_when_a_freeze_ends_by_time() {
    shows(ORDINARY, |all| all.freezes_until_written = false);
}

#[test]
fn readers_find_nothing_when_an_old_place_is_removed_at_once() {
    shows(CROWDED, |all| all.delays_removal = false);
}

#[test]
fn stores_die_early_unless_changes_put_off_their_end() {
    shows(ORDINARY, |all| all.extends_before_acknowledging = false);
}

#[test]
fn stores_seem_gone_early_unless_a_fresh_look_is_taken() {
    shows(DROWSY, |all| all.rereads_before_expiry = false);
}

#[test]
fn stores_are_swept_early_unless_the_sweep_looks_again() {
    shows(ORDINARY, |all| all.sweeps_by_document = false);
}
