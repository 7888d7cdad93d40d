//! Leftovers of stores that were created and deleted: none.

use std::{collections::BTreeSet, time::Duration};

use larder::kv::{Patch, Retention, StoreId, StoreLocator, StoreQuery, StoreUpdate};

use crate::{
    gateways::{Gateway, STALENESS, World, name, new_store},
    test_stores::Counted,
    test_stores::Dying,
};

const HOUR: Duration = Duration::from_hours(1);
const DAY: Duration = Duration::from_hours(24);

fn brief(named: Option<&str>) -> larder::kv::NewStore {
    larder::kv::NewStore { retention: Retention::from_days(1.0), ..new_store(named) }
}

fn rename(text: Option<&str>) -> StoreUpdate {
    StoreUpdate { name: text.map_or(Patch::Clear, |text| Patch::Set(name(text))), ..StoreUpdate::default() }
}

fn entitle(text: &str) -> StoreUpdate {
    StoreUpdate { title: Patch::Set(text.to_owned()), ..StoreUpdate::default() }
}

fn all(limit: usize) -> StoreQuery {
    StoreQuery { unnamed: true, limit, ..StoreQuery::default() }
}

async fn ids(gateway: &Gateway, world: &World, limit: usize) -> (Vec<StoreId>, usize) {
    let page = gateway.catalog.list(world.owner, &all(limit)).await.expect("a list");
    (page.stores.iter().map(|store| store.document.id).collect(), page.total)
}

#[tokio::test]
async fn nothing_is_left_of_stores_that_were_deleted_or_have_expired() {
    let world = World::new();
    for (round, gateway) in [world.exclusive_gateway(1), world.gateway(2)].into_iter().enumerate() {
        for number in 0..60 {
            let named = (number % 3 == 0).then(|| format!("s-{round}-{number}"));
            let store = gateway.catalog.create(world.owner, brief(named.as_deref())).await.expect("a store").store;
            let id = store.document.id;
            gateway.put(&store, "a", "flour").await.expect("a write");
            world.clock.advance(Duration::from_mins(10));
            gateway.put(&store, "a", "salt").await.expect("a write");
            gateway.catalog.flush_usage().await.expect("a flush");
            gateway.catalog.recount().await.expect("a count");
            for change in 0..number % 7 {
                let title = entitle(&format!("title {change}"));
                gateway.catalog.update(id, title).await.expect("a title");
            }
            match number % 12 {
                0 => drop(gateway.catalog.update(id, rename(Some(&format!("other-{number}")))).await.expect("a name")),
                3 => drop(gateway.catalog.update(id, rename(None)).await.expect("no name")),
                6 => {
                    gateway.catalog.update(id, rename(Some("now"))).await.expect("a name");
                    gateway.catalog.update(id, rename(Some("then"))).await.expect("a name");
                    gateway.catalog.update(id, rename(None)).await.expect("no name");
                }
                _ => {}
            }
            if number % 12 == 0 || number % 12 == 9 || number % 5 == 4 {
                gateway.catalog.delete(id).await.expect("a delete");
            }
        }
        assert!(!ids(&gateway, &world, 10).await.0.is_empty());
        world.live(&gateway, DAY + 8 * HOUR).await;
        assert_eq!(ids(&gateway, &world, 10).await, (vec![], 0));
        gateway.catalog.wait_for_relocations().await;
        assert_eq!(world.keys("larder/").await, Vec::<String>::new(), "round {round}");
    }
}

/// Makes what follows a change of a store, or its making.
async fn act(gateway: &Gateway, world: &World, action: usize, id: StoreId) {
    let catalog = &gateway.catalog;
    match action {
        0 => drop(catalog.create(world.owner, brief(None)).await),
        1 => drop(catalog.create(world.owner, brief(Some("fresh"))).await),
        2 => drop(catalog.update(id, rename(Some("beta"))).await),
        3 => drop(catalog.update(id, rename(None)).await),
        4 => drop(catalog.update(id, entitle("bread")).await),
        5 => drop(catalog.delete(id).await),
        _ => drop(catalog.reconcile_due().await),
    }
}

