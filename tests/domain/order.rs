//! A bucket that was filled before there were lifecycle rules.

use std::{sync::Arc, time::Duration};

use larder::{
    kv::{CatalogOptions, Change, Retention, StoreId, StoreLocator, StoreUpdate, StoreView},
    storage::{Attributes, ByteStream, GetOptions, Precondition, PutOptions},
};
use serde_json::{Value, json};

use crate::gateways::{Gateway, STALENESS, World, name};

/// More than any object here has, in bytes.
const MUCH: u64 = 1 << 20;

/// Seconds within which everything is to be in order.
const PATIENCE: usize = 3600;

/// A gateway before an object store with lifecycle rules.
fn ruled_gateway(world: &World, seed: u64) -> Gateway {
    let options = CatalogOptions { classes: Some(STALENESS), ..CatalogOptions::default() };
    world.gateway_with(world.objects.clone(), seed, &options)
}

/// Makes a store's document what the first format has of it.
async fn age(world: &World, id: StoreId) {
    let key = format!("larder/stores/{id}");
    let object = world.objects.get(&key, GetOptions::default()).await.expect("it is there");
    let text = object.body.into_bytes(MUCH).await.expect("it is small");
    let mut document: Value = serde_json::from_slice(&text).expect("it is JSON");
    document["format"] = json!(1);
    document["expiresAt"] = Value::Null;
    document.as_object_mut().expect("it is an object").remove("leftovers");
    let attributes = Attributes { content_type: "application/json".to_owned(), content_encoding: None };
    let options = PutOptions { attributes, precondition: Precondition::None };
    let body = ByteStream::from(bytes::Bytes::from(document.to_string()));
    world.objects.put(&key, body, options).await.expect("it is written");
}

async fn resolved(gateway: &Gateway, store: &StoreView) -> Arc<StoreView> {
    gateway.catalog.resolve(&StoreLocator::Id(store.document.id)).await.expect("it is there")
}

#[tokio::test]
async fn a_bucket_that_was_filled_before_is_in_order_before_the_first_rule_is_written() {
    let world = World::new();
    let before = world.sole_gateway(1);
    let stores = [
        before.create(world.owner, None).await,
        before.create(world.owner, Some("pantry")).await,
        // The two that stand where they should not: a rule would delete what is to be kept, or keep what is to go.
        before.create(world.owner, None).await,
        before.create(world.owner, Some("cellar")).await,
    ];
    for store in &stores {
        before.put(store, "a", "flour").await.expect("a write");
    }
    let naming = StoreUpdate { name: Change::Set(name("attic")), ..StoreUpdate::default() };
    before.catalog.update(stores[2].document.id, naming).await.expect("it is named");
    let unnaming = StoreUpdate { name: Change::Clear, ..StoreUpdate::default() };
    before.catalog.update(stores[3].document.id, unnaming).await.expect("it is un-named");
    for store in &stores {
        age(&world, store.document.id).await;
    }
    world.objects.delete_many(world.keys("larder/due/").await).await.expect("there were no appointments");

    let gateway = ruled_gateway(&world, 2);
    assert!(!gateway.catalog.restore_order().await.expect("a look"), "two stand in the wrong place");
    let mut seconds = 0;
    while !gateway.catalog.restore_order().await.expect("a look") {
        let upkeep = gateway.catalog.clone();
        tokio::join!(
            async move {
                upkeep.keep_appointments().await.expect("a run");
                upkeep.moved().await;
            },
            async {
                for _ in 0..60 {
                    world.clock.advance(Duration::from_secs(1));
                    for _ in 0..200 {
                        tokio::task::yield_now().await;
                    }
                }
            }
        );
        seconds += 60;
        assert!(seconds < PATIENCE, "it is not in order after an hour");
    }
    for (store, is_kept) in stores.iter().zip([false, true, true, false]) {
        let view = resolved(&gateway, store).await;
        assert_eq!(view.document.place.class.is_none(), is_kept, "{:?}", view.document);
        assert_eq!(view.document.expires_at.is_none(), is_kept, "{:?}", view.document);
        let under = if is_kept { "larder/kept/" } else { "larder/passing/" };
        let records = world.keys(under).await;
        assert!(records.iter().any(|key| key.contains(&store.document.id.to_string())), "{records:?}");
        let key = "a".parse().expect("a key");
        let record = gateway.records.get(&view, &key, None).await.expect("it is read");
        assert_eq!(record.body.into_bytes(MUCH).await.expect("it is small"), "flour");
    }
    assert!(ruled_gateway(&world, 3).catalog.restore_order().await.expect("a look"), "once is enough");

    world.clock.advance(Retention::DEFAULT.duration() + Duration::from_hours(48));
    world.live(&gateway, Duration::from_hours(3)).await;
    for (store, is_kept) in stores.iter().zip([false, true, true, false]) {
        let found = gateway.catalog.resolve(&StoreLocator::Id(store.document.id)).await;
        assert_eq!(found.is_ok(), is_kept, "{found:?}");
    }
    assert_eq!(world.keys("larder/passing/").await, Vec::<String>::new());
    assert_eq!(world.keys("larder/kept/").await.len(), 2);
}
