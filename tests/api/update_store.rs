//! Changing stores: names, titles, access, and the dates that move with them.

use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::{Larder, STORES, brotli};

contract_test!(case_066_a_store_is_renamed, async |larder: Larder| {
    let store = larder.named_store("old").await;
    let reply = store.put("").json(&json!({ "name": "new-name" })).await.answers(200);
    assert_eq!(reply.text("name"), "new-name", "{reply}");
    assert_eq!(reply.text("id"), store.id, "{reply}");
});

contract_test!(case_067_a_renamed_store_is_found_by_its_new_name_alone, async |larder: Larder| {
    let store = larder.named_store("old").await;
    store.put_text("a", "x").await;
    assert_eq!(larder.get(format!("{STORES}/~old")).await.text("id"), store.id);
    store.put("").json(&json!({ "name": "new-name" })).await.answers(200);
    assert_eq!(larder.get(format!("{STORES}/~new-name")).await.answers(200).text("id"), store.id);
    larder.get(format!("{STORES}/~old")).await.fails(404, "record-not-found");
    larder.get(format!("{STORES}/~new-name/records/a")).await.answers(200).holds(b"x");
});

contract_test!(a_released_name_can_be_taken_at_once, async |larder: Larder| {
    let store = larder.named_store("old").await;
    store.put("").json(&json!({ "name": "new" })).await.answers(200);
    let other = larder.post(format!("{STORES}?name=old")).await.answers(201).text("id");
    assert_ne!(other, store.id);
    assert_eq!(larder.get(format!("{STORES}/~old")).await.text("id"), other);
    assert_eq!(larder.get(format!("{STORES}/~new")).await.text("id"), store.id);
});

contract_test!(case_068_a_store_loses_its_name_and_leaves_the_list, async |larder: Larder| {
    let store = larder.named_store("shop").await;
    store.put_text("a", "x").await;
    let reply = store.put("").json(&json!({ "name": null })).await.answers(200);
    assert!(reply.data()["name"].is_null(), "{reply}");
    assert!(larder.get(STORES).await.texts_of_items("id").is_empty());
    assert_eq!(larder.get(format!("{STORES}?unnamed=1")).await.texts_of_items("id"), [store.id.as_str()]);
    larder.get(format!("{STORES}/~shop")).await.fails(404, "record-not-found");
    store.record("a").await.holds(b"x");
});

contract_test!(a_store_without_a_name_gets_one_and_keeps_its_records, async |larder: Larder| {
    let store = larder.new_store().await;
    store.put_text("a", "x").await;
    store.put("").json(&json!({ "name": "shop" })).await.answers(200);
    assert_eq!(larder.get(STORES).await.texts_of_items("id"), [store.id.as_str()]);
    larder.get(format!("{STORES}/~shop/records/a")).await.answers(200).holds(b"x");
    assert_eq!(larder.post(format!("{STORES}?name=shop")).await.answers(200).text("id"), store.id);
});

contract_test!(case_069_a_title_is_kept, async |larder: Larder| {
    let store = larder.new_store().await;
    let reply = store.put("").json(&json!({ "title": "Flour & Salt – ø" })).await.answers(200);
    assert_eq!(reply.text("title"), "Flour & Salt – ø", "{reply}");
    assert_eq!(store.object().await["title"], "Flour & Salt – ø");
});

contract_test!(every_access_of_the_platform_can_be_set, async |larder: Larder| {
    let store = larder.new_store().await;
    for access in ["RESTRICTED", "ANYONE_WITH_ID_CAN_READ", "ANYONE_WITH_NAME_CAN_READ", "FOLLOW_USER_SETTING"] {
        let reply = store.put("").json(&json!({ "generalAccess": access })).await.answers(200);
        assert_eq!(reply.text("generalAccess"), access, "{reply}");
        assert_eq!(store.object().await["generalAccess"], access);
    }
    store.put("").json(&json!({ "generalAccess": "RESTRICTED" })).await.answers(200);
    let reply = store.put("").json(&json!({ "generalAccess": null })).await.answers(200);
    assert_eq!(reply.text("generalAccess"), "FOLLOW_USER_SETTING", "{reply}");
});

contract_test!(case_071_an_access_that_is_none_is_400, async |larder: Larder| {
    let store = larder.new_store().await;
    for access in [json!("WRONG"), json!("restricted"), json!(1), json!([]), json!("")] {
        store.put("").json(&json!({ "generalAccess": access, "title": "x" })).await.fails_with(400);
    }
    store.put("").json(&json!({ "generalAccess": "WRONG" })).await.fails(400, "invalid-value");
    assert!(store.object().await["title"].is_null(), "a refused update changed the title");
});

contract_test!(case_072_a_name_that_cannot_be_one_is_400, async |larder: Larder| {
    let store = larder.named_store("shop").await;
    for name in ["bad name", "-a", "a_b", &"n".repeat(64)] {
        store.put("").json(&json!({ "name": name })).await.fails(400, "invalid-value");
    }
    store.put("").json(&json!({ "name": 7 })).await.fails_with(400);
    assert_eq!(store.object().await["name"], "shop");
});

