//! Deletion of stores: everything that goes with them, and at once.

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
