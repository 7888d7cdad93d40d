//! Runs that come and go over the backends themselves: what they took is given back. In CI few, in the long check
//! (`cargo xtask test-long run-churn`) as many as a day brings.
#![expect(clippy::disallowed_methods, reason = "how many is said by the environment")]

use std::{collections::BTreeMap, env, sync::Arc, time::Duration};

use futures_util::{StreamExt, stream};
use larder::{
    auth::NewToken,
    clock::{Clock, ManualClock, SystemClock},
    runs::{Outcome, RunFilter, RunScope},
    storage::{
        ListOptions, ObjectStore,
        embedded::{EmbeddedOptions, EmbeddedStore},
        in_background,
    },
};

use crate::{MIB, TURN, bytes_in_use, gateways::World, run_host::Host};

/// Number of runs that are created concurrently.
const MAKERS: usize = 32;

const DAY: Duration = Duration::from_hours(24);

/// Counts the objects of each kind.
async fn count(objects: &dyn ObjectStore) -> BTreeMap<String, usize> {
    let (mut counts, mut start_after) = (BTreeMap::new(), None);
    loop {
        let options = ListOptions { prefix: "larder/".to_owned(), start_after, limit: 1000 };
        let page = objects.list(options).await.expect("a list");
        for object in &page.objects {
            let kind: Vec<_> = object.key.split('/').skip(1).take(2).collect();
            let kind = if kind.first() == Some(&"auth") { kind.join("/") } else { kind[0].to_owned() };
            *counts.entry(kind).or_default() += 1;
        }
        start_after = page.objects.into_iter().next_back().map(|object| object.key);
        if !page.is_truncated || start_after.is_none() {
            return counts;
        }
    }
}

/// Makes a run with a store, a record and a token, and ends it.
async fn live(host: &Host, world: &World, number: usize) {
    let store = host.gateway.create(world.owner, None).await;
    host.gateway.put(&store, "INPUT", "flour").await.expect("a write");
    let run = host.start(world, &store).await.expect("a run");
    let id = host.tokens.new_id();
    let remember = |run: &mut larder::runs::Run| run.add_token(id).map(|()| true);
    host.runs.update(&run.id, remember).await.expect("a change");
    let owner = host.users.admin().await.expect("an account");
    let new = NewToken { id: Some(id), ..NewToken::default() };
    let (_, token) = host.tokens.create(&owner, new).await.expect("a token");
    host.tokens.identify(Some(token.reveal())).await.expect("a caller");
    host.tokens.flush_uses().await.expect("uses are written down");
    host.runs.heartbeat(&run.id).await.expect("a heartbeat");
    let outcome = [Outcome::Succeeded, Outcome::Failed, Outcome::Aborted, Outcome::TimedOut][number % 4];
    host.finish(&run, outcome).await.expect("an end");
}

/// Creates and deletes so many runs. The objects afterwards must be those from before.
async fn cycle(objects: Arc<dyn ObjectStore>, runs: usize) {
    let _turn = TURN.lock().await;
    let clock = Arc::new(ManualClock::new(SystemClock.now()));
    let mut world = World { objects: objects.clone(), clock, owner: World::new().owner };
    let host = Host::new(&world, objects.clone(), 1).await;
    world.owner = host.users.admin().await.expect("an account").id;
    host.gateway.create(world.owner, Some("kept")).await;
    let outlive = async || {
        for _ in 0..6 {
            world.clock.advance(Duration::from_mins(70));
            while in_background(host.gateway.catalog.reconcile_due()).await.expect("a run") > 0 {}
            host.work().await;
        }
    };
    outlive().await;
    let (before, bytes_before) = (count(objects.as_ref()).await, bytes_in_use());
    let lives = stream::iter(0..runs).map(|number| live(&host, &world, number));
    lives.buffer_unordered(MAKERS).collect::<Vec<()>>().await;
    outlive().await;
    let total = async || {
        let of = RunScope { owner: world.owner, actor: None };
        host.runs.list(&of, &RunFilter::default(), true, 0, 1).await.expect("a page").total
    };
    assert_eq!(total().await, runs);
    world.clock.advance(7 * DAY);
    outlive().await;
    assert_eq!(total().await, 0);
    assert_eq!(count(objects.as_ref()).await, before);
    let bytes = bytes_in_use();
    assert!(bytes <= bytes_before + 16 * MIB, "memory grew from {bytes_before} to {bytes} bytes");
}

async fn cycle_over_folder(runs: usize) {
    // Beside the build, since the system's folder for temporary files may be memory.
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("there is room for a folder");
    let store = EmbeddedStore::open(&EmbeddedOptions::new(folder.path()), Arc::new(SystemClock));
    let store = Arc::new(store.expect("the folder opens"));
    cycle(store.clone(), runs).await;
    store.close().await;
}

fn how_many() -> usize {
    env::var("LARDER_TEST_RUNS").ok().and_then(|text| text.parse().ok()).unwrap_or(10_000)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_runs_that_come_and_go_leave_no_object() {
    cycle_over_folder(200).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes minutes: `cargo xtask test-long run-churn`"]
async fn very_many_runs_that_come_and_go_over_a_folder_leave_no_object() {
    cycle_over_folder(how_many()).await;
}

#[cfg(feature = "s3")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes minutes: `cargo xtask test-long run-churn`"]
async fn very_many_runs_that_come_and_go_over_a_bucket_leave_no_object() {
    cycle(larder_test_kit::s3_backend::open().await, how_many()).await;
}
