//! Clients of the store of a simulated world, and its reconcilers.

use std::{sync::Arc, time::Duration};

use larder::{
    clock::Clock,
    kv::{Error, Patch, RecordAttributes, RecordKey, Retention, StoreId, StoreLocator, StoreUpdate},
    storage::{ByteStream, Precondition},
};

use super::world::{Gateway, KEYS, World, read};

/// Number of actions of one client before it leaves.
const ACTIONS: usize = 25;

/// Timeout for a response.
const RESPONSE_TIMEOUT: Duration = Duration::from_mins(5);

/// A retention of another lifecycle class.
const LONG_LIFE_DAYS: f64 = 10.0;

/// Reads, writes and deletes records, through whichever gateway.
pub async fn client(world: Arc<World>, id: StoreId, number: u64) {
    for action in 0..ACTIONS {
        world.clock.sleep(world.rng.millis(50, world.scenario.pause_ms)).await;
        let key = KEYS[usize::try_from(world.rng.below(2)).expect("it is small")];
        let gateway = world.any_gateway();
        let timeout = world.clock.sleep(RESPONSE_TIMEOUT);
        let value = number * 1000 + action as u64;
        let done = async {
            match world.rng.below(10) {
                0..5 => change(&world, &gateway, id, key, Some(value)).await,
                5..6 => change(&world, &gateway, id, key, None).await,
                _ => look(&world, &gateway, id, key).await,
            }
        };
        tokio::select! {
            () = timeout => {}
            done = done => if matches!(done, Err(Error::StoreNotFound)) {
                world.history().gone(world.now());
                return;
            }
        }
    }
}

async fn change(
    world: &World,
    gateway: &Gateway,
    id: StoreId,
    key: &'static str,
    value: Option<u64>,
) -> larder::kv::Result<()> {
    let store = gateway.catalog.resolve(&StoreLocator::Id(id)).await?;
    let record: RecordKey = key.parse().expect("a key");
    let asked = world.history().ask(key, value, world.now());
    match value {
        Some(value) => {
            let attributes = RecordAttributes { content_type: "text/plain".to_owned(), content_coding: None };
            let body = ByteStream::from(bytes::Bytes::from(value.to_string()));
            gateway.records.put(&store, &record, body, attributes, Precondition::None).await?;
        }
        None => gateway.records.delete(&store, &record, Precondition::None).await?,
    }
    world.history().acknowledge(asked, world.now(), world.scenario.life);
    Ok(())
}

async fn look(world: &World, gateway: &Gateway, id: StoreId, key: &'static str) -> larder::kv::Result<()> {
    let asked = world.now();
    let store = gateway.catalog.resolve(&StoreLocator::Id(id)).await?;
    let value = read(gateway, &store, &key.parse().expect("a key")).await?;
    world.history().read(key, value, asked, world.now());
    Ok(())
}

/// Names the store, takes its name away, and lets it live longer and shorter.
pub async fn owner(world: Arc<World>, id: StoreId) {
    for _ in 0..4 {
        world.clock.sleep(world.rng.millis(3_000, 40_000)).await;
        let retention = Retention::from_days(LONG_LIFE_DAYS).expect("a retention");
        let change = match world.rng.below(5) {
            0 | 1 => StoreUpdate { name: Patch::Set("shop".parse().expect("a name")), ..StoreUpdate::default() },
            2 => StoreUpdate { name: Patch::Clear, ..StoreUpdate::default() },
            3 => StoreUpdate { retention: Patch::Set(retention), ..StoreUpdate::default() },
            _ => StoreUpdate { retention: Patch::Clear, ..StoreUpdate::default() },
        };
        if update(&world, id, change).await.is_none() {
            return;
        }
    }
    // In the end it is kept, so that there is something to check.
    for _ in 0..20 {
        let named = StoreUpdate { name: Patch::Set("shop".parse().expect("a name")), ..StoreUpdate::default() };
        if update(&world, id, named).await != Some(false) {
            return;
        }
    }
}

/// Changes the store's settings. Returns `true` if that was acknowledged, or `None` when the client should stop.
async fn update(world: &World, id: StoreId, change: StoreUpdate) -> Option<bool> {
    // Until it is known what became of it, the store need live no longer than in the worst case.
    if change.name == Patch::Clear || change.retention == Patch::Clear {
        let end = world.now() + world.scenario.life;
        world.history().shorten(end);
    }
    let (is_named, asked) = (matches!(change.name, Patch::Set(_)), world.now());
    let gateway = world.any_gateway();
    let timeout = world.clock.sleep(RESPONSE_TIMEOUT);
    let updated = tokio::select! {
        () = timeout => return None,
        updated = gateway.catalog.update(id, change) => updated,
    };
    match updated {
        Ok(_) if is_named => world.history().set_end(None),
        // It took effect at some time since it was asked for.
        Ok(_) => world.history().live_until(asked + world.scenario.life),
        Err(Error::StoreNotFound) => {
            world.history().gone(world.now());
            return None;
        }
        Err(_) => {
            // It may have been done, or be done late.
            world.clock.sleep(Duration::from_mins(1)).await;
            return Some(false);
        }
    }
    Some(true)
}

/// Processes due items at one gateway, for ever.
pub async fn reconciler_task(world: Arc<World>, index: usize) {
    loop {
        world.clock.sleep(world.rng.millis(3_000, 15_000)).await;
        let gateway = world.gateway_at(index);
        let timeout = world.clock.sleep(RESPONSE_TIMEOUT);
        tokio::select! {
            () = timeout => {}
            _ = gateway.catalog.reconcile_due() => {}
        }
    }
}

/// Crashes gateways, now and then, for a while.
pub async fn crasher(world: Arc<World>) {
    for _ in 0..2 {
        world.clock.sleep(world.rng.millis(5_000, 90_000)).await;
        world.crash(usize::try_from(world.rng.below(2)).expect("it is small"));
    }
}
