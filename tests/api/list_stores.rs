//! Lists of stores, and search by a part of their names.

use std::collections::HashSet;
use std::time::Duration;

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::harness::{Calls, Larder, STORES};

/// Stores that fill three pages, the last one half.
const MANY_STORES: usize = 2500;

/// Connections that make them.
const MAKERS: usize = 20;

contract_test!(case_085_a_list_holds_named_stores_in_the_order_of_their_making, async |larder: Larder| {
    let names = shelves(&larder).await;
    larder.new_store().await;
    let list = larder.get(STORES).await.answers(200);
    assert_eq!(list.texts_of_items("name"), names);
    let dates = list.texts_of_items("createdAt");
    assert!(dates.is_sorted(), "{dates:?}");
    let data = list.data();
    for (member, value) in [("total", 3), ("offset", 0), ("limit", 1000), ("count", 3)] {
        assert_eq!(data[member], value, "{member} of {list}");
    }
    assert_eq!((&data["desc"], &data["unnamed"]), (&Value::from(false), &Value::from(false)), "{list}");
});

contract_test!(an_item_of_a_list_is_the_store, async |larder: Larder| {
    let store = larder.named_store("shop").await;
    let list = larder.get(STORES).await.answers(200).data();
    let (item, object) = (&list["items"][0], store.object().await);
    for member in ["id", "name", "userId", "username", "createdAt", "modifiedAt", "generalAccess"] {
        assert_eq!(item[member], object[member], "{member}");
    }
    assert!(item["accessedAt"].is_string(), "{item}");
});

contract_test!(case_086_unnamed_stores_are_listed_when_asked_for, async |larder: Larder| {
    let named = larder.named_store("shop").await;
    larder.advance(Duration::from_millis(10));
    let unnamed = larder.new_store().await;
    for value in ["1", "true", "TRUE", "%20true%20"] {
        let list = larder.get(format!("{STORES}?unnamed={value}")).await.answers(200);
        assert_eq!(list.texts_of_items("id"), [named.id.as_str(), unnamed.id.as_str()], "{list}");
        assert_eq!(list.data()["unnamed"], true, "{list}");
    }
});

contract_test!(case_087_unnamed_stores_are_not_listed_when_not_asked_for, async |larder: Larder| {
    let named = larder.named_store("shop").await;
    larder.new_store().await;
    for value in ["0", "false", "False"] {
        let list = larder.get(format!("{STORES}?unnamed={value}")).await.answers(200);
        assert_eq!(list.texts_of_items("id"), [named.id.as_str()], "{list}");
        assert_eq!(list.data()["unnamed"], false, "{list}");
    }
});

contract_test!(case_088_a_list_is_turned_round, async |larder: Larder| {
    let mut names = shelves(&larder).await;
    names.reverse();
    for value in ["1", "true"] {
        let list = larder.get(format!("{STORES}?desc={value}")).await.answers(200);
        assert_eq!(list.texts_of_items("name"), names, "{list}");
        assert_eq!(list.data()["desc"], true, "{list}");
    }
});

contract_test!(case_089_a_page_is_cut_out_of_the_list, async |larder: Larder| {
    let names = shelves(&larder).await;
    let list = larder.get(format!("{STORES}?limit=2&offset=1")).await.answers(200);
    assert_eq!(list.texts_of_items("name"), names[1..]);
    let data = list.data();
    for (member, value) in [("limit", 2), ("offset", 1), ("count", 2), ("total", 3)] {
        assert_eq!(data[member], value, "{member} of {list}");
    }
    let turned = larder.get(format!("{STORES}?limit=2&offset=1&desc=1")).await.answers(200);
    assert_eq!(turned.texts_of_items("name"), [names[1].as_str(), names[0].as_str()], "{turned}");
});

contract_test!(case_090_a_limit_above_the_highest_is_lowered, async |larder: Larder| {
    for limit in ["1001", "5000", "99999999999999999999"] {
        let list = larder.get(format!("{STORES}?limit={limit}")).await.answers(200);
        assert_eq!(list.data()["limit"], 1000, "{list}");
    }
});

contract_test!(case_091_a_limit_of_zero_is_none, async |larder: Larder| {
    larder.named_store("shop").await;
    let data = larder.get(format!("{STORES}?limit=0")).await.data();
    assert_eq!((&data["limit"], &data["count"]), (&Value::from(1000), &Value::from(1)));
});

