//! Writing records: what becomes of value, type and coding, and which keys there are. Sizes are a file of their own.

use bytes::Bytes;

use crate::harness::{Larder, PUBLIC_URL, STORES, brotli, deflate, gzip};

contract_test!(case_097_a_put_answers_201_with_location, async |larder: Larder| {
    let store = larder.new_store().await;
    let reply = store.put("/records/a").content_type("text/plain").body("flour").await.answers(201).holds(b"{}");
    assert!(reply.expect_field("content-type").starts_with("application/json"), "{reply}: {:?}", reply.fields);
    let location = format!("{PUBLIC_URL}{}", store.path("/records/a"));
    assert_eq!(reply.expect_field("location"), location, "{reply}");
});

contract_test!(case_098_a_put_replaces_the_value_and_its_type, async |larder: Larder| {
    let store = larder.new_store().await;
    store.put_coded("a", "gzip", gzip(b"a longer value than the next").await).await;
    let reply = store.put("/records/a").content_type("application/json").body("[1]").await.answers(201).holds(b"{}");
    assert!(reply.field("location").is_some(), "{reply} has no Location");
    let record = store.get("/records/a").field("Accept-Encoding", "gzip").await.answers(200).holds(b"[1]");
    assert_eq!(record.expect_field("content-type"), "application/json", "{record}");
    assert_eq!(record.field("content-encoding"), None, "{record} keeps the coding of the old value");
});

contract_test!(case_099_a_post_writes_as_a_put_does, async |larder: Larder| {
    let store = larder.new_store().await;
    let reply = store.post("/records/b").content_type("text/plain").body("salt").await.answers(201).holds(b"{}");
    assert!(reply.expect_field("location").ends_with("/records/b"), "{reply}");
    store.post("/records/b").content_type("text/css").body("pepper").await.answers(201);
    assert_eq!(store.record("b").await.holds(b"pepper").expect_field("content-type"), "text/css");
});

contract_test!(case_100_a_value_of_no_type_is_octets, async |larder: Larder| {
    let store = larder.new_store().await;
    store.put("/records/a").body("x").await.answers(201);
    assert_eq!(store.record("a").await.expect_field("content-type"), "application/octet-stream");
});

contract_test!(case_101_a_type_is_kept_verbatim, async |larder: Larder| {
    let store = larder.new_store().await;
    let types = [
        "text/plain; charset=utf-8",
        "Text/PLAIN;charset=\"UTF-8\"",
        "application/vnd.api+json; profile=\"a b; c\"",
        "multipart/form-data; boundary=--x",
    ];
    for content_type in types {
        store.put_bytes("a", content_type, "x").await;
        let record = store.record("a").await;
        assert_eq!(record.expect_field("content-type"), content_type, "{record}");
    }
});

contract_test!(case_102_a_value_may_be_empty, async |larder: Larder| {
    let store = larder.new_store().await;
    let unannounced = store.put("/records/unannounced").content_type("text/plain; charset=utf-8");
    unannounced.await.answers(201);
    store.put_bytes("sized", "text/plain; charset=utf-8", "").await;
    let chunked = store.put("/records/chunked").content_type("text/plain; charset=utf-8");
    chunked.chunked(Vec::new()).await.answers(201);
    for key in ["unannounced", "sized", "chunked"] {
        let record = store.record(key).await.holds(b"");
        assert_eq!(record.expect_field("content-length"), "0", "{record}");
        assert_eq!(record.expect_field("content-type"), "text/plain; charset=utf-8", "{record}");
    }
});

contract_test!(case_103_a_value_of_unknown_length_is_written_whole, async |larder: Larder| {
    let store = larder.new_store().await;
    let chunks: Vec<Bytes> = (0..300_u32).map(|index| format!("chunk {index};").repeat(50).into()).collect();
    let whole = chunks.concat();
    store.put("/records/a").chunked(chunks).await.answers(201);
    store.record("a").await.holds(&whole);
});

contract_test!(case_104_gzip_is_stored, async |larder: Larder| {
    let store = larder.new_store().await;
    store.put_coded("a", "gzip", gzip(b"flour").await).await;
    store.record("a").await.holds(b"flour");
});

