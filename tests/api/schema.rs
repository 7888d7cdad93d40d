//! Stores with a schema: what may be written, and which keys are a collection's.

use serde_json::json;

use crate::harness::{Larder, STORES, Store, brotli, deflate, gzip};

contract_test!(case_184_a_type_that_the_collection_does_not_have_is_400, async |larder: Larder| {
    let store = store_with_schema(&larder).await;
    let reply = store.put("/records/shot-1").content_type("text/plain").body("x").await;
    reply.fails(400, "schema-validation-error");
    store.put("/records/shot-1").body("x").await.fails(400, "schema-validation-error");
    store.get("/records/shot-1").await.fails(404, "record-not-found");
    assert!(store.keys().await.is_empty());
});

contract_test!(case_185_a_type_of_the_collection_is_written, async |larder: Larder| {
    let store = store_with_schema(&larder).await;
    store.put_bytes("shot-1", "image/png", "png").await;
    store.put_bytes("shot-2", "Image/JPEG; q=1", "jpeg").await;
    store.record("shot-1").await.holds(b"png");
    let refused = store.put("/records/shot-1").content_type("text/plain").body("x").await;
    refused.fails(400, "schema-validation-error");
    store.record("shot-1").await.holds(b"png");
});

contract_test!(case_186_json_is_held_to_the_schema_in_every_coding, async |larder: Larder| {
    let store = store_with_schema(&larder).await;
    let (good, bad) = (br#"{"ok": true}"#, br#"{"ok": "perhaps"}"#);
    let put = || store.put("/records/REPORT").content_type("application/json; charset=utf-8");
    for bytes in [&bad[..], b"{}", b"[]", b"{", b""] {
        put().body(bytes).await.fails(400, "schema-validation-error");
    }
    put().chunked(vec![bad[..5].into(), bad[5..].into()]).await.fails(400, "schema-validation-error");
    put().field("Content-Encoding", "gzip").body(gzip(bad).await).await.fails(400, "schema-validation-error");
    store.get("/records/REPORT").await.fails(404, "record-not-found");

    put().body(&good[..]).await.answers(201);
    put().chunked(vec![good[..5].into(), good[5..].into()]).await.answers(201);
    store.record("REPORT").await.holds(good);
    let coded = [("gzip", gzip(good).await), ("br", brotli(good).await), ("deflate", deflate(good).await)];
    for (coding, bytes) in coded {
        put().field("Content-Encoding", coding).body(bytes.clone()).await.answers(201);
        store.record("REPORT").await.holds(good);
        let raw = store.get("/records/REPORT").field("Accept-Encoding", coding).await.answers(200);
        assert_eq!(raw.holds(&bytes).expect_field("content-encoding"), coding);
    }
});

contract_test!(a_body_that_is_not_in_its_coding_is_400_under_a_schema, async |larder: Larder| {
    let store = store_with_schema(&larder).await;
    let put = store.put("/records/REPORT").content_type("application/json").field("Content-Encoding", "gzip");
    put.body("{\"ok\": true}").await.fails_with(400);
    store.get("/records/REPORT").await.fails(404, "record-not-found");
});

contract_test!(a_type_other_than_json_is_not_a_report, async |larder: Larder| {
    let store = store_with_schema(&larder).await;
    let reply = store.put("/records/REPORT").content_type("text/plain").body("{\"ok\": true}").await;
    reply.fails(400, "schema-validation-error");
});

contract_test!(case_187_a_key_of_no_collection_is_free, async |larder: Larder| {
    let store = store_with_schema(&larder).await;
    store.put_bytes("elsewhere", "application/json", "{nonsense").await;
    store.put_bytes("sho", "text/plain", "x").await;
    store.put_bytes("REPORT2", "text/plain", "x").await;
    store.record("elsewhere").await.holds(b"{nonsense");
});

contract_test!(a_schema_that_is_none_is_400, async |larder: Larder| {
    let schemas = [
        json!("x"),
        json!([]),
        json!({ "title": "No version", "collections": {} }),
        json!({ "actorKeyValueStoreSchemaVersion": 2, "title": "Tomorrow's", "collections": {} }),
        json!({ "actorKeyValueStoreSchemaVersion": 1, "collections": {} }),
        with_collection(&json!({ "title": "Neither key nor prefix" })),
        with_collection(&json!({ "title": "Both", "key": "a", "keyPrefix": "a" })),
        with_collection(&json!({ "key": "no-title" })),
        with_collection(&json!({ "title": "A schema that is none", "key": "a", "jsonSchema": { "type": 7 } })),
        with_collection(&json!({ "title": "Elsewhere", "key": "a", "jsonSchema": { "$ref": "http://x.test/s" } })),
        with_collection(&json!({ "title": "A file", "key": "a", "jsonSchema": { "$ref": "file:///etc/passwd" } })),
    ];
    for schema in schemas {
        let reply = larder.post(format!("{STORES}?name=shop")).json(&json!({ "schema": schema })).await;
        assert_eq!(reply.status, 400, "{reply} for {schema}");
        reply.fails_with(400);
    }
    larder.get(format!("{STORES}/~shop")).await.fails(404, "record-not-found");
});

contract_test!(a_collection_selects_keys_with_the_other_filters, async |larder: Larder| {
    let store = store_with_schema(&larder).await;
    for key in ["shot-1", "shot-10", "shot-2"] {
        store.put_bytes(key, "image/png", "x").await;
    }
    store.put_text("shop", "x").await;
    for (query, keys) in [
        ("collection=shots", &["shot-1", "shot-10", "shot-2"][..]),
        ("collection=shots&prefix=shot-1", &["shot-1", "shot-10"]),
        ("collection=shots&prefix=s", &["shot-1", "shot-10", "shot-2"]),
        ("collection=shots&prefix=x", &[]),
        ("collection=shots&exclusiveStartKey=shot-1", &["shot-10", "shot-2"]),
        ("collection=shots&exclusiveStartKey=a", &["shot-1", "shot-10", "shot-2"]),
        ("collection=shots&exclusiveStartKey=z", &[]),
        ("collection=report", &[]),
    ] {
        let page = store.get(&format!("/keys?{query}")).await.answers(200);
        assert_eq!(page.texts_of_items("key"), keys, "{page}");
        assert!(page.data()["nextExclusiveStartKey"].is_null(), "{page}");
    }
});

fn with_collection(collection: &serde_json::Value) -> serde_json::Value {
    json!({ "actorKeyValueStoreSchemaVersion": 1, "title": "Outputs", "collections": { "one": collection } })
}

async fn store_with_schema(larder: &Larder) -> Store {
    let schema = json!({
        "actorKeyValueStoreSchemaVersion": 1,
        "title": "Outputs",
        "collections": {
            "shots": { "title": "Shots", "keyPrefix": "shot-", "contentTypes": ["image/png", "image/jpeg"] },
            "report": {
                "title": "Report",
                "key": "REPORT",
                "contentTypes": ["application/json"],
                "jsonSchema": { "type": "object", "required": ["ok"], "properties": { "ok": { "type": "boolean" } } }
            }
        }
    });
    larder.store_with(&json!({ "schema": schema })).await
}
