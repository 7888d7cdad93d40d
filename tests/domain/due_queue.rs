//! Due items of stores: found twice, tried again, and never in the way of anything else.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use larder::{
    clock::{Clock, ManualClock, SeededRandom},
    kv::{Catalog, CatalogOptions, Error, Retention, StoreId, StoreLocator},
    storage::{Attributes, ByteStream, Precondition, PutOptions},
};

use crate::{
    gateways::{Gateway, World},
    test_stores::Counted,
};

const WEEK: Duration = Duration::from_hours(7 * 24);

async fn is_there(gateway: &Gateway, id: StoreId) -> bool {
    gateway.catalog.resolve(&StoreLocator::Id(id)).await.is_ok()
}

async fn run(gateway: &Gateway) -> usize {
    gateway.catalog.reconcile_due().await.expect("a run")
}

#[tokio::test]
async fn an_expired_store_is_deleted_only_when_it_is_found_expired_again_an_hour_of_uptime_later() {
    let world = World::new();
    let gateway = world.exclusive_gateway(1);
    let store = gateway.create(world.owner, None).await;
    gateway.put(&store, "a", "flour").await.expect("a write");
    world.clock.advance(WEEK + Duration::from_hours(2));
    assert!(!is_there(&gateway, store.document.id).await, "it is gone for requests at once");
    run(&gateway).await;
    world.clock.advance(Duration::from_mins(59));
    run(&gateway).await;
    assert_eq!(world.keys("larder/permanent/").await.len(), 1, "an hour has not passed");
    world.clock.advance(Duration::from_mins(10));
    run(&gateway).await;
    assert_eq!(world.keys("larder/permanent/").await, Vec::<String>::new());
    world.clock.advance(Duration::from_hours(2));
    run(&gateway).await;
    assert_eq!(world.keys("larder/stores/").await, Vec::<String>::new());
    assert_eq!(world.keys("larder/stores-due").await, Vec::<String>::new());
}

#[tokio::test]
async fn a_store_that_a_wrong_clock_found_expired_lives_once_the_clock_is_right() {
    let world = World::new();
    let right = world.exclusive_gateway(1);
    let store = right.create(world.owner, None).await;
    right.put(&store, "a", "flour").await.expect("a write");
    let ahead = Arc::new(ManualClock::new(world.clock.now().plus(WEEK + Duration::from_hours(24))));
    let wrong = Arc::new(Catalog::new(
        world.objects.clone(),
        ahead.clone(),
        Arc::new(SeededRandom::new(2)),
        &CatalogOptions::default(),
    ));
    for _ in 0..3 {
        wrong.reconcile_due().await.expect("a run");
        ahead.advance(Duration::from_mins(15));
    }
    world.live(&right, Duration::from_hours(5)).await;
    assert!(is_there(&right, store.document.id).await, "it has not expired");
    assert_eq!(world.keys("larder/permanent/").await.len(), 1);
    world.live(&right, WEEK + Duration::from_hours(5)).await;
    assert_eq!(world.keys("larder/stores/").await, Vec::<String>::new(), "at its end it goes all the same");
}

#[tokio::test]
async fn what_waits_for_an_uptime_that_was_lost_is_not_stranded() {
    let world = World::new();
    let store = world.exclusive_gateway(1).create(world.owner, None).await;
    world.clock.advance(WEEK * 20);
    run(&world.exclusive_gateway(2)).await;
    assert_eq!(world.keys("larder/stores-due-by-uptime/").await.len(), 1, "it waits for 20 weeks of uptime");
    let clock = Arc::new(ManualClock::new(world.clock.now()));
    let random = Arc::new(SeededRandom::new(3));
    let options = CatalogOptions::default();
    let catalog = Arc::new(Catalog::new(world.objects.clone(), clock.clone(), random, &options));
    for _ in 0..4 {
        catalog.reconcile_due().await.expect("a run");
        clock.advance(CatalogOptions::EXPIRY_CONFIRMATION);
    }
    assert_eq!(world.keys("larder/").await, Vec::<String>::new(), "{}", store.document.id);
}

async fn damage(world: &World, id: StoreId) {
    let attributes = Attributes { content_type: "application/json".to_owned(), content_encoding: None };
    let options = PutOptions { attributes, precondition: Precondition::None };
    let body = ByteStream::from(Bytes::from_static(b"not JSON"));
    world.objects.put(&format!("larder/stores/{id}"), body, options).await.expect("it is written");
}

#[tokio::test]
async fn what_fails_holds_up_nothing_else_and_is_tried_again_later_and_later() {
    let world = World::new();
    let counted = Counted::new(world.objects.clone());
    let gateway = world.gateway_over(counted.clone(), 1, None);
    let brief = || larder::kv::NewStore { retention: Retention::from_days(0.01), ..Default::default() };
    let mut damaged = Vec::new();
    for _ in 0..1100 {
        let id = gateway.catalog.create(world.owner, brief()).await.expect("a store").store.document.id;
        damage(&world, id).await;
        damaged.push(id);
    }
    world.clock.advance(Duration::from_secs(1));
    let sound = gateway.catalog.create(world.owner, brief()).await.expect("a store").store.document.id;
    world.clock.advance(Duration::from_hours(1));
    run(&gateway).await;
    world.clock.advance(CatalogOptions::EXPIRY_CONFIRMATION);
    run(&gateway).await;
    let gone = gateway.catalog.resolve(&StoreLocator::Id(sound)).await;
    assert!(matches!(gone, Err(Error::StoreNotFound)), "{gone:?}");
    assert_eq!(gateway.catalog.expired_stores().load(std::sync::atomic::Ordering::Relaxed), 1);

    assert_eq!(gateway.catalog.failures().count(), damaged.len());
    assert!(gateway.catalog.failures().oldest_age(world.clock.now()) >= Duration::from_hours(1));
    let mut tries = Vec::new();
    for _ in 0..3 {
        let before = counted.gets();
        world.live(&gateway, Duration::from_hours(24)).await;
        tries.push((counted.gets() - before) / damaged.len());
    }
    assert!(tries[0] <= 12 && tries[2] <= 2, "tries of each a day: {tries:?}");
    assert!(tries[2] >= 1, "they are tried for ever: {tries:?}");
}
