//! Finding stores by a part of what they are called.

use std::time::Duration;

use serde_json::json;

use crate::harness::{Calls, Larder, STORES};

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

contract_test!(a_search_reads_no_store_that_it_does_not_show, async |larder: Larder| {
    for number in 0..40 {
        larder.named_store(&format!("jar-{number}")).await;
    }
    let titled = larder.named_store("cup").await;
    let long = "Many words ".repeat(30);
    for title in ["Once", &format!("{long}of salt")] {
        titled.put("").json(&json!({ "title": title })).await.answers(200);
        larder.advance(Duration::from_millis(10));
    }
    // Another gateway, which has seen nothing yet.
    let larder = larder.restarted().await;
    larder.get("/v2/users/me").await.answers(200);
    let search =
        async |text: &str| larder.get(format!("{STORES}?ownership=ownedByMe&search={text}")).await.answers(200);
    // The list of entries, the store that is shown, and the one whose title is too long to be kept in an entry.
    let few = larder.calls(async || assert_eq!(search("jar-17").await.data()["total"], 1)).await;
    assert_eq!(few, Calls { list: 1, get: 2, ..Calls::NONE });
    let none = larder.calls(async || assert_eq!(search("attic").await.data()["total"], 0)).await;
    assert_eq!(none, Calls::NONE);
    let found = search("of+salt").await;
    assert_eq!(found.texts_of_items("id"), [titled.id.as_str()], "{found}");
    assert_eq!(search("once").await.data()["total"], 0);
});

contract_test!(a_store_is_found_by_what_it_is_called_now_and_not_by_what_it_was, async |larder: Larder| {
    let store = larder.named_store("first").await;
    larder.named_store("taken").await;
    for (change, called, before) in [
        (json!({ "name": "second" }), "second", "first"),
        (json!({ "title": "Baking" }), "baking", "first"),
        (json!({ "name": "third", "title": "Cooking" }), "third", "second"),
        (json!({}), "cooking", "baking"),
        (json!({ "title": null }), "third", "cooking"),
        (json!({ "name": "Third" }), "third", "second"),
        (json!({ "name": null, "title": "Kept" }), "kept", "third"),
    ] {
        store.put("").json(&change).await.answers(200);
        larder.advance(Duration::from_millis(10));
        for larder in [&larder, &larder.restarted().await] {
            let found = larder.get(format!("{STORES}?unnamed=1&search={called}")).await.answers(200);
            assert_eq!(found.texts_of_items("id"), [store.id.as_str()], "{change}: {found}");
            let gone = larder.get(format!("{STORES}?unnamed=1&search={before}")).await.answers(200);
            assert_eq!(gone.data()["total"], 0, "{change}: {gone}");
        }
    }
    store.put("").json(&json!({ "name": "taken" })).await.answers(409);
    let found = larder.restarted().await.get(format!("{STORES}?unnamed=1&search=kept")).await.answers(200);
    assert_eq!(found.texts_of_items("id"), [store.id.as_str()], "{found}");
});
