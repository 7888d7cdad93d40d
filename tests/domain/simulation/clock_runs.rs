//! Runs in a world whose clocks are wrong: none that gives signs of life is ended, and its token lives as long as it does.

use std::{sync::Arc, time::Duration};

use larder::{
    auth::{Caller, NewToken, Scope, Token},
    clock::{Clock, SeededRandom},
    kv::{ActorId, Creator, NewStore, RunId},
    runs::{NewRun, Outcome, RunOrigin, RunSettings},
};

use super::clock_world::{Gateway, World};

/// Longest pause between two signs of life; a run is silent after an hour.
const LONGEST_PAUSE: Duration = Duration::from_mins(35);

/// Time for which a run goes on.
const LENGTH: Duration = Duration::from_hours(24 * 6);

/// Time after which the token of a finished run must be revoked.
const REVOKED_WITHIN: Duration = Duration::from_hours(48);

/// Starts a run with a token, gives signs of life, finishes it, and looks whether run and token live as long as they should.
pub async fn actor(world: Arc<World>) {
    world.time.sleep(world.rng.millis(1, 3_600_000)).await;
    let Some(gateway) = world.serving() else { return };
    let (run, token) = start(&world, &gateway).await;
    let until = world.time.monotonic() + LENGTH;
    while world.time.monotonic() < until {
        let longest = u64::try_from(LONGEST_PAUSE.as_millis()).expect("it is short");
        world.time.sleep(world.rng.millis(60_000, longest)).await;
        let Some(gateway) = world.serving() else { continue };
        match gateway.runs.heartbeat(&run).await {
            Ok(run) if !run.status.is_terminal() => {}
            Ok(_) | Err(_) => return world.complain("a run was ended"),
        }
        if !is_valid(&gateway, &token).await {
            return world.complain("a token of a run was revoked");
        }
    }
    let Some(gateway) = world.serving() else { return };
    let now = world.time.now();
    let finished = gateway.runs.update(&run, |run| Ok(run.finish(Outcome::Succeeded, Some(0), now))).await;
    assert!(finished.is_ok_and(|run| run.status.is_terminal()), "it was going on");
    while !world.is_right() {
        world.time.sleep(LONGEST_PAUSE).await;
    }
    world.time.sleep(REVOKED_WITHIN).await;
    if let Some(gateway) = world.serving()
        && is_valid(&gateway, &token).await
    {
        world.complain("a token outlived its run");
    }
}

async fn start(world: &World, gateway: &Gateway) -> (RunId, Token) {
    let random = SeededRandom::new(world.rng.below(u64::MAX));
    let user = gateway.users.admin().await.expect("an account");
    let store = gateway.catalog.create(user.id, NewStore::default()).await.expect("a store").store;
    let settings = RunSettings { build: "latest".to_owned(), timeout_secs: 0, memory_mbytes: 128, disk_mbytes: 256 };
    let new = NewRun {
        actor_run: Creator { actor: ActorId::generate(&random), run: gateway.runs.new_id() },
        owner_id: user.id,
        task: None,
        creator: None,
        origin: RunOrigin::Api,
        settings,
        build_id: ActorId::generate(&random),
        store: store.document.id,
        upstream_ids: None,
    };
    let run = gateway.runs.create(new, &store).await.expect("a run");
    let id = gateway.tokens.new_id();
    let remembered = gateway.runs.update(&run.id, |run| run.add_token(id).map(|()| true)).await;
    let run = remembered.expect("a run");
    let scope = Scope::for_run(run.store, &run.dataset, &run.request_queue, false);
    let new = NewToken { id: Some(id), scope: Some(scope), run: Some(run.id), ..NewToken::default() };
    let (_, token) = gateway.tokens.create(&user, new).await.expect("a token");
    (run.id, token)
}

async fn is_valid(gateway: &Gateway, token: &Token) -> bool {
    matches!(gateway.tokens.identify(Some(token.reveal())).await, Ok(Caller::User(_)))
}