contract_test!(case_105_brotli_and_deflate_are_stored, async |larder: Larder| {
    let store = larder.new_store().await;
    store.put_coded("br", "br", brotli(b"flour").await).await;
    store.put_coded("deflate", "deflate", deflate(b"salt").await).await;
    store.record("br").await.holds(b"flour");
    store.record("deflate").await.holds(b"salt");
});

contract_test!(case_106_identity_is_no_coding, async |larder: Larder| {
    let store = larder.new_store().await;
    store.put_coded("a", "identity", "flour").await;
    let record = store.get("/records/a").field("Accept-Encoding", "gzip, identity").await.answers(200).holds(b"flour");
    assert_eq!(record.field("content-encoding"), None, "{record}");
});

contract_test!(case_107_a_coding_is_read_in_any_letter_case, async |larder: Larder| {
    let store = larder.new_store().await;
    for coding in ["GZIP", "Gzip"] {
        store.put_coded("a", coding, gzip(b"flour").await).await;
        store.record("a").await.holds(b"flour");
    }
});

contract_test!(case_108_an_unknown_coding_is_415, async |larder: Larder| {
    let store = larder.new_store().await;
    store.put_text("a", "old").await;
    for coding in ["bla", "gzip, br"] {
        let reply = store.put("/records/a").field("Content-Encoding", coding).body("new").await;
        let message = reply.fails(415, "unsupported-content-encoding");
        assert!(message.contains(&format!("\"{coding}\"")), "{reply} does not name the coding");
    }
    store.record("a").await.holds(b"old");
});

contract_test!(case_109_zstd_is_415, async |larder: Larder| {
    let store = larder.new_store().await;
    let reply = store.put("/records/a").field("Content-Encoding", "zstd").body("x").await;
    reply.fails(415, "unsupported-content-encoding");
    store.get("/records/a").await.fails(404, "record-not-found");
});

contract_test!(case_110_a_key_has_at_most_256_characters, async |larder: Larder| {
    let store = larder.new_store().await;
    let longest = "k".repeat(256);
    store.put_text(&longest, "x").await;
    store.record(&longest).await.holds(b"x");
    store.put(&format!("/records/{longest}k")).body("x").await.fails(400, "invalid-record-key");
    assert_eq!(store.keys().await, [longest]);
});

contract_test!(case_111_a_key_with_a_strange_character_is_400, async |larder: Larder| {
    let store = larder.new_store().await;
    for key in ["a%20b", "a%3Ab", "a%2Ab", "%C3%A9", "a+b", "a:b", "a*b", "a~b", "a@b", "a%00b", "a%25", "a%3Fb"] {
        let reply = store.put(&format!("/records/{key}")).body("x").await;
        let message = reply.fails(400, "invalid-record-key");
        assert_eq!(message, "Record key contains invalid character", "{reply}");
    }
    assert!(store.keys().await.is_empty());
});

contract_test!(case_112_an_escaped_slash_in_a_key_is_400, async |larder: Larder| {
    let store = larder.new_store().await;
    store.put("/records/a%2Fb").body("x").await.fails(400, "invalid-record-key");
    store.put("/records/%2F").body("x").await.fails(400, "invalid-record-key");
    assert!(store.keys().await.is_empty());
});

contract_test!(case_113_a_key_is_the_same_raw_and_escaped, async |larder: Larder| {
    let store = larder.new_store().await;
    let (raw, escaped) = ("my!key'(v1).json", "my%21key%27%28v1%29.json");
    store.put_text(raw, "raw").await;
    store.record(escaped).await.holds(b"raw");
    store.put_text(escaped, "escaped").await;
    store.record(raw).await.holds(b"escaped");
    assert_eq!(store.keys().await, [raw]);
});

contract_test!(a_key_is_decoded_once, async |larder: Larder| {
    let store = larder.new_store().await;
    store.put("/records/a%2541").body("x").await.fails(400, "invalid-record-key");
    store.put_text("%61%62", "x").await;
    assert_eq!(store.keys().await, ["ab"]);
});

contract_test!(a_query_is_no_part_of_a_key, async |larder: Larder| {
    let store = larder.new_store().await;
    store.put("/records/a?b=c").body("x").await.answers(201);
    assert_eq!(store.keys().await, ["a"]);
});

