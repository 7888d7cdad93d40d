//! Cost of requests: calls to the object store, counted.

use futures_util::future::join_all;
use serde_json::json;

use crate::harness::{Calls, Larder, STORES, Store};

/// Keys that fill one page of a list and begin a second.
const MANY_KEYS: usize = 1001;

/// Stores that fill a page.
const MANY_STORES: usize = 1000;

/// Connections that write them.
const WRITERS: usize = 20;

/// Maximum number of calls for the creation of a named store.
const CREATE_NAMED: usize = 6;

contract_test!(a_record_operation_on_a_warm_gateway_is_one_call, async |larder: Larder| {
    let store = larder.named_store("shop").await;
    store.object().await;
    let put = larder.calls(async || store.put_text("a", "flour").await).await;
    assert_eq!(put, Calls { put: 1, ..Calls::NONE }, "PUT of a new record");
    let again = larder.calls(async || store.put_text("a", "salt").await).await;
    assert_eq!(again, Calls { put: 1, ..Calls::NONE }, "PUT over a record");
    let get = larder.calls(async || store.record("a").await).await;
    assert_eq!(get, Calls { get: 1, ..Calls::NONE }, "GET");
    let head = larder.calls(async || store.head("/records/a").await.answers(200)).await;
    assert_eq!(head, Calls { head: 1, ..Calls::NONE }, "HEAD");
    let delete = larder.calls(async || store.delete("/records/a").await.answers(204)).await;
    assert_eq!(delete, Calls { delete: 1, ..Calls::NONE }, "DELETE");
    let absent = larder.calls(async || store.get("/records/a").await.answers(404)).await;
    assert_eq!(absent, Calls { get: 1, ..Calls::NONE }, "GET of an absent record");
    let none = larder.calls(async || store.delete("/records/a").await.answers(204)).await;
    assert_eq!(none, Calls { delete: 1, ..Calls::NONE }, "DELETE of an absent record");
});

contract_test!(a_record_of_an_unnamed_store_costs_no_more, async |larder: Larder| {
    let store = larder.new_store().await;
    let put = larder.calls(async || store.put_text("a", "flour").await).await;
    assert_eq!(put, Calls { put: 1, ..Calls::NONE }, "PUT");
    let get = larder.calls(async || store.record("a").await).await;
    assert_eq!(get, Calls { get: 1, ..Calls::NONE }, "GET");
});

contract_test!(large_coded_and_partial_records_cost_no_more, async |larder: Larder| {
    let store = larder.named_store("shop").await;
    let put = larder.calls(async || store.put_bytes("a", "text/plain", vec![b'x'; 3_000_000]).await).await;
    assert_eq!(put, Calls { put: 1, ..Calls::NONE }, "PUT of 3 MB");
    let get = larder.calls(async || store.record("a").await).await;
    assert_eq!(get, Calls { get: 1, ..Calls::NONE }, "GET of 3 MB");
    let part = async || store.get("/records/a").field("Range", "bytes=5-9").await.answers(206);
    assert_eq!(larder.calls(part).await, Calls { get: 1, ..Calls::NONE }, "GET of a part");
    let etag = store.record("a").await.expect_field("etag").to_owned();
    let part = async || {
        let get = store.get("/records/a").field("Range", "bytes=5-9").field("If-Range", &etag);
        get.await.answers(206)
    };
    assert_eq!(larder.calls(part).await, Calls { get: 1, ..Calls::NONE }, "GET of a part of what is known");
    store.put_coded("b", "gzip", crate::harness::gzip(b"flour").await).await;
    let decoded = larder.calls(async || store.record("b").await.holds(b"flour")).await;
    assert_eq!(decoded, Calls { get: 1, ..Calls::NONE }, "GET of a record that is decoded");
});

contract_test!(a_condition_costs_no_more, async |larder: Larder| {
    let store = larder.named_store("shop").await;
    store.put_text("a", "flour").await;
    let etag = store.record("a").await.expect_field("etag").to_owned();
    let put = async || {
        let put = store.put("/records/a").field("If-None-Match", "*").body("x");
        put.await.answers(412)
    };
    assert_eq!(larder.calls(put).await, Calls { put: 1, ..Calls::NONE }, "PUT of what is absent alone");
    let put = async || store.put("/records/a").field("If-Match", &etag).body("x").await.answers(201);
    assert_eq!(larder.calls(put).await, Calls { put: 1, ..Calls::NONE }, "PUT over what was read");
});

contract_test!(a_cached_store_is_returned_without_a_call, async |larder: Larder| {
    let store = larder.named_store("shop").await;
    store.object().await;
    let get = larder.calls(async || store.object().await).await;
    assert_eq!(get, Calls::NONE, "GET of a store");
    larder.get(format!("{STORES}/~shop")).await.answers(200);
    let by_name = larder.calls(async || larder.get(format!("{STORES}/~shop")).await.answers(200)).await;
    assert_eq!(by_name, Calls::NONE, "GET of a store by its name");
});

