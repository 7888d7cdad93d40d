//! Lists of stores.

use std::time::Duration;

use larder::kv::{Patch, StoreQuery, StoreUpdate};

use crate::gateways::{Gateway, World, name};

fn query() -> StoreQuery {
    StoreQuery { unnamed: true, limit: 1000, ..StoreQuery::default() }
}

async fn names(gateway: &Gateway, world: &World, query: &StoreQuery) -> (Vec<String>, usize) {
    let page = gateway.catalog.list(world.owner, query).await.expect("a list");
    let name = |document: &larder::kv::Document| document.name.as_ref().map_or_else(String::new, ToString::to_string);
    (page.stores.iter().map(|store| name(&store.document)).collect(), page.total)
}

#[tokio::test]
async fn stores_are_listed_in_the_order_of_their_making_by_every_gateway() {
    let world = World::new();
    let gateway = world.exclusive_gateway(1);
    for text in ["c", "a", "b"] {
        gateway.create(world.owner, Some(text)).await;
        world.clock.advance(Duration::from_millis(1));
    }
    gateway.create(world.owner, None).await;
    for gateway in [gateway, world.gateway(2)] {
        let named = StoreQuery { unnamed: false, ..query() };
        assert_eq!(names(&gateway, &world, &named).await, (vec!["c".into(), "a".into(), "b".into()], 3));
        let newest = StoreQuery { descending: true, offset: 1, limit: 2, ..query() };
        assert_eq!(names(&gateway, &world, &newest).await, (vec!["b".into(), "a".into()], 4));
        let behind = StoreQuery { offset: 99, ..query() };
        assert_eq!(names(&gateway, &world, &behind).await, (vec![], 4));
    }
}

#[tokio::test]
async fn naming_unnaming_and_deleting_show_in_the_lists_of_all_gateways() {
    let world = World::new();
    let (here, there) = (world.gateway(1), world.gateway(2));
    let old = here.create(world.owner, None).await.document.id;
    let named = StoreQuery { unnamed: false, ..query() };
    assert_eq!(names(&there, &world, &named).await.1, 0);
    // An old store that is named now is found by a gateway that has listed before.
    world.clock.advance(Duration::from_hours(24));
    let update = StoreUpdate { name: Patch::Set(name("late")), ..StoreUpdate::default() };
    here.catalog.update(old, update).await.expect("a free name");
    assert_eq!(names(&here, &world, &named).await, (vec!["late".into()], 1));
    assert_eq!(names(&there, &world, &named).await, (vec!["late".into()], 1));

    let update = StoreUpdate { name: Patch::Clear, ..StoreUpdate::default() };
    here.catalog.update(old, update).await.expect("the name goes");
    world.clock.advance(crate::gateways::STALENESS);
    assert_eq!(names(&there, &world, &named).await.1, 0);
    assert_eq!(names(&there, &world, &query()).await.1, 1);

    here.catalog.delete(old).await.expect("a delete");
    world.clock.advance(crate::gateways::STALENESS);
    assert_eq!(names(&there, &world, &query()).await, (vec![], 0));
}

#[tokio::test]
async fn a_search_looks_at_names_titles_and_the_beginnings_of_ids() {
    let world = World::new();
    let gateway = world.exclusive_gateway(1);
    let shop = gateway.create(world.owner, Some("Web-Shop")).await.document.id;
    world.clock.advance(Duration::from_millis(1));
    let other = gateway.create(world.owner, Some("other")).await.document.id;
    let update = StoreUpdate { title: Patch::Set("Shopping list".to_owned()), ..StoreUpdate::default() };
    gateway.catalog.update(other, update).await.expect("a title");
    gateway.create(world.owner, Some("neither")).await;
    let search = |text: &str| StoreQuery { search: Some(text.to_owned()), ..query() };
    assert_eq!(names(&gateway, &world, &search("SHOP")).await, (vec!["Web-Shop".into(), "other".into()], 2));
    assert_eq!(names(&gateway, &world, &search(&shop.as_str()[..8])).await.1, 1);
    assert_eq!(names(&gateway, &world, &search(&shop.as_str()[1..8])).await.1, 0);
    let second = StoreQuery { offset: 1, limit: 1, ..search("shop") };
    assert_eq!(names(&gateway, &world, &second).await, (vec!["other".into()], 2));
}

#[tokio::test]
async fn a_store_of_another_gateway_is_found_by_its_new_title() {
    let world = World::new();
    let (here, there) = (world.gateway(1), world.gateway(2));
    let id = here.create(world.owner, Some("shop")).await.document.id;
    let search = |text: &str| StoreQuery { search: Some(text.to_owned()), ..query() };
    assert_eq!(names(&there, &world, &search("shop")).await.1, 1);
    world.clock.advance(Duration::from_secs(1));
    for title in ["bread", "salt"] {
        let update = StoreUpdate { title: Patch::Set(title.to_owned()), ..StoreUpdate::default() };
        here.catalog.update(id, update).await.expect("a title");
        world.clock.advance(crate::gateways::STALENESS);
        assert_eq!(names(&there, &world, &search(title)).await, (vec!["shop".into()], 1));
    }
    assert_eq!(names(&there, &world, &search("bread")).await.1, 0);
}

#[tokio::test]
async fn many_stores_that_another_gateway_made_are_listed_in_their_order() {
    let world = World::new();
    let (here, there) = (world.gateway(1), world.gateway(2));
    for number in 0..300 {
        here.create(world.owner, (number % 3 > 0).then_some(format!("s-{number:03}")).as_deref()).await;
        world.clock.advance(Duration::from_millis(1));
    }
    let named = StoreQuery { unnamed: false, ..query() };
    let (listed, total) = names(&there, &world, &named).await;
    assert_eq!((total, listed.len(), listed.is_sorted()), (200, 200, true));
    assert_eq!(names(&there, &world, &query()).await.1, 300);
    assert_eq!(names(&here, &world, &named).await.0, listed);
}