contract_test!(dots_are_keys_raw_and_escaped, async |larder: Larder| {
    let store = larder.new_store().await;
    for (raw, escaped) in [(".", "%2E"), ("..", "%2e%2E")] {
        store.put_text(raw, "raw").await;
        store.record(escaped).await.holds(b"raw");
        store.put_text(escaped, "escaped").await;
        store.record(raw).await.holds(b"escaped");
    }
    assert_eq!(store.keys().await, [".", ".."]);
    store.delete("/records/..").await.answers(204);
    assert_eq!(store.keys().await, ["."]);
    store.object().await;
});

contract_test!(keys_that_differ_in_letter_case_are_different, async |larder: Larder| {
    let store = larder.new_store().await;
    store.put_text("Key", "upper").await;
    store.put_text("key", "lower").await;
    store.record("Key").await.holds(b"upper");
    store.record("key").await.holds(b"lower");
    store.get("/records/KEY").await.fails(404, "record-not-found");
});

contract_test!(case_114_the_alias_map_of_the_sdk_is_a_key, async |larder: Larder| {
    let store = larder.new_store().await;
    store.put_text("__STORAGE_ALIASES_MAPPING", "{}").await;
    store.record("__STORAGE_ALIASES_MAPPING").await.holds(b"{}");
});

contract_test!(case_115_the_charging_log_of_the_sdk_is_a_key, async |larder: Larder| {
    let store = larder.new_store().await;
    store.put_text("CHARGING_LOG_DATASET_ID", "x").await;
    store.record("CHARGING_LOG_DATASET_ID").await.holds(b"x");
});

contract_test!(case_116_a_put_to_an_unknown_store_is_404, async |larder: Larder| {
    for store in ["abcdefghijklmnopq", "~absent", "short"] {
        let reply = larder.put(format!("{STORES}/{store}/records/a")).body("x").await;
        reply.fails(404, "record-not-found");
    }
});

contract_test!(case_117_a_put_needs_a_token, async |larder: Larder| {
    let store = larder.new_store().await;
    store.put("/records/a").anonymous().body("x").await.fails(401, "token-not-provided");
    store.get("/records/a").await.fails(404, "record-not-found");
});

contract_test!(case_122_json_is_not_checked_without_a_schema, async |larder: Larder| {
    let store = larder.new_store().await;
    store.put_bytes("a", "application/json", "{not json").await;
    store.record("a").await.holds(b"{not json");
});

contract_test!(case_123_null_is_a_value, async |larder: Larder| {
    let store = larder.new_store().await;
    store.put_bytes("a", "application/json; charset=utf-8", "null").await;
    let record = store.record("a").await.holds(b"null");
    assert_eq!(record.expect_field("content-type"), "application/json; charset=utf-8", "{record}");
});

contract_test!(case_124_compressed_html_is_stored, async |larder: Larder| {
    let store = larder.new_store().await;
    let page = "<!doctype html><p>flour</p>".repeat(100);
    let body = brotli(page.as_bytes()).await;
    let request = store.put("/records/page").content_type("text/html").field("Content-Encoding", "br");
    request.body(body).await.answers(201);
    store.record("page").await.holds(page.as_bytes());
});

contract_test!(a_put_may_wait_for_leave_to_send_its_body, async |larder: Larder| {
    let store = larder.new_store().await;
    let put = store.put("/records/a").field("Expect", "100-continue");
    put.body("flour").await.answers(201);
    store.record("a").await.holds(b"flour");
});

contract_test!(a_malformed_type_does_no_harm, async |larder: Larder| {
    let store = larder.new_store().await;
    for content_type in ["nonsense", "/", "text/plain; ;;", "a/b/c"] {
        let reply = store.put("/records/a").content_type(content_type).body("x").await;
        if reply.answers_one_of(&[201, 400]).status == 201 {
            assert_eq!(store.record("a").await.expect_field("content-type"), content_type);
        }
    }
});

contract_test!(an_upload_beside_the_gateway_is_refused, async |larder: Larder| {
    let store = larder.new_store().await;
    store.get("/records/a/direct-upload-url").await.fails(403, "platform-feature-disabled");
    store.get("/records/a%20b/direct-upload-url").await.fails(400, "invalid-record-key");
});
