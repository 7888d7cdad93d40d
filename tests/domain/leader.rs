//! The catalog of a leader: its object store has no conditions, and leaves writes unanswered.

use std::{sync::Arc, time::Duration};

use futures_util::future::join_all;
use larder::{
    kv::{GeneralAccess, Patch, StoreLocator, StoreQuery, StoreUpdate},
    storage::{
        Operation,
        single_writer::{IN_DOUBT_WINDOW, SingleWriterStore},
    },
};
use larder_test_kit::{
    fault_injection::{Call, Fault, FaultInjector, Refusal},
    no_conditional_writes::NoConditionalWrites,
};

use crate::gateways::{Gateway, World, name, new_store};

/// Tasks that are under way at the same time.
const RACERS: usize = 20;

fn leader(world: &World) -> (Gateway, Arc<FaultInjector>) {
    let faulty = Arc::new(FaultInjector::new(world.objects.clone(), world.clock.clone()));
    let unconditional = Arc::new(NoConditionalWrites::new(faulty.clone()));
    let objects = Arc::new(SingleWriterStore::new(unconditional, world.clock.clone()));
    (world.gateway_over(objects, 1, None), faulty)
}

/// Lets `work` go on until it ends, moving the clock whenever it waits.
async fn with_time<T>(world: &World, work: impl Future<Output = T>) -> T {
    let moving = async {
        loop {
            tokio::task::yield_now().await;
            world.clock.advance(Duration::from_millis(100));
        }
    };
    tokio::select! {
        biased;
        ended = work => ended,
        () = moving => unreachable!("it never ends"),
    }
}

#[tokio::test]
async fn twenty_that_want_one_name_get_one_store_whatever_is_left_unanswered() {
    let whatever = [Fault::LoseResponse, Fault::Refuse(Refusal::Timeout), Fault::Refuse(Refusal::Unavailable)];
    for seed in 0..20 {
        let world = World::new();
        let (leader, faulty) = leader(&world);
        faulty.inject_at_random(seed, 200, whatever.to_vec());
        let racers = (0..RACERS).map(|_| leader.catalog.create(world.owner, new_store(Some("shop"))));
        let created = with_time(&world, join_all(racers)).await;
        faulty.clear_faults();
        world.clock.advance(IN_DOUBT_WINDOW);
        let store = leader.create(world.owner, Some("shop")).await;
        for created in created.into_iter().flatten() {
            assert_eq!(created.store.document.id, store.document.id, "seed {seed}");
        }
        let query = StoreQuery { unnamed: true, limit: 1000, ..StoreQuery::default() };
        let listed = world.gateway(2).catalog.list(world.owner, &query).await.expect("a list");
        let named: Vec<_> = listed.stores.iter().filter(|store| store.document.name.is_some()).collect();
        assert_eq!(named.len(), 1, "seed {seed}");
    }
}

#[tokio::test]
async fn a_change_whose_answer_was_lost_is_made_once_and_the_next_waits_until_nothing_can_undo_it() {
    let world = World::new();
    let (leader, faulty) = leader(&world);
    let id = leader.create(world.owner, Some("shop")).await.document.id;
    let retitle = |title: &str| StoreUpdate { title: Patch::Set(title.to_owned()), ..StoreUpdate::default() };
    let put = || Call { operation: Some(Operation::Put), key_contains: "/stores/".to_owned(), skip: 0 };

    faulty.inject(put(), Fault::LoseResponse);
    let changed =
        with_time(&world, leader.catalog.update(id, retitle("one"))).await.expect("it was seen to have happened");
    assert_eq!(changed.document.version, 3);
    leader.catalog.update(id, retitle("two")).await.expect("nothing is in doubt");

    faulty.inject(put(), Fault::Refuse(Refusal::Timeout));
    with_time(&world, leader.catalog.update(id, retitle("three"))).await.expect("it was sent again");
    let restrict = StoreUpdate { general_access: Some(GeneralAccess::Restricted), ..StoreUpdate::default() };
    let refused = leader.catalog.update(id, restrict.clone()).await.expect_err("the first may arrive over it");
    assert!(
        matches!(refused, larder::kv::Error::Unavailable { retry_after, .. } if retry_after > Duration::from_secs(50)),
        "{refused:?}"
    );
    world.clock.advance(IN_DOUBT_WINDOW);
    leader.catalog.update(id, restrict).await.expect("it cannot arrive any more");
    let locator = StoreLocator::Name(world.owner, name("shop"));
    let store = world.gateway(2).catalog.resolve(&locator).await.expect("the store");
    assert_eq!(store.document.title.as_deref(), Some("three"));
    assert_eq!(store.document.general_access, GeneralAccess::Restricted);
}
