//! Deletion of records: its effect, and the response to a retry.

use crate::harness::{Larder, STORES};

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
