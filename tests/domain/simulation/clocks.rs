//! Wrong clocks in simulated days: none of them loses a store or ends a run, and due deletions happen once the clock is
//! right. Without any one safeguard, something is lost.

use std::{
    collections::BTreeSet,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use larder::{
    clock::{Clock, ClockToggles, Timestamp},
    jobs::Job,
    kv::{NewStore, RecordAttributes, Retention, SafetyToggles, StoreId, StoreLocator},
    storage::{ByteStream, Precondition},
};

use super::{
    clock_runs::actor,
    clock_world::{Gateway, Scenario, Trouble, Whose, World},
    flaky_store::Rng,
};

const HOUR: Duration = Duration::from_hours(1);
const DAY: Duration = Duration::from_hours(24);

/// Interval of a gateway's background work.
const WORK_INTERVAL: Duration = Duration::from_mins(10);

/// Maximum time until due deletions happen once the clocks are right.
const DELETED_WITHIN: Duration = Duration::from_hours(48);

/// Number of clients that make a store at any time; one more makes one while the trouble lasts.
const CLIENTS: u64 = 6;

/// Time at which everything has ended.
const END: Duration = Duration::from_hours(24 * 26);

/// Seeds that the sound guard is tried with.
const SEEDS: u64 = 36;

/// Seeds within which a missing safeguard must show.
const SEEDS_TO_SHOW: u64 = 40;

/// Does what a gateway does in the background.
pub async fn reconciler_task(world: Arc<World>, gateway: Gateway) {
    loop {
        world.time.sleep(WORK_INTERVAL).await;
        if gateway.is_stopped.load(Ordering::SeqCst) {
            return;
        }
        if *gateway.sleeps_until.lock().expect("no thread panicked") > world.time.monotonic() {
            continue;
        }
        gateway.sync_clock(&world.date);
        gateway.clock_records.sync().await.expect("the object store answers");
        gateway.catalog.reconcile_due().await.expect("the object store answers");
        gateway.run_reconciler.run_once().await.expect("the object store answers");
        gateway.run_reconciler.removal().run_once().await.expect("the object store answers");
    }
}

/// Makes a store, changes it for some days, and looks whether it is there at the end of its life and gone after that.
async fn client(world: Arc<World>, number: u64) {
    let retention = Retention::from_days([1.0, 2.0, 5.0][usize::try_from(number % 3).expect("it is small")]);
    let retention = retention.expect("a retention");
    // The first is made at once, by a clock that may be wrong from the first start on.
    let of_trouble = world.scenario.trouble.middle().filter(|_| number == CLIENTS);
    world.time.sleep(of_trouble.unwrap_or_else(|| world.rng.millis(1, 2 + number * 6 * 3_600_000))).await;
    let Some(gateway) = world.serving() else { return };
    let new = NewStore { retention: Some(retention), ..NewStore::default() };
    let store = gateway.catalog.create(world.owner, new).await.expect("a store").store;
    let id = store.document.id;
    let mut lives_until = world.time.monotonic() + retention.duration();
    let changes = if of_trouble.is_some() { 0 } else { world.rng.below(16) };
    for _ in 0..changes {
        let longest = if world.rng.happens(500) { HOUR } else { retention.duration() * 2 / 3 };
        world.time.sleep(world.rng.millis(60_000, millis_of(longest))).await;
        let Some(gateway) = world.serving() else { continue };
        match put(&gateway, id).await {
            Ok(()) => lives_until = world.time.monotonic() + retention.duration(),
            Err(larder::kv::Error::StoreNotFound) if !world.is_right() => {}
            Err(_) if world.time.monotonic() < lives_until => return world.complain("gone before its end"),
            Err(_) => break,
        }
    }
    let second = Duration::from_secs(1);
    world.time.sleep(lives_until.saturating_sub(world.time.monotonic() + second)).await;
    if world.time.monotonic() < lives_until && !world.is_kept(id).await {
        return world.complain("deleted before its end");
    }
    wait_for_right_clocks(&world).await;
    let reader = world.start(0, false).await;
    let end = match reader.catalog.resolve(&StoreLocator::Id(id)).await {
        Ok(store) => store.document.expires_at.map_or(lives_until, |at| at.since(beginning(&world))),
        Err(_) if world.time.monotonic() < lives_until => return world.complain("gone before its end"),
        Err(_) => lives_until,
    };
    let gone_by = end.max(world.time.monotonic()) + freed_within(world.scenario.trouble);
    world.time.sleep(gone_by.saturating_sub(world.time.monotonic())).await;
    if world.is_kept(id).await {
        world.complain("not deleted after its end");
    }
}

fn beginning(world: &World) -> Timestamp {
    world.time.now().minus(world.time.monotonic())
}

async fn wait_for_right_clocks(world: &World) {
    while !world.is_right() {
        world.time.sleep(WORK_INTERVAL).await;
    }
}

/// Time within which a store is deleted whose end has come.
fn freed_within(trouble: Trouble) -> Duration {
    match trouble {
        // An hour of running time between two looks may take two days there.
        Trouble::OffAtNight | Trouble::SleepsAtNight => DELETED_WITHIN + DAY,
        _ => DELETED_WITHIN,
    }
}

async fn put(gateway: &Gateway, id: StoreId) -> larder::kv::Result<()> {
    let store = gateway.catalog.resolve(&StoreLocator::Id(id)).await?;
    let attributes = RecordAttributes { content_type: "text/plain".to_owned(), content_coding: None };
    let key = "k".parse().expect("a key");
    let body = ByteStream::from(bytes::Bytes::from_static(b"value"));
    gateway.records.put(&store, &key, body, attributes, Precondition::None).await.map(drop)
}

/// Lets happen what goes wrong.
async fn crasher(world: Arc<World>) {
    let set = |whose: Whose, by: i64| match whose {
        Whose::Machine => world.gateways()[0].machine.set_wrong_by(by),
        Whose::ObjectStore => world.date.set_wrong_by(by),
    };
    match world.scenario.trouble {
        Trouble::None => {}
        Trouble::Jumps { whose, by, at, lasts } => {
            world.time.sleep(at).await;
            set(whose, by);
            world.time.sleep(lasts).await;
            set(whose, 0);
        }
        Trouble::StartsWrong { whose, by, at, lasts } => {
            world.time.sleep(at).await;
            set(whose, by);
            world.restart(if whose == Whose::Machine { by } else { 0 }, Duration::ZERO).await;
            world.time.sleep(lasts).await;
            set(whose, 0);
        }
        Trouble::StartsWrongAndAgain { by, at, lasts } => {
            world.time.sleep(at).await;
            world.restart(by, Duration::ZERO).await;
            world.time.sleep(lasts).await;
            world.restart(0, Duration::ZERO).await;
        }
        Trouble::FirstStartLongAgo { lasts } => {
            world.time.sleep(lasts).await;
            set(Whose::Machine, 0);
        }
        Trouble::OffAtNight => loop {
            world.time.sleep(HOUR * 4).await;
            world.restart(0, HOUR * 20).await;
        },
        Trouble::SleepsAtNight => loop {
            world.time.sleep(HOUR * 4).await;
            let until = world.time.monotonic() + HOUR * 20;
            *world.gateways()[0].sleeps_until.lock().expect("no thread panicked") = until;
            world.time.sleep(HOUR * 20).await;
        },
    }
}

/// Returns the contradictions of a scenario with a seed.
fn run(seed: u64, scenario: Scenario) -> BTreeSet<&'static str> {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    runtime.block_on(async {
        let world = World::new(seed, scenario).await;
        tokio::spawn(crasher(world.clone()));
        for number in 0..=CLIENTS {
            tokio::spawn(client(world.clone(), number));
        }
        // While the machine sleeps, no run of it gives a sign of life.
        if !matches!(scenario.trouble, Trouble::OffAtNight | Trouble::SleepsAtNight) {
            tokio::spawn(actor(world.clone()));
        }
        world.time.run(END).await;
        world.wrong.lock().expect("no thread panicked").clone()
    })
}

