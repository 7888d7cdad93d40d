//! Lifecycle rules over an installation that has been in a data folder: they delete nothing of a living store.

use std::{sync::Arc, time::Duration};

use larder::{
    clock::Clock,
    kv::{CatalogOptions, LifecycleClass, Patch, Retention, StoreLocator, StoreSnapshot, StoreUpdate},
    storage::{ListOptions, MAX_LIST_KEYS},
};

use crate::gateways::{Gateway, STALENESS, World, name};

/// Maximum bytes of a record.
const MAX_BYTES: u64 = 1 << 20;

const DAY: Duration = Duration::from_hours(24);

/// Days of use: longer than the rule of the stores' class waits, and than a store lives that is not used.
const DAYS: u16 = 40;

/// Returns a gateway before a bucket, whose lifecycle rules delete records.
fn over_bucket(world: &World, seed: u64) -> Gateway {
    let options = CatalogOptions { classes: Some(STALENESS), ..CatalogOptions::default() };
    world.gateway_with(world.objects.clone(), seed, &options)
}

/// Deletes the objects that the lifecycle rules of a bucket delete by now. Returns their number.
async fn apply_rules(world: &World) -> usize {
    let mut deleted = 0;
    for class in LifecycleClass::ALL {
        let prefix = format!("larder/expiring/{}/", class.days());
        let options = ListOptions { prefix, start_after: None, limit: MAX_LIST_KEYS };
        let page = world.objects.list(options).await.expect("a list");
        assert!(!page.is_truncated);
        let age = DAY * u32::from(class.days());
        let old = page.objects.into_iter().filter(|object| world.clock.now().since(object.last_modified) >= age);
        let keys: Vec<_> = old.map(|object| object.key).collect();
        deleted += keys.len();
        world.objects.delete_many(keys).await.expect("a rule is obeyed");
    }
    deleted
}

/// Lets time pass, with the reconciler of a gateway and its relocations.
async fn live(world: &World, gateway: &Gateway, time: Duration) {
    const STEP: Duration = Duration::from_mins(30);
    let mut passed = Duration::ZERO;
    while passed < time {
        world.clock.advance(STEP);
        passed += STEP;
        gateway.catalog.reconcile_due().await.expect("a run");
        let ticks = async {
            loop {
                world.clock.advance(Duration::from_secs(1));
                for _ in 0..20 {
                    tokio::task::yield_now().await;
                }
            }
        };
        tokio::select! {
            biased;
            () = gateway.catalog.wait_for_relocations() => {}
            () = ticks => {}
        }
    }
}

/// Uses `stores` for [`DAYS`], under the lifecycle rules if the gateway is before a bucket.
async fn use_for_weeks(world: &World, gateway: &Gateway, stores: &[&Arc<StoreSnapshot>], is_bucket: bool) -> usize {
    let mut deleted = 0;
    for _ in 0..DAYS {
        for store in stores {
            let view = resolved(gateway, store).await;
            gateway.put(&view, "b", "sugar").await.expect("a write");
        }
        live(world, gateway, DAY).await;
        if is_bucket {
            deleted += apply_rules(world).await;
        }
    }
    deleted
}

async fn resolved(gateway: &Gateway, store: &StoreSnapshot) -> Arc<StoreSnapshot> {
    gateway.catalog.resolve(&StoreLocator::Id(store.document.id)).await.expect("it is there")
}

async fn holds(gateway: &Gateway, store: &StoreSnapshot, value: &str) {
    let (view, key) = (resolved(gateway, store).await, "a".parse().expect("a key"));
    let record = gateway.records.get(&view, &key, None).await.expect("it is read");
    assert_eq!(record.body.into_bytes(MAX_BYTES).await.expect("it is small"), value);
}

async fn rename(gateway: &Gateway, store: &StoreSnapshot, change: Patch<larder::kv::StoreName>) {
    let update = StoreUpdate { name: change, ..StoreUpdate::default() };
    gateway.catalog.update(store.document.id, update).await.expect("a change");
}

