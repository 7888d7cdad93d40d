//! Rules for every endpoint: tokens, errors, methods, the fields of every reply.

use serde_json::json;

use crate::harness::{Larder, STORES, TOKEN, USERNAME};

contract_test!(case_001_a_list_without_a_token_is_401, async |larder: Larder| {
    larder.get(STORES).anonymous().await.fails(401, "token-not-provided");
});

contract_test!(case_002_an_unknown_token_is_401, async |larder: Larder| {
    let reply = larder.get(STORES).token("wrong-token-for-a-test").await;
    let message = reply.fails(401, "user-or-token-not-found");
    assert!(!message.contains("wrong-token-for-a-test"), "{reply} repeats the token");
    larder.get(format!("{STORES}?token=wrong")).anonymous().await.fails(401, "user-or-token-not-found");
});

contract_test!(case_003_a_token_in_the_query_is_taken, async |larder: Larder| {
    larder.get(format!("{STORES}?token={TOKEN}")).anonymous().await.answers(200).data();
});

contract_test!(case_004_a_token_in_the_header_is_taken, async |larder: Larder| {
    let reply = larder.get(STORES).anonymous().field("Authorization", format!("Bearer {TOKEN}")).await;
    assert!(reply.data()["items"].is_array(), "{reply}");
});

contract_test!(the_scheme_of_the_token_is_read_in_any_letter_case, async |larder: Larder| {
    larder.get(STORES).anonymous().field("Authorization", format!("bearer {TOKEN}")).await.answers(200).data();
});

contract_test!(the_token_of_the_header_wins_over_that_of_the_query, async |larder: Larder| {
    larder.get(format!("{STORES}?token=wrong")).await.answers(200).data();
    larder.get(format!("{STORES}?token={TOKEN}")).token("wrong").await.fails(401, "user-or-token-not-found");
});

contract_test!(case_005_every_error_is_in_the_envelope, async |larder: Larder| {
    let store = larder.new_store().await;
    larder.get(STORES).anonymous().await.fails_with(401);
    larder.get("/v2/nope").await.fails_with(404);
    larder.get("/").await.fails_with(404);
    larder.get(format!("{STORES}/absent")).await.fails_with(404);
    store.get("/records/absent").await.fails_with(404);
    store.get("/keys?limit=x").await.fails_with(400);
    store.put("/records/100%").body("x").await.fails_with(400);
    store.put("").content_type("application/json").body("{").await.fails_with(400);
    store.post("/keys").await.fails_with(405);
    store.put("/records/a").field("Content-Encoding", "zstd").body("x").await.fails_with(415);
    larder.post(format!("{STORES}?name=-")).await.fails_with(400);
});

contract_test!(case_006_an_unknown_path_is_404_page_not_found, async |larder: Larder| {
    let store = larder.new_store().await;
    for path in ["/v2/nope", "/v2", "/v2/", "/v2/key-value-store", "/v2/users"] {
        larder.get(path).await.fails(404, "page-not-found");
    }
    store.get("/nope").await.fails(404, "page-not-found");
    store.get("/records/a/b").await.fails(404, "page-not-found");
    store.put("/records/a/b").body("x").await.fails(404, "page-not-found");
    assert!(store.keys().await.is_empty(), "a path that is no record's wrote one");
});

contract_test!(case_007_a_path_outside_the_api_is_404_in_json, async |larder: Larder| {
    for path in ["/nope", "/v3/key-value-stores", "/V2/key-value-stores", "//v2/key-value-stores"] {
        larder.get(path).await.fails_with(404);
    }
});

contract_test!(case_008_patch_of_a_store_is_405_and_tells_what_is_allowed, async |larder: Larder| {
    let store = larder.new_store().await;
    let reply = larder.request("PATCH", store.path("")).await;
    let message = reply.fails(405, "method-not-allowed");
    for method in ["OPTIONS", "GET", "PUT", "DELETE"] {
        assert!(message.contains(method), "{reply} does not list {method} in its message");
        assert!(reply.expect_field("allow").contains(method), "{reply} does not list {method} in Allow");
    }
    assert!(!reply.expect_field("allow").contains("POST"), "{reply} allows POST: {:?}", reply.fields);
});