fn millis_of(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).expect("it is short")
}

/// One gateway over a folder, with all safeguards.
const FOLDER: Scenario =
    Scenario { trouble: Trouble::None, before_bucket: 0, clock: ClockToggles::ALL, toggles: SafetyToggles::ALL };

/// Returns a trouble of any kind: by up to ten days in either direction; for seconds to twelve hours while gateways
/// run, and for up to an hour from a start.
fn any_trouble(rng: &Rng, before_bucket: usize) -> Trouble {
    let by = i64::try_from(61_000 + rng.below(864_000_000)).expect("it is small");
    let by = if rng.happens(500) { by } else { -by };
    let whose = if before_bucket > 0 && rng.happens(500) { Whose::ObjectStore } else { Whose::Machine };
    let at = rng.millis(3_600_000, 5 * 86_400_000);
    let of_start = rng.millis(10_000, 3_600_000);
    match rng.below(5) {
        0..2 => Trouble::Jumps { whose, by, at, lasts: rng.millis(10_000, 12 * 3_600_000) },
        2..4 => Trouble::StartsWrong { whose, by, at, lasts: of_start },
        _ if before_bucket == 0 && by < 0 => Trouble::StartsWrongAndAgain { by, at, lasts: of_start },
        _ => Trouble::FirstStartLongAgo { lasts: of_start },
    }
}

