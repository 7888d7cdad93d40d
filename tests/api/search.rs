//! Finding stores by a part of what they are called.

use std::time::Duration;

use serde_json::json;

use crate::harness::{Larder, STORES};

contract_test!(stores_are_found_by_a_part_of_their_name_in_any_letter_case, async |larder: Larder| {
    let shop = larder.named_store("Corner-Shop").await;
    larder.named_store("cellar").await;
    for text in ["corner", "SHOP", "ner-sh"] {
        let list = larder.get(format!("{STORES}?search={text}")).await.answers(200);
        assert_eq!(list.texts_of_items("id"), [shop.id.as_str()], "{list}");
        assert_eq!(list.data()["total"], 1, "{list}");
    }
    let list = larder.get(format!("{STORES}?search=attic")).await.answers(200);
    assert_eq!(list.data()["total"], 0, "{list}");
});

contract_test!(stores_are_found_by_a_part_of_their_title, async |larder: Larder| {
    let store = larder.named_store("a").await;
    larder.named_store("b").await;
    store.put("").json(&json!({ "title": "Dry Goods" })).await.answers(200);
    for text in ["dry%20goods", "GOODS", "y+g"] {
        let list = larder.get(format!("{STORES}?search={text}")).await.answers(200);
        assert_eq!(list.texts_of_items("id"), [store.id.as_str()], "{list}");
    }
});

contract_test!(stores_are_found_by_the_start_of_their_id, async |larder: Larder| {
    let store = larder.new_store().await;
    larder.named_store("shop").await;
    let start = &store.id[..8];
    let list = larder.get(format!("{STORES}?unnamed=1&search={start}")).await.answers(200);
    assert_eq!(list.texts_of_items("id"), [store.id.as_str()], "{list}");
    let list = larder.get(format!("{STORES}?search={start}")).await.answers(200);
    assert_eq!(list.data()["total"], 0, "{list} finds an unnamed store that was not asked for");
    let list = larder.get(format!("{STORES}?unnamed=1&search={}", &store.id[9..])).await.answers(200);
    assert_eq!(list.data()["total"], 0, "{list} finds a store by the end of its id");
});

contract_test!(what_is_found_is_paged_and_counted, async |larder: Larder| {
    let mut found = Vec::new();
    for name in ["jar-1", "cup", "jar-2", "JAR-3"] {
        let store = larder.named_store(name).await;
        if name != "cup" {
            found.push(store.id);
        }
        larder.advance(Duration::from_millis(10));
    }
    let page = larder.get(format!("{STORES}?search=jar&limit=2&offset=1")).await.answers(200);
    assert_eq!(page.texts_of_items("id"), found[1..], "{page}");
    assert_eq!((&page.data()["total"], &page.data()["count"]), (&json!(3), &json!(2)), "{page}");
    let page = larder.get(format!("{STORES}?search=jar&limit=1&desc=1")).await.answers(200);
    assert_eq!(page.texts_of_items("id"), found[2..], "{page}");
});

contract_test!(an_empty_search_finds_all, async |larder: Larder| {
    larder.named_store("shop").await;
    assert_eq!(larder.get(format!("{STORES}?search=")).await.answers(200).data()["total"], 1);
});