contract_test!(case_009_delete_of_the_list_is_405, async |larder: Larder| {
    larder.delete(STORES).await.fails(405, "method-not-allowed");
});

contract_test!(case_010_put_of_all_records_is_405, async |larder: Larder| {
    let store = larder.new_store().await;
    store.put("/records").body("x").await.fails(405, "method-not-allowed");
    store.post("/records").body("x").await.fails(405, "method-not-allowed");
    store.delete("/records").await.fails(405, "method-not-allowed");
});

contract_test!(case_011_options_answers_on_every_route_with_cors, async |larder: Larder| {
    let store = larder.new_store().await;
    let paths = [STORES.to_owned(), store.path(""), store.path("/keys"), store.path("/records")];
    for path in paths.into_iter().chain([store.path("/records/a"), "/v2/users/me".to_owned()]) {
        let reply = larder
            .request("OPTIONS", path)
            .anonymous()
            .field("Origin", "https://shop.example")
            .field("Access-Control-Request-Method", "PUT")
            .field("Access-Control-Request-Headers", "authorization,content-encoding,x-apify-workflow-key")
            .await
            .answers_one_of(&[200, 204]);
        assert_eq!(reply.expect_field("access-control-allow-origin"), "*", "{reply}");
        let methods = reply.expect_field("access-control-allow-methods");
        assert_eq!(methods, "GET,HEAD,POST,PUT,DELETE,OPTIONS", "{reply}");
        let headers = reply.expect_field("access-control-allow-headers");
        assert_eq!(headers, "authorization,content-encoding,x-apify-workflow-key", "{reply}");
        assert_eq!(reply.field("access-control-allow-credentials"), None, "{reply}");
    }
});

contract_test!(every_reply_lets_a_browser_read_it, async |larder: Larder| {
    let store = larder.new_store().await;
    store.put_text("a", "x").await;
    let requests = [larder.get(STORES), store.get(""), store.get("/records/a"), store.get("/records/absent")];
    let ranges = ["bytes=0-0", "bytes=7-"].map(|range| store.get("/records/a").field("Range", range));
    let refused = [larder.get(STORES).anonymous(), larder.get("/v2/nope"), larder.get("/v2/datasets")];
    for request in requests.into_iter().chain(ranges).chain(refused) {
        let reply = request.field("Origin", "https://shop.example").await;
        assert_eq!(reply.expect_field("access-control-allow-origin"), "*", "{reply}");
        let exposed = reply.expect_field("access-control-expose-headers").to_ascii_lowercase();
        let others = ["accept-ranges", "allow", "content-disposition", "content-encoding", "content-range", "etag"];
        let others = others.into_iter().chain(["location", "retry-after", "x-ratelimit-limit", "x-request-id"]);
        for field in others {
            assert!(exposed.split(',').any(|name| name.trim() == field), "{reply} exposes {exposed:?}, not {field}");
        }
        // Response fields that no list names are exposed, too: by any list that has the wildcard.
        assert!(exposed.split(',').any(|name| name.trim() == "*"), "{reply} exposes {exposed:?}");
        assert_eq!(reply.field("access-control-allow-credentials"), None, "{reply}");
    }
});

contract_test!(case_012_the_method_of_the_query_overrides_get, async |larder: Larder| {
    let reply = larder.get(format!("{STORES}?method=POST&name=m1")).await.answers(201);
    assert_eq!(reply.text("name"), "m1", "{reply}");
    let path = format!("{STORES}/{}", reply.text("id"));
    larder.get(format!("{path}?method=DELETE")).await.answers(204);
    larder.get(&path).await.fails(404, "record-not-found");
});

contract_test!(the_method_of_the_query_overrides_nothing_but_get, async |larder: Larder| {
    let store = larder.new_store().await;
    store.put("?method=DELETE").json(&json!({ "title": "still here" })).await.answers(200);
    assert_eq!(store.object().await["title"], "still here", "PUT ?method=DELETE deleted the store");
});

