//! Deletion of stores and of records.

use crate::harness::{Larder, STORES};

contract_test!(case_080_a_store_is_deleted_without_a_word, async |larder: Larder| {
    let store = larder.new_store().await;
    store.delete("").await.answers(204).holds(b"");
});

contract_test!(case_081_a_second_delete_is_404, async |larder: Larder| {
    let store = larder.new_store().await;
    store.delete("").await.answers(204);
    store.delete("").await.fails(404, "record-not-found");
});

contract_test!(case_082_nothing_of_a_deleted_store_can_be_seen, async |larder: Larder| {
    let store = larder.named_store("shop").await;
    store.put_text("a", "x").await;
    store.delete("").await.answers(204);
    for rest in ["", "/keys", "/records", "/records/a"] {
        store.get(rest).await.fails(404, "record-not-found");
    }
    store.head("/records/a").await.answers(404).holds(b"");
    store.put("/records/a").body("y").await.fails(404, "record-not-found");
    store.delete("/records/a").await.fails(404, "record-not-found");
    store.put("").json(&serde_json::json!({})).await.fails(404, "record-not-found");
    larder.get(format!("{STORES}/~shop")).await.fails(404, "record-not-found");
    assert_eq!(larder.get(format!("{STORES}?unnamed=1")).await.data()["total"], 0);
});

contract_test!(case_083_deleting_a_store_needs_a_token, async |larder: Larder| {
    let store = larder.new_store().await;
    store.delete("").anonymous().await.fails(401, "token-not-provided");
    store.object().await;
});

contract_test!(case_084_a_deleted_stores_name_makes_a_new_and_empty_one, async |larder: Larder| {
    let store = larder.named_store("shop").await;
    store.put_text("a", "x").await;
    store.delete("").await.answers(204);
    let new = larder.post(format!("{STORES}?name=shop")).await.answers(201).text("id");
    assert_ne!(new, store.id);
    larder.get(format!("{STORES}/~shop/records/a")).await.fails(404, "record-not-found");
    assert!(larder.get(format!("{STORES}/{new}/keys")).await.texts_of_items("key").is_empty());
    store.get("").await.fails(404, "record-not-found");
});

contract_test!(a_store_is_deleted_by_its_name, async |larder: Larder| {
    let store = larder.named_store("shop").await;
    larder.delete(format!("{STORES}/~shop")).await.answers(204);
    store.get("").await.fails(404, "record-not-found");
});

contract_test!(a_delete_is_seen_by_a_gateway_that_starts_later, async |larder: Larder| {
    let store = larder.named_store("shop").await;
    store.delete("").await.answers(204);
    let later = larder.restarted().await;
    store.behind(&later).get("").await.fails(404, "record-not-found");
    assert_eq!(later.get(STORES).await.data()["total"], 0);
});

contract_test!(case_153_a_deleted_record_is_gone, async |larder: Larder| {
    let store = larder.new_store().await;
    store.put_text("a", "x").await;
    store.put_text("b", "y").await;
    store.delete("/records/a").await.answers(204).holds(b"");
    store.get("/records/a").await.fails(404, "record-not-found");
    store.head("/records/a").await.answers(404);
    assert_eq!(store.keys().await, ["b"]);
    store.record("b").await.holds(b"y");
});

contract_test!(case_154_deleting_an_absent_record_succeeds, async |larder: Larder| {
    let store = larder.new_store().await;
    store.delete("/records/a").await.answers(204).holds(b"");
    store.put_text("a", "x").await;
    store.delete("/records/a").await.answers(204);
    store.delete("/records/a").await.answers(204);
});

contract_test!(case_155_deleting_from_an_unknown_store_is_404, async |larder: Larder| {
    for store in ["abcdefghijklmnopq", "~absent", "short"] {
        larder.delete(format!("{STORES}/{store}/records/a")).await.fails(404, "record-not-found");
    }
});

contract_test!(case_156_deleting_a_record_needs_a_token, async |larder: Larder| {
    let store = larder.new_store().await;
    store.put_text("a", "x").await;
    store.delete("/records/a").anonymous().await.fails(401, "token-not-provided");
    store.record("a").await.holds(b"x");
});

contract_test!(case_157_deleting_what_can_be_no_key_is_400, async |larder: Larder| {
    let store = larder.new_store().await;
    for key in ["a%20b", "a%2Fb", "%C3%A9", &"k".repeat(257)] {
        store.delete(&format!("/records/{key}")).await.fails(400, "invalid-record-key");
    }
});

contract_test!(a_deleted_record_can_be_written_again, async |larder: Larder| {
    let store = larder.new_store().await;
    store.put_bytes("a", "text/old", "old").await;
    store.delete("/records/a").await.answers(204);
    store.put_bytes("a", "text/new", "new").await;
    assert_eq!(store.record("a").await.holds(b"new").expect_field("content-type"), "text/new");
});