contract_test!(a_page_of_keys_is_one_call_for_each_thousand, async |larder: Larder| {
    let store = larder.named_store("shop").await;
    write_keys(&larder, &store).await;
    let first = larder.calls(async || store.get("/keys").await.answers(200)).await;
    assert_eq!(first, Calls { list: 1, ..Calls::NONE }, "a page of 1,000 of {MANY_KEYS} keys");
    let few = larder.calls(async || store.get("/keys?limit=3&prefix=key-0").await.answers(200)).await;
    assert_eq!(few, Calls { list: 1, ..Calls::NONE }, "a page of 3 keys with a prefix");
    let last = async || {
        let page = store.get("/keys?exclusiveStartKey=key-00999").await.answers(200);
        assert_eq!(page.data()["count"], 1, "{page}");
    };
    assert_eq!(larder.calls(last).await, Calls { list: 1, ..Calls::NONE }, "the last page");
});

contract_test!(a_page_of_a_thousand_stores_is_free_when_warm, async |larder: Larder| {
    let makers = (0..WRITERS).map(async |_| {
        let mut connection = larder.connect().await;
        for _ in 0..MANY_STORES / WRITERS {
            larder.post(STORES).send_on(&mut connection).await.answers(201);
        }
    });
    join_all(makers).await;
    let list = async |query: &str| {
        let page = larder.get(format!("{STORES}?unnamed=1{query}")).await.answers(200);
        assert_eq!(page.data()["count"], MANY_STORES, "{page}");
    };
    list("").await;
    let owned = larder.calls(async || list("&ownership=ownedByMe").await).await;
    assert_eq!(owned, Calls::NONE, "a page of {MANY_STORES} stores of one's own");
    let all = larder.calls(async || list("").await).await;
    assert_eq!(all, Calls { list: 1, ..Calls::NONE }, "a page of {MANY_STORES} stores, and what is shared");
});

contract_test!(looking_a_store_up_afresh_is_one_read_by_id_and_two_by_name, async |larder: Larder| {
    let store = larder.named_store("shop").await;
    let fresh = larder.restarted().await;
    let by_id = fresh.calls(async || store.behind(&fresh).object().await).await;
    assert_eq!(by_id, Calls { get: 1, ..Calls::NONE }, "GET of a store by its id");

    let fresh = larder.restarted().await;
    let by_name = fresh.calls(async || fresh.get(format!("{STORES}/~shop")).await.answers(200)).await;
    assert_eq!(by_name, Calls { get: 2, ..Calls::NONE }, "GET of a store by its name");

    let fresh = larder.restarted().await;
    let record = fresh.calls(async || store.behind(&fresh).put_text("a", "x").await).await;
    assert_eq!(record, Calls { get: 1, put: 1, ..Calls::NONE }, "PUT of a record in a store not yet known");
});

contract_test!(making_a_store_is_cheap, async |larder: Larder| {
    let unnamed = larder.calls(async || larder.post(STORES).await.answers(201)).await;
    // Its entry in the index, its due item, its document.
    assert!(unnamed.total() <= 3, "POST without a name took {unnamed:?}");
    let target = format!("{STORES}?name=shop");
    let named = larder.calls(async || larder.post(&target).await.answers(201)).await;
    assert!(named.total() <= CREATE_NAMED, "POST with a name took {named:?}");
    let again = larder.calls(async || larder.post(&target).await.answers(200)).await;
    assert!(again.total() <= CREATE_NAMED, "POST with a name that is taken took {again:?}");
});

contract_test!(refused_requests_cost_nothing, async |larder: Larder| {
    let store = larder.named_store("shop").await;
    store.object().await;
    let requests = [
        larder.get("/v2/nope"),
        larder.get(STORES).anonymous(),
        store.get("/records/a").token("wrong"),
        store.put("/records/a%20b").body("x"),
        store.put("/records/a").field("Content-Encoding", "zstd").body("x"),
        store.get("/keys?limit=x"),
        store.put("").json(&json!({ "generalAccess": "WRONG" })),
        larder.post(format!("{STORES}?name=-")),
        larder.get(format!("{STORES}/shop")),
        larder.request("PATCH", store.path("")),
        larder.request("OPTIONS", store.path("")),
    ];
    for request in requests {
        let what = request.to_string();
        let calls = larder.calls(async || request.await).await;
        assert_eq!(calls, Calls::NONE, "{what}");
    }
});

async fn write_keys(larder: &Larder, store: &Store) {
    let writers = (0..WRITERS).map(async |writer| {
        let mut connection = larder.connect().await;
        for index in (writer..MANY_KEYS).step_by(WRITERS) {
            let put = store.put(&format!("/records/key-{index:05}")).body("x");
            put.send_on(&mut connection).await.answers(201);
        }
    });
    join_all(writers).await;
}