contract_test!(case_013_every_reply_reports_its_rate_limit, async |larder: Larder| {
    let store = larder.new_store().await;
    let requests = [larder.get(STORES), store.get(""), store.get("/keys"), store.get("/records"), store.put("/keys")];
    for request in requests.into_iter().chain([larder.get(STORES).anonymous(), larder.get(format!("{STORES}/none"))]) {
        let reply = request.await;
        assert_eq!(reply.expect_field("x-ratelimit-limit"), "60", "{reply}");
    }
    let requests = [store.put("/records/a").body("x"), store.get("/records/a"), store.head("/records/a")];
    for request in requests.into_iter().chain([store.get("/records/none"), store.delete("/records/a")]) {
        let reply = request.await;
        assert_eq!(reply.expect_field("x-ratelimit-limit"), "200", "{reply}");
    }
});

contract_test!(case_016_a_trailing_slash_does_no_harm, async |larder: Larder| {
    let store = larder.new_store().await;
    larder.get(store.path("/")).await.answers_one_of(&[200, 404]);
    larder.get(format!("{STORES}/")).await.answers_one_of(&[200, 404]);
    larder.get(store.path("/records/")).await.answers_one_of(&[200, 404]);
    larder.delete(store.path("/records/")).await.answers_one_of(&[404, 405]);
    store.object().await;
});

contract_test!(case_017_a_caller_may_get_the_own_user, async |larder: Larder| {
    let me = larder.get("/v2/users/me").await.answers(200);
    assert_eq!(me.text("username"), USERNAME, "{me}");
    let id = me.text("id");
    assert_eq!(larder.get(format!("/v2/users/{id}")).await.answers(200).text("username"), USERNAME);
    larder.get("/v2/users/abcdefghijklmnopq").await.fails(404, "record-not-found");
});

contract_test!(case_018_an_anonymous_caller_gets_no_user, async |larder: Larder| {
    larder.get("/v2/users/me").anonymous().await.fails(401, "token-not-provided");
    larder.get("/v2/users/me").token("wrong").await.fails(401, "user-or-token-not-found");
});

contract_test!(a_broken_escape_in_the_path_is_400, async |larder: Larder| {
    let store = larder.new_store().await;
    for rest in ["/records/100%", "/records/%", "/records/a%2", "/records/%zz", "/records/%ff"] {
        store.put(rest).body("x").await.fails_with(400);
        store.get(rest).await.fails_by_the_client();
    }
    larder.get(format!("{STORES}/%zz")).await.fails_by_the_client();
});

contract_test!(unknown_parameters_are_ignored, async |larder: Larder| {
    let store = larder.new_store().await;
    store.put_text("a", "x").await;
    store.get("?status=SUCCEEDED&origin=API&nonsense&=&&").await.answers(200).data();
    store.get("/keys?status=SUCCEEDED").await.answers(200).data();
    store.get("/records/a?nonsense=1").await.answers(200).holds(b"x");
});

contract_test!(every_reply_carries_an_id_of_its_own, async |larder: Larder| {
    let ids = [larder.get(STORES).await, larder.get(STORES).await, larder.get("/v2/nope").await];
    let ids = ids.map(|reply| reply.expect_field("x-request-id").to_owned());
    assert!(ids.iter().all(|id| !id.is_empty()), "{ids:?}");
    assert!(ids[0] != ids[1] && ids[1] != ids[2] && ids[0] != ids[2], "{ids:?}");
});

contract_test!(one_connection_serves_many_requests, async |larder: Larder| {
    let store = larder.new_store().await;
    let mut connection = larder.connect().await;
    store.put("/records/a").body("first").send_on(&mut connection).await.answers(201);
    store.get("/records/a").send_on(&mut connection).await.answers(200).holds(b"first");
    store.head("/records/a").send_on(&mut connection).await.answers(200);
    store.get("/records/none").send_on(&mut connection).await.fails(404, "record-not-found");
    store.delete("/records/a").send_on(&mut connection).await.answers(204);
    store.get("/keys").send_on(&mut connection).await.answers(200).data();
});