#[tokio::test]
async fn a_gateway_that_dies_at_any_write_leaves_nothing_for_ever() {
    for action in 0..7 {
        for changes in 0.. {
            let world = World::new();
            let maker = world.gateway(1);
            let store = maker.create(world.owner, Some("alpha")).await;
            maker.put(&store, "a", "flour").await.expect("a write");
            let passing = maker.catalog.create(world.owner, brief(None)).await.expect("a store").store;
            maker.put(&passing, "a", "flour").await.expect("a write");
            if action == 6 {
                world.live(&maker, DAY).await;
                maker.catalog.delete(store.document.id).await.expect("a delete");
            }
            let dying = Dying::after(changes, world.objects.clone());
            let gateway = world.gateway_over(dying.clone(), 2, Some(STALENESS));
            for _ in 0..6 {
                act(&gateway, &world, action, store.document.id).await;
                if action != 6 {
                    break;
                }
                world.clock.advance(HOUR);
            }
            let next = world.gateway(3);
            world.live(&next, 3 * HOUR).await;
            for id in ids(&next, &world, 1000).await.0 {
                let _ = next.catalog.delete(id).await;
            }
            world.live(&next, DAY + 8 * HOUR).await;
            let left = world.keys("larder/").await;
            assert_eq!(left, Vec::<String>::new(), "action {action} that died after {changes} changes");
            if dying.is_alive() {
                break;
            }
        }
    }
}

#[tokio::test]
async fn a_list_reads_the_documents_of_its_page_and_no_more_however_many_stores_have_expired() {
    let world = World::new();
    let maker = world.exclusive_gateway(1);
    for _ in 0..3000 {
        maker.catalog.create(world.owner, brief(None)).await.expect("a store");
    }
    let living =
        [maker.create(world.owner, None).await.document.id, maker.create(world.owner, Some("s")).await.document.id];
    world.clock.advance(DAY + HOUR);
    for staleness in [None, Some(STALENESS)] {
        let counted = Counted::new(world.objects.clone());
        let gateway = world.gateway_over(counted.clone(), 2, staleness);
        let (listed, total) = ids(&gateway, &world, 10).await;
        assert_eq!((listed.len(), total), (2, 2));
        assert!(living.iter().all(|id| listed.contains(id)));
        assert!(counted.gets() <= 10, "{} reads", counted.gets());
        let before = counted.gets();
        assert_eq!(gateway.catalog.usage(world.owner).await.expect("a sum").stores, 2);
        assert_eq!(counted.gets(), before, "what an owner has is known without reading stores");
    }
}

#[tokio::test]
async fn stores_that_are_swept_together_share_the_calls_that_delete() {
    const STORES: usize = 1000;
    let world = World::new();
    let counted = Counted::new(world.objects.clone());
    let gateway = world.gateway_over(counted.clone(), 1, None);
    for _ in 0..STORES {
        let store = gateway.catalog.create(world.owner, brief(None)).await.expect("a store").store;
        gateway.put(&store, "a", "flour").await.expect("a write");
    }
    world.live(&gateway, DAY + 6 * HOUR).await;
    assert_eq!(world.keys("larder/").await, Vec::<String>::new());
    assert!(counted.deletions() < STORES / 10, "{} calls for {STORES} stores", counted.deletions());
}

#[tokio::test]
async fn a_search_of_many_stores_does_not_hold_up_the_thread_that_serves() {
    let world = World::new();
    let gateway = world.exclusive_gateway(1);
    for number in 0..5000 {
        let named = (number % 2 == 0).then(|| format!("s-{number}"));
        gateway.create(world.owner, named.as_deref()).await;
    }
    ids(&gateway, &world, 1).await;
    let search = StoreQuery { search: Some("none-such".to_owned()), ..all(10) };
    let mut served = 0_u64;
    let serving = async {
        loop {
            served += 1;
            tokio::task::yield_now().await;
        }
    };
    let found = tokio::select! {
        biased;
        () = serving => unreachable!("it goes on for ever"),
        found = gateway.catalog.list(world.owner, &search) => found.expect("a search"),
    };
    assert_eq!(found.total, 0);
    assert!(served > 2, "others were served {served} times meanwhile");
}

#[tokio::test]
async fn a_store_that_lives_on_is_listed_by_every_gateway_to_its_end_and_no_longer() {
    let world = World::new();
    let (here, there) = (world.gateway(1), world.gateway(2));
    let store = here.catalog.create(world.owner, brief(None)).await.expect("a store").store;
    for hour in 0..70 {
        world.clock.advance(HOUR);
        if hour % 20 == 19 {
            here.put(&store, "a", "flour").await.expect("a write");
        }
        for gateway in [&here, &there, &world.gateway(3)] {
            assert_eq!(ids(gateway, &world, 10).await.1, 1, "hour {hour}");
        }
    }
    world.clock.advance(DAY);
    for gateway in [&here, &there, &world.gateway(3), &world.exclusive_gateway(4)] {
        assert_eq!(ids(gateway, &world, 10).await, (vec![], 0));
    }
}