#[tokio::test]
async fn rules_that_are_written_as_soon_as_a_folder_was_migrated_delete_nothing_that_lives() {
    let world = World::new();
    let folder = world.exclusive_gateway(1);
    let unnamed = folder.create(world.owner, None).await;
    let named = folder.create(world.owner, Some("pantry")).await;
    let named_later = folder.create(world.owner, None).await;
    let unnamed_later = folder.create(world.owner, Some("cellar")).await;
    let forgotten = folder.create(world.owner, None).await;
    let stores = [&unnamed, &named, &named_later, &unnamed_later];
    for store in stores.into_iter().chain([&forgotten]) {
        folder.put(store, "a", "flour").await.expect("a write");
    }
    rename(&folder, &named_later, Patch::Set(name("attic"))).await;
    rename(&folder, &unnamed_later, Patch::Clear).await;
    use_for_weeks(&world, &folder, &[&unnamed, &unnamed_later], false).await;
    assert_eq!(world.keys("larder/expiring/").await, Vec::<String>::new());
    let late = folder.create(world.owner, None).await;
    folder.put(&late, "a", "flour").await.expect("a write");

    assert_eq!(apply_rules(&world).await, 0, "a rule deletes of a folder's stores");
    let bucket = over_bucket(&world, 2);
    for store in stores {
        holds(&bucket, store, "flour").await;
    }
    // Renamed just before the migration, moved after it.
    rename(&bucket, &named, Patch::Clear).await;
    rename(&bucket, &unnamed, Patch::Set(name("shelf"))).await;
    use_for_weeks(&world, &bucket, &[&named, &unnamed_later], true).await;
    for store in stores {
        holds(&bucket, store, "flour").await;
        let view = resolved(&bucket, store).await;
        assert_eq!(view.document.location.class.is_none(), view.document.name.is_some(), "{:?}", view.document);
    }
    for gone in [&forgotten, &late] {
        bucket.catalog.resolve(&StoreLocator::Id(gone.document.id)).await.expect_err("it has expired");
        let id = gone.document.id.to_string();
        assert!(!world.keys("larder/").await.iter().any(|key| key.contains(&id)), "something is left of it");
    }
}

/// Creates two stores without a name, each with a record.
async fn two_unnamed(world: &World, gateway: &Gateway) -> [Arc<StoreSnapshot>; 2] {
    let stores = [gateway.create(world.owner, None).await, gateway.create(world.owner, None).await];
    for store in &stores {
        gateway.put(store, "a", "flour").await.expect("a write");
    }
    stores
}

#[tokio::test]
async fn stores_that_came_from_a_bucket_leave_what_its_rules_delete_before_they_go_back() {
    let world = World::new();
    let bucket = over_bucket(&world, 1);
    let [in_use, named_later] = two_unnamed(&world, &bucket).await;
    live(&world, &bucket, DAY).await;
    assert_eq!(world.keys("larder/expiring/").await.len(), 2);

    let folder = world.exclusive_gateway(2);
    rename(&folder, &named_later, Patch::Set(name("attic"))).await;
    live(&world, &folder, Duration::from_hours(2)).await;
    assert_eq!(resolved(&folder, &named_later).await.document.location.class, None, "a name moves it at once");
    use_for_weeks(&world, &folder, &[&in_use], false).await;
    assert_eq!(
        world.keys("larder/expiring/").await,
        Vec::<String>::new(),
        "the one in use moves when its rule is near"
    );

    assert_eq!(apply_rules(&world).await, 0);
    let bucket = over_bucket(&world, 3);
    use_for_weeks(&world, &bucket, &[&in_use], true).await;
    for store in [&in_use, &named_later] {
        holds(&bucket, store, "flour").await;
    }
}

#[tokio::test]
async fn a_store_whose_move_a_folder_did_not_make_is_moved_by_the_bucket_in_time() {
    let world = World::new();
    let bucket = over_bucket(&world, 1);
    let [in_use, named_later] = two_unnamed(&world, &bucket).await;
    // Without the reconciler, nothing that is due is done.
    let folder = world.exclusive_gateway(2);
    rename(&folder, &named_later, Patch::Set(name("attic"))).await;
    world.clock.advance(Retention::DEFAULT.duration().saturating_sub(DAY));
    folder.put(&*resolved(&folder, &in_use).await, "b", "sugar").await.expect("a write");
    drop(folder);

    let bucket = over_bucket(&world, 3);
    assert_eq!(use_for_weeks(&world, &bucket, &[&in_use], true).await, 0);
    for store in [&in_use, &named_later] {
        holds(&bucket, store, "flour").await;
    }
}
