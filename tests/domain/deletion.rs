//! Deletion of stores, and the removal of their records.

use std::time::Duration;

use larder::kv::{Error, StoreLocator};

use crate::gateways::World;

#[tokio::test]
async fn a_deleted_store_is_gone_at_once_and_its_records_soon() {
    let world = World::new();
    let gateway = world.exclusive_gateway(1);
    let store = gateway.create(world.owner, Some("shop")).await;
    for key in ["a", "b", "c"] {
        gateway.put(&store, key, "value").await.expect("a write");
    }
    gateway.catalog.delete(store.document.id).await.expect("a delete");
    let gone = gateway.catalog.resolve(&StoreLocator::Id(store.document.id)).await;
    assert!(matches!(gone, Err(Error::StoreNotFound)), "{gone:?}");
    assert_eq!(world.keys("larder/permanent/").await.len(), 3, "removal is not the request's work");

    assert_eq!(gateway.catalog.reconcile_due().await.expect("a run"), 1);
    assert_eq!(world.keys("larder/permanent/").await, Vec::<String>::new());
    assert_eq!(gateway.catalog.reconcile_due().await.expect("a run"), 0, "the second pass is not due");
}

#[tokio::test]
async fn what_a_slow_write_left_behind_goes_with_the_store_an_hour_later() {
    let world = World::new();
    let gateway = world.exclusive_gateway(1);
    let store = gateway.create(world.owner, Some("shop")).await;
    gateway.catalog.delete(store.document.id).await.expect("a delete");
    gateway.catalog.reconcile_due().await.expect("a run");

    let late = gateway.put(&store, "late", "value").await;
    assert!(matches!(late, Err(Error::StoreNotFound)), "a write into a deleted store is not acknowledged: {late:?}");
    assert_eq!(world.keys("larder/permanent/").await.len(), 1);

    world.clock.advance(Duration::from_hours(1));
    assert_eq!(gateway.catalog.reconcile_due().await.expect("a run"), 1);
    for prefix in ["larder/permanent/", "larder/stores/", "larder/names/", "larder/stores-due/"] {
        assert_eq!(world.keys(prefix).await, Vec::<String>::new(), "{prefix}");
    }
}

#[tokio::test]
async fn a_removal_goes_on_where_another_gateway_left_it() {
    let world = World::new();
    let first = world.gateway(1);
    let store = first.create(world.owner, None).await;
    first.put(&store, "a", "value").await.expect("a write");
    first.catalog.delete(store.document.id).await.expect("a delete");
    drop(first);

    let next = world.gateway(2);
    assert_eq!(next.catalog.reconcile_due().await.expect("a run"), 1);
    assert_eq!(world.keys("larder/permanent/").await, Vec::<String>::new());
}

#[tokio::test]
async fn a_new_store_of_a_deleted_ones_name_is_another_and_keeps_the_name() {
    let world = World::new();
    let gateway = world.exclusive_gateway(1);
    let old = gateway.create(world.owner, Some("shop")).await.document.id;
    gateway.catalog.delete(old).await.expect("a delete");
    let new = gateway.create(world.owner, Some("shop")).await.document.id;
    assert_ne!(old, new);
    world.clock.advance(Duration::from_hours(2));
    gateway.catalog.reconcile_due().await.expect("a run");
    assert_eq!(gateway.create(world.owner, Some("shop")).await.document.id, new, "the claim is the new store's");
}

#[tokio::test]
async fn a_write_is_not_acknowledged_when_another_gateway_deleted_the_store_meanwhile() {
    let world = World::new();
    let (here, there) = (world.gateway(1), world.gateway(2));
    let store = here.create(world.owner, None).await;
    there.catalog.delete(store.document.id).await.expect("a delete");
    // The write began with this view and took longer than a view may be old.
    world.clock.advance(crate::gateways::STALENESS);
    let late = here.put(&store, "late", "value").await;
    assert!(matches!(late, Err(Error::StoreNotFound)), "{late:?}");
}