contract_test!(case_073_a_name_that_is_taken_is_409, async |larder: Larder| {
    let (store, other) = (larder.named_store("shop").await, larder.named_store("other").await);
    for name in ["other", "OTHER"] {
        store.put("").json(&json!({ "name": name, "title": "x" })).await.fails(409, "name-not-unique");
    }
    let after = store.object().await;
    assert_eq!(after["name"], "shop");
    assert!(after["title"].is_null(), "a refused update changed the title");
    assert_eq!(larder.get(format!("{STORES}/~other")).await.text("id"), other.id);
    assert_eq!(larder.get(format!("{STORES}/~shop")).await.text("id"), store.id);
});

contract_test!(case_074_a_store_may_be_given_the_name_it_has, async |larder: Larder| {
    let store = larder.named_store("shop").await;
    assert_eq!(store.put("").json(&json!({ "name": "shop" })).await.answers(200).text("name"), "shop");
    assert_eq!(larder.get(format!("{STORES}/~shop")).await.text("id"), store.id);
});

contract_test!(a_name_may_change_its_letter_case, async |larder: Larder| {
    let store = larder.named_store("shop").await;
    assert_eq!(store.put("").json(&json!({ "name": "Shop" })).await.answers(200).text("name"), "Shop");
    for name in ["~shop", "~Shop"] {
        assert_eq!(larder.get(format!("{STORES}/{name}")).await.answers(200).text("id"), store.id);
    }
});

contract_test!(case_075_an_update_of_nothing_changes_nothing, async |larder: Larder| {
    let store = larder.named_store("shop").await;
    let before = store.object().await;
    let after = store.put("").json(&json!({})).await.answers(200).data();
    for member in ["id", "name", "title", "generalAccess", "createdAt", "schema", "urlSigningSecretKey"] {
        assert_eq!(after[member], before[member], "{member} changed");
    }
});

contract_test!(case_076_an_update_that_is_not_json_is_400, async |larder: Larder| {
    let store = larder.named_store("shop").await;
    for body in ["name: new", "{", "[]", "null", "\"new\""] {
        store.put("").content_type("application/json").body(body).await.fails(400, "invalid-request");
    }
    store.put("").content_type("text/plain").body("new").await.fails_by_the_client();
    assert_eq!(store.object().await["name"], "shop");
});

contract_test!(case_077_an_update_needs_a_token, async |larder: Larder| {
    let store = larder.named_store("shop").await;
    store.put("").anonymous().json(&json!({ "name": "new" })).await.fails(401, "token-not-provided");
    assert_eq!(store.object().await["name"], "shop");
});

contract_test!(case_078_an_update_of_an_unknown_store_is_404, async |larder: Larder| {
    let update = json!({ "title": "x" });
    for id in ["abcdefghijklmnopq", "~absent", "shop"] {
        larder.put(format!("{STORES}/{id}")).json(&update).await.fails(404, "record-not-found");
    }
});

contract_test!(case_079_changes_move_the_date_of_the_last_change, async |larder: Larder| {
    let store = larder.named_store("shop").await;
    let made = modified_at(&store.object().await);
    larder.advance(Duration::from_secs(1));
    let updated = modified_at(&store.put("").json(&json!({ "title": "x" })).await.data());
    assert!(updated > made, "{updated} after an update, {made} before");
    larder.advance(Duration::from_secs(1));
    store.put_text("a", "x").await;
    let written = modified_at(&store.object().await);
    assert!(written > updated, "{written} after a write, {updated} before");
    larder.advance(Duration::from_secs(1));
    store.delete("/records/a").await.answers(204);
    let deleted = modified_at(&store.object().await);
    assert!(deleted > written, "{deleted} after a delete, {written} before");
});

contract_test!(reading_moves_the_date_of_the_last_use_alone, async |larder: Larder| {
    let store = larder.named_store("shop").await;
    store.put_text("a", "x").await;
    let before = store.object().await;
    larder.advance(Duration::from_secs(1));
    store.record("a").await.holds(b"x");
    let after = store.object().await;
    assert!(after["accessedAt"].as_str() > before["accessedAt"].as_str(), "{} is not later", after["accessedAt"]);
    assert_eq!(after["modifiedAt"], before["modifiedAt"]);
});

contract_test!(use_of_a_store_is_counted, async |larder: Larder| {
    let store = larder.named_store("shop").await;
    store.put_text("a", "x").await;
    store.put_text("b", "x").await;
    store.record("a").await;
    store.keys().await;
    store.delete("/records/a").await.answers(204);
    let stats = store.object().await["stats"].clone();
    for (count, times) in [("writeCount", 2), ("readCount", 1), ("deleteCount", 1), ("listCount", 1)] {
        assert_eq!(stats[count], times, "{count} of {stats}");
    }
});

contract_test!(a_compressed_update_is_decoded, async |larder: Larder| {
    let store = larder.new_store().await;
    let body = brotli(json!({ "title": "pressed" }).to_string().as_bytes()).await;
    let request = store.put("").content_type("application/json").field("Content-Encoding", "br");
    assert_eq!(request.body(body).await.answers(200).text("title"), "pressed");
});

fn modified_at(store: &Value) -> String {
    store["modifiedAt"].as_str().expect("a store has the date of its last change").to_owned()
}
