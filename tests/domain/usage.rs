//! Counters and dates of use.

use std::time::Duration;

use larder::kv::StoreLocator;

use crate::gateways::World;

#[tokio::test]
async fn what_two_gateways_counted_adds_up_in_the_document() {
    let world = World::new();
    let (here, there) = (world.gateway(1), world.gateway(2));
    let store = here.create(world.owner, Some("shop")).await;
    let key = "a".parse().expect("a valid key");
    here.put(&store, "a", "value").await.expect("a write");
    world.clock.advance(Duration::from_secs(1));
    there.records.get(&store, &key, None).await.expect("a read");
    there.records.get(&store, &key, None).await.expect("a read");
    assert_eq!(here.catalog.flush_usage().await.expect("a flush"), 1);
    assert_eq!(there.catalog.flush_usage().await.expect("a flush"), 1);
    assert_eq!(there.catalog.flush_usage().await.expect("a flush"), 0, "nothing is written twice");

    let document = &world.gateway(3).catalog.resolve(&StoreLocator::Id(store.document.id)).await.expect("it").document;
    assert_eq!((document.stats.write_count, document.stats.read_count), (1, 2));
    assert_eq!(document.modified_at, document.created_at);
    assert_eq!(document.accessed_at.since(document.created_at), Duration::from_secs(1));
}

#[tokio::test]
async fn counters_show_before_they_are_written_down_and_are_not_counted_twice_after() {
    let world = World::new();
    let gateway = world.exclusive_gateway(1);
    let store = gateway.create(world.owner, None).await;
    gateway.put(&store, "a", "value").await.expect("a write");
    assert_eq!(gateway.catalog.activity(&store).stats.write_count, 1);
    gateway.catalog.flush_usage().await.expect("a flush");
    let store = gateway.catalog.resolve(&StoreLocator::Id(store.document.id)).await.expect("the store");
    assert_eq!(gateway.catalog.activity(&store).stats.write_count, 1);
}

#[tokio::test]
async fn a_flush_of_a_deleted_store_brings_nothing_back() {
    let world = World::new();
    let gateway = world.exclusive_gateway(1);
    let store = gateway.create(world.owner, None).await;
    gateway.put(&store, "a", "value").await.expect("a write");
    gateway.catalog.delete(store.document.id).await.expect("a delete");
    gateway.catalog.flush_usage().await.expect("a flush");
    assert!(gateway.catalog.resolve(&StoreLocator::Id(store.document.id)).await.is_err());
    assert_eq!(gateway.catalog.flush_usage().await.expect("a flush"), 0);
}