#[tokio::test]
async fn a_gateway_that_has_not_looked_for_long_misses_no_deletion() {
    let world = World::new();
    let (here, there) = (world.gateway(1), world.gateway(2));
    let kept = here.create(world.owner, Some("kept")).await.document.id;
    let mut gone = Vec::new();
    for number in 0..20 {
        gone.push(here.create(world.owner, Some(&format!("s-{number}"))).await.document.id);
    }
    assert_eq!(ids(&there, &world, 100).await.1, 21);
    for id in gone {
        here.catalog.delete(id).await.expect("a delete");
    }
    world.live(&here, 5 * HOUR).await;
    assert_eq!(world.keys("larder/store-index/").await.len(), 1, "no entry of theirs is left");
    assert_eq!(ids(&there, &world, 0).await.1, 1);
    assert_eq!(ids(&there, &world, 100).await, (vec![kept], 1));
}

/// Checks that the listed names and the claims of names agree once everything is settled.
async fn names_agree(gateway: &Gateway, world: &World, stores: &[StoreId], said: &str) {
    let mut named = BTreeSet::new();
    for id in stores {
        let Ok(store) = gateway.catalog.resolve(&StoreLocator::Id(*id)).await else { continue };
        assert_eq!(store.document.pending_name, None, "{said}");
        let Some(name) = store.document.name.clone() else { continue };
        let found = gateway.catalog.resolve(&StoreLocator::Name(world.owner, name.clone())).await;
        assert_eq!(found.expect("it is found by its name").document.id, *id, "{said}");
        assert!(named.insert(name.to_string()), "two stores are called {name}: {said}");
    }
    let page = gateway.catalog.list(world.owner, &all(100)).await.expect("a list");
    let listed: Vec<_> = page.stores.iter().filter_map(|store| store.document.name.as_ref()).collect();
    let listed_set: BTreeSet<_> = listed.iter().map(ToString::to_string).collect();
    assert_eq!((listed.len(), &listed_set), (named.len(), &named), "{said}");
    let claims = world.keys("larder/names/").await;
    let claimed: BTreeSet<_> = claims.iter().filter_map(|key| key.rsplit('/').next().map(str::to_owned)).collect();
    assert_eq!(claimed, named, "{said}");
}

#[tokio::test]
async fn a_rename_that_died_at_any_write_is_finished_or_undone_whatever_comes_next() {
    for follows in 0..5 {
        for changes in 0.. {
            let said = format!("{follows} follows a rename that died after {changes} changes");
            let world = World::new();
            let maker = world.gateway(1);
            let store = maker.create(world.owner, Some("alpha")).await;
            maker.put(&store, "a", "flour").await.expect("a write");
            let id = store.document.id;
            let other = maker.create(world.owner, Some("gamma")).await.document.id;
            let dying = Dying::after(changes, world.objects.clone());
            let gateway = world.gateway_over(dying.clone(), 2, Some(STALENESS));
            let _ = gateway.catalog.update(id, rename(Some("beta"))).await;
            let next = world.gateway(3);
            let by_name = |text| StoreLocator::Name(world.owner, name(text));
            let is_done = next.catalog.resolve(&by_name("beta")).await.is_ok();
            let mut stores = vec![id, other];
            match follows {
                0 => {
                    let beta = next.create(world.owner, Some("beta")).await.document.id;
                    assert_eq!(beta == id, is_done, "{said}");
                    stores.push(beta);
                }
                1 => {
                    let alpha = next.create(world.owner, Some("alpha")).await.document.id;
                    assert_eq!(alpha == id, !is_done, "{said}");
                    stores.push(alpha);
                }
                2 => drop(next.catalog.update(other, rename(Some("beta"))).await),
                3 => drop(next.catalog.update(id, rename(Some("delta"))).await.expect("it takes another name")),
                _ => {}
            }
            stores.sort_unstable();
            stores.dedup();
            for _ in 0..3 {
                world.clock.advance(Duration::from_mins(3));
                next.catalog.reconcile_due().await.expect("a run");
            }
            let store = next.catalog.resolve(&StoreLocator::Id(id)).await.expect("it is never lost");
            assert_eq!(store.document.pending_name, None, "after minutes: {said}");
            assert!(store.document.name.is_some(), "{said}");
            world.live(&next, 3 * HOUR).await;
            names_agree(&world.gateway(4), &world, &stores, &said).await;
            if dying.is_alive() {
                break;
            }
        }
    }
}

#[tokio::test]
async fn claims_of_former_names_are_released() {
    let world = World::new();
    let gateway = world.gateway(1);
    let one = gateway.create(world.owner, Some("a")).await.document.id;
    let two = gateway.create(world.owner, Some("x")).await.document.id;
    gateway.catalog.update(one, rename(Some("b"))).await.expect("a free name");
    gateway.catalog.update(one, rename(Some("c"))).await.expect("a free name");
    gateway.catalog.update(one, rename(Some("a"))).await.expect("a free name");
    gateway.catalog.update(two, rename(None)).await.expect("it loses its name");
    world.live(&gateway, 4 * HOUR).await;
    names_agree(&gateway, &world, &[one, two], "after all").await;
}