#[test]
fn no_clock_that_is_wrong_for_a_while_loses_a_store_or_keeps_what_is_due() {
    for seed in 0..SEEDS {
        let before_bucket = usize::try_from(seed % 3).expect("it is small");
        let trouble = any_trouble(&Rng::new(seed), before_bucket);
        let wrong = run(seed, Scenario { trouble, before_bucket, ..FOLDER });
        assert!(wrong.is_empty(), "seed {seed}, {trouble:?} before {before_bucket}: {wrong:?}");
    }
}

#[test]
fn a_machine_that_runs_four_hours_a_day_and_one_that_sleeps_delete_what_expired() {
    for trouble in [Trouble::None, Trouble::OffAtNight, Trouble::SleepsAtNight] {
        let wrong = run(1, Scenario { trouble, ..FOLDER });
        assert!(wrong.is_empty(), "{trouble:?}: {wrong:?}");
    }
}

/// Checks that a loss is found in a trouble without a safeguard, and none with it.
fn shows(scenario: Scenario, take_out: impl Fn(&mut Scenario)) {
    let mut unsafe_scenario = scenario;
    take_out(&mut unsafe_scenario);
    let is_loss = |wrong: &BTreeSet<&str>| wrong.iter().any(|what| what.ends_with("before its end"));
    let found = (0..SEEDS_TO_SHOW).find(|seed| is_loss(&run(*seed, unsafe_scenario)));
    let seed = found.unwrap_or_else(|| panic!("{SEEDS_TO_SHOW} seeds found no loss in {unsafe_scenario:?}"));
    assert_eq!(run(seed, scenario), BTreeSet::new(), "seed {seed}");
}

const AHEAD: i64 = 8 * 86_400_000;

#[test]
fn stores_are_lost_unless_jumps_are_noticed() {
    let trouble = Trouble::Jumps { whose: Whose::Machine, by: AHEAD, at: DAY, lasts: HOUR * 12 };
    shows(Scenario { trouble, ..FOLDER }, |scenario| {
        scenario.clock.notices_jumps = false;
        scenario.clock.carries_over_jumps = false;
    });
}

#[test]
fn stores_are_lost_unless_the_clocks_of_machine_and_object_store_are_compared() {
    let trouble = Trouble::StartsWrong { whose: Whose::ObjectStore, by: AHEAD, at: DAY, lasts: HOUR * 3 };
    let scenario = Scenario { trouble, before_bucket: 1, ..FOLDER };
    shows(scenario, |scenario| scenario.clock.compares_clocks = false);
}

#[test]
fn stores_are_lost_unless_their_expiry_is_confirmed_by_a_second_look() {
    let trouble = Trouble::StartsWrong { whose: Whose::Machine, by: AHEAD, at: DAY, lasts: HOUR };
    shows(Scenario { trouble, ..FOLDER }, |scenario| scenario.toggles.confirms_expiry = false);
}

#[test]
fn stores_are_lost_unless_early_starts_are_noticed() {
    let trouble = Trouble::StartsWrongAndAgain { by: -AHEAD, at: DAY, lasts: HOUR };
    shows(Scenario { trouble, ..FOLDER }, |scenario| scenario.clock.notices_early_starts = false);
}

#[test]
fn stores_are_lost_unless_ends_are_computed_from_the_latest_trusted_time() {
    let trouble = Trouble::Jumps { whose: Whose::Machine, by: -AHEAD, at: DAY, lasts: HOUR * 12 };
    shows(Scenario { trouble, ..FOLDER }, |scenario| scenario.clock.keeps_expiry_base = false);
}

#[test]
fn stores_are_lost_unless_what_was_alive_lives_on_after_a_forward_jump() {
    let trouble = Trouble::FirstStartLongAgo { lasts: HOUR };
    shows(Scenario { trouble, ..FOLDER }, |scenario| scenario.clock.carries_over_jumps = false);
}