contract_test!(case_092_a_limit_that_is_no_number_is_400, async |larder: Larder| {
    for limit in ["-1", "abc", "1.5", "1e3", "0x10", "%2B-1"] {
        let message = larder.get(format!("{STORES}?limit={limit}")).await.fails(400, "invalid-parameter");
        assert!(message.contains("limit"), "limit={limit}: {message:?} does not name the parameter");
    }
    for offset in ["-1", "x"] {
        let message = larder.get(format!("{STORES}?offset={offset}")).await.fails(400, "invalid-parameter");
        assert!(message.contains("offset"), "offset={offset}: {message:?} does not name the parameter");
    }
});

contract_test!(case_093_an_offset_behind_the_end_is_an_empty_page, async |larder: Larder| {
    shelves(&larder).await;
    let data = larder.get(format!("{STORES}?offset=999999")).await.answers(200).data();
    assert_eq!(data["items"], Value::Array(Vec::new()));
    for (member, value) in [("count", 0), ("total", 3), ("offset", 999_999)] {
        assert_eq!(data[member], value, "{member}");
    }
});

contract_test!(case_095_an_ownership_that_is_none_is_400, async |larder: Larder| {
    let store = larder.named_store("shop").await;
    let message = larder.get(format!("{STORES}?ownership=x")).await.fails(400, "param-not-one-of");
    assert!(message.contains("ownership") && message.contains("ownedByMe"), "{message:?}");
    let owned = larder.get(format!("{STORES}?ownership=ownedByMe")).await.answers(200);
    assert_eq!(owned.texts_of_items("id"), [store.id.as_str()]);
    assert_eq!(larder.get(format!("{STORES}?ownership=sharedWithMe")).await.answers(200).data()["total"], 0);
});

contract_test!(case_096_paging_yields_each_of_2500_stores_once, async |larder: Larder| {
    let all = make_many(&larder).await;

    // As the JavaScript client pages: on from where the last page ended, until `total` items have been seen.
    let (mut seen, mut connection) = (Vec::new(), larder.connect().await);
    loop {
        let request = larder.get(format!("{STORES}?unnamed=1&desc=0&offset={}", seen.len()));
        let page = request.send_on(&mut connection).await.answers(200);
        seen.extend(page.texts_of_items("id"));
        assert!(seen.len() <= MANY_STORES, "{page} tells of stores again");
        if page.data()["total"] == seen.len() || page.data()["count"] == 0 {
            break;
        }
    }
    assert_eq!(seen.len(), MANY_STORES);
    assert_eq!(seen.iter().cloned().collect::<HashSet<_>>(), all, "paging by total");

    // As the Python client pages: with a limit of zero, until a page is empty.
    let mut seen = Vec::new();
    let mut pages = 0;
    loop {
        let request = larder.get(format!("{STORES}?unnamed=true&limit=0&offset={}", seen.len()));
        let page = request.send_on(&mut connection).await.answers(200).texts_of_items("id");
        pages += 1;
        if page.is_empty() {
            break;
        }
        seen.extend(page);
        assert!(seen.len() <= MANY_STORES, "page {pages} tells of stores again");
    }
    assert_eq!((seen.len(), pages), (MANY_STORES, 4));
    assert_eq!(seen.into_iter().collect::<HashSet<_>>(), all, "paging until a page is empty");
});

async fn make_many(larder: &Larder) -> HashSet<String> {
    let makers = (0..MAKERS).map(async |_| {
        let mut connection = larder.connect().await;
        let mut ids = Vec::new();
        for _ in 0..MANY_STORES / MAKERS {
            ids.push(larder.post(STORES).send_on(&mut connection).await.answers(201).text("id"));
        }
        ids
    });
    join_all(makers).await.into_iter().flatten().collect()
}

/// Three stores, made one after the other; their names are not in the order of their making.
async fn shelves(larder: &Larder) -> Vec<String> {
    let names = ["middle", "upper", "lower"];
    for name in names {
        larder.named_store(name).await;
        larder.advance(Duration::from_millis(10));
    }
    names.map(str::to_owned).to_vec()
}

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
