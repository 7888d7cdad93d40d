//! Making stores: by name or without one, with every kind of body that clients send.

use serde_json::json;

use crate::harness::{Larder, PUBLIC_URL, STORES, brotli, gzip};

/// Maximum number of bytes of a JSON body, once decoded (the platform's limit).
const MAX_JSON_BYTES: usize = 9_437_184;

contract_test!(case_019_a_store_without_a_name_gets_an_id, async |larder: Larder| {
    let reply = larder.post(STORES).await.answers(201);
    let id = reply.text("id");
    assert!(id.len() == 17 && id.bytes().all(|byte| byte.is_ascii_alphanumeric()), "{reply}");
    assert!(reply.data()["name"].is_null(), "{reply}");
});

contract_test!(case_020_the_location_of_a_new_store_is_public, async |larder: Larder| {
    let reply = larder.post(STORES).await.answers(201);
    assert_eq!(reply.expect_field("location"), format!("{PUBLIC_URL}{STORES}/{}", reply.text("id")), "{reply}");
});

contract_test!(case_021_stores_without_a_name_are_never_the_same, async |larder: Larder| {
    let first = larder.post(STORES).await.answers(201).text("id");
    assert_ne!(larder.post(STORES).await.answers(201).text("id"), first);
});

contract_test!(case_022_a_free_name_makes_a_store, async |larder: Larder| {
    let reply = larder.post(format!("{STORES}?name=shop")).await.answers(201);
    assert_eq!(reply.text("name"), "shop", "{reply}");
});

contract_test!(case_023_a_name_that_is_taken_gives_the_store_that_has_it, async |larder: Larder| {
    let first = larder.post(format!("{STORES}?name=shop")).await.answers(201).text("id");
    assert_eq!(larder.post(format!("{STORES}?name=shop")).await.answers(200).text("id"), first);
});

contract_test!(case_024_names_differ_in_more_than_letter_case, async |larder: Larder| {
    let first = larder.post(format!("{STORES}?name=shop")).await.answers(201).text("id");
    let again = larder.post(format!("{STORES}?name=SHOP")).await.answers(200);
    assert_eq!(again.text("id"), first, "{again}");
    assert_eq!(again.text("name"), "shop", "{again}");
    let capital = larder.post(format!("{STORES}?name=Capital-A1")).await.answers(201);
    assert_eq!(capital.text("name"), "Capital-A1", "{capital} does not keep the name as it was given");
});

contract_test!(getting_a_store_by_its_name_leaves_it_as_it_is, async |larder: Larder| {
    let schema = json!({ "actorKeyValueStoreSchemaVersion": 1, "title": "None", "collections": {} });
    larder.post(format!("{STORES}?name=shop")).await.answers(201);
    let again = larder.post(format!("{STORES}?name=shop")).json(&json!({ "schema": schema })).await.answers(200);
    assert!(again.data()["schema"].is_null(), "{again}");
});

contract_test!(case_026_an_empty_form_makes_a_store, async |larder: Larder| {
    let form = larder.post(STORES).content_type("application/x-www-form-urlencoded");
    form.body("").await.answers(201).data();
});

contract_test!(case_027_an_empty_object_makes_a_store, async |larder: Larder| {
    larder.post(STORES).json(&json!({})).await.answers(201).data();
});

contract_test!(case_028_a_schema_is_given_back_as_it_came, async |larder: Larder| {
    let schema = schema();
    let made = larder.post(STORES).json(&json!({ "schema": schema })).await.answers(201);
    assert_eq!(made.data()["schema"], schema, "{made}");
    let path = format!("{STORES}/{}", made.text("id"));
    assert_eq!(larder.get(path).await.data()["schema"], schema);
});

contract_test!(case_029_a_brotli_body_is_decoded, async |larder: Larder| {
    let body = brotli(json!({ "schema": schema() }).to_string().as_bytes()).await;
    let request = larder.post(STORES).content_type("application/json").field("Content-Encoding", "br");
    assert_eq!(request.body(body).await.answers(201).data()["schema"], schema());
});

contract_test!(case_030_a_gzip_body_is_decoded, async |larder: Larder| {
    let body = gzip(json!({ "schema": schema() }).to_string().as_bytes()).await;
    let request = larder.post(STORES).content_type("application/json").field("Content-Encoding", "gzip");
    assert_eq!(request.body(body).await.answers(201).data()["schema"], schema());
});

contract_test!(a_body_that_is_not_in_its_coding_is_400, async |larder: Larder| {
    let request = larder.post(STORES).content_type("application/json").field("Content-Encoding", "gzip");
    request.body("{}").await.fails_with(400);
});

contract_test!(an_unknown_coding_is_415, async |larder: Larder| {
    let request = larder.post(STORES).content_type("application/json").field("Content-Encoding", "zstd");
    request.body("{}").await.fails(415, "unsupported-content-encoding");
});

contract_test!(case_031_a_body_that_is_no_object_is_400, async |larder: Larder| {
    for body in ["[1]", "1", "\"x\"", "true"] {
        let reply = larder.post(STORES).content_type("application/json").body(body).await;
        reply.fails(400, "invalid-request");
    }
});

contract_test!(case_032_a_body_that_is_not_json_is_400, async |larder: Larder| {
    for body in ["{", "nonsense", "{\"a\":1,}", "\u{1}"] {
        let reply = larder.post(STORES).content_type("application/json").body(body).await;
        reply.fails(400, "invalid-request");
    }
});

contract_test!(case_033_a_body_above_the_limit_is_413, async |larder: Larder| {
    let whole = format!("{{\"unknown\":\"{}\"}}", "x".repeat(MAX_JSON_BYTES - 13));
    assert_eq!(whole.len(), MAX_JSON_BYTES + 1);
    let reply = larder.post(STORES).content_type("application/json").body(whole.clone()).await;
    let message = reply.fails(413, "request-too-large");
    assert!(message.contains(&MAX_JSON_BYTES.to_string()), "{reply} does not tell the limit");

    let request = larder.post(STORES).content_type("application/json").field("Content-Encoding", "br");
    request.body(brotli(whole.as_bytes()).await).await.fails(413, "request-too-large");

    let within = whole.replacen('x', "", 1);
    larder.post(STORES).content_type("application/json").body(within).await.answers(201).data();
});

contract_test!(case_034_a_name_with_a_strange_character_is_400, async |larder: Larder| {
    for name in ["my_store", "a.b", "a%20b", "a%2Fb", "a~b", "%C3%A9", "a%00"] {
        let reply = larder.post(format!("{STORES}?name={name}")).await;
        let message = reply.fails(400, "invalid-value");
        assert!(message.contains("name can only contain letters"), "{reply}");
    }
});

contract_test!(case_035_a_name_with_a_hyphen_at_an_end_is_400, async |larder: Larder| {
    for name in ["-a", "a-", "-", "--"] {
        larder.post(format!("{STORES}?name={name}")).await.fails(400, "invalid-value");
    }
});

contract_test!(case_036_a_name_has_at_most_63_characters, async |larder: Larder| {
    let longest = "n".repeat(63);
    assert_eq!(larder.post(format!("{STORES}?name={longest}")).await.answers(201).text("name"), longest);
    larder.post(format!("{STORES}?name={longest}n")).await.fails(400, "invalid-value");
});

contract_test!(case_037_a_name_may_be_one_character, async |larder: Larder| {
    assert_eq!(larder.post(format!("{STORES}?name=a")).await.answers(201).text("name"), "a");
});

contract_test!(case_038_a_name_may_look_like_an_id_and_is_none, async |larder: Larder| {
    let name = "d7b9MDYsbtX5L7XAj";
    let reply = larder.post(format!("{STORES}?name={name}")).await.answers(201);
    assert_ne!(reply.text("id"), name, "{reply}");
    larder.get(format!("{STORES}/{name}")).await.fails(404, "record-not-found");
    larder.get(format!("{STORES}/~{name}")).await.answers(200).data();
});

contract_test!(case_039_making_a_store_needs_a_token, async |larder: Larder| {
    larder.post(STORES).anonymous().await.fails(401, "token-not-provided");
    larder.post(format!("{STORES}?name=shop")).anonymous().await.fails(401, "token-not-provided");
    larder.get(format!("{STORES}/~shop")).await.fails(404, "record-not-found");
});

contract_test!(case_041_a_new_store_is_returned_in_full, async |larder: Larder| {
    let reply = larder.post(format!("{STORES}?name=shop")).await.answers(201);
    let (id, me) = (reply.text("id"), larder.get("/v2/users/me").await.data());
    assert!(!reply.text("urlSigningSecretKey").is_empty(), "{reply}");
    assert!(reply.text("keysPublicUrl").starts_with(&format!("{PUBLIC_URL}{STORES}/{id}/keys")), "{reply}");
    assert_eq!(reply.text("generalAccess"), "FOLLOW_USER_SETTING", "{reply}");
    for date in ["createdAt", "modifiedAt", "accessedAt"] {
        let text = reply.text(date);
        assert!(text.len() == 24 && text.ends_with('Z') && text.as_bytes()[19] == b'.', "{reply}: {date}");
    }
    let data = reply.data();
    assert_eq!((&data["userId"], &data["username"]), (&me["id"], &me["username"]), "{reply}");
    let again = larder.post(format!("{STORES}?name=shop")).await.answers(200);
    assert_eq!(again.text("urlSigningSecretKey"), reply.text("urlSigningSecretKey"), "{again}");
});

contract_test!(a_body_of_unknown_length_makes_a_store, async |larder: Larder| {
    let chunks = vec!["{\"na".into(), "me\":\"shop\"}".into()];
    let reply = larder.post(STORES).content_type("application/json").chunked(chunks).await.answers(201);
    assert_eq!(reply.text("name"), "shop", "{reply} does not take the name of the body");
});

contract_test!(an_empty_name_is_none, async |larder: Larder| {
    let first = larder.post(format!("{STORES}?name=")).await.answers(201);
    assert!(first.data()["name"].is_null(), "{first}");
    assert_ne!(larder.post(format!("{STORES}?name=")).await.answers(201).text("id"), first.text("id"));
});

contract_test!(unknown_members_are_ignored, async |larder: Larder| {
    let body = json!({ "somethingNew": { "deep": [1, 2, 3] }, "name": "shop" });
    assert_eq!(larder.post(STORES).json(&body).await.answers(201).text("name"), "shop");
});

fn schema() -> serde_json::Value {
    json!({
        "actorKeyValueStoreSchemaVersion": 1,
        "title": "Outputs",
        "description": "In the order that it came in",
        "collections": {
            "shots": { "title": "Shots", "keyPrefix": "shot-", "contentTypes": ["image/png"] },
            "report": { "title": "Report", "key": "REPORT" }
        }
    })
}

contract_test!(a_new_store_has_the_title_that_it_is_made_with, async |larder: Larder| {
    let made = larder.post(format!("{STORES}?name=shop")).json(&json!({ "title": "Flour & Salt" })).await.answers(201);
    assert_eq!(made.text("title"), "Flour & Salt");
    let found = larder.post(format!("{STORES}?name=shop")).json(&json!({ "title": "Sugar" })).await.answers(200);
    assert_eq!(found.text("title"), "Flour & Salt", "a store that is there stays as it is");
    let found = larder.get(format!("{STORES}?search=flour")).await.answers(200).texts_of_items("id");
    assert_eq!(found, [made.text("id")]);
    assert_eq!(
        larder.post(STORES).json(&json!({ "title": null })).await.answers(201).data()["title"],
        serde_json::Value::Null
    );
    larder.post(STORES).json(&json!({ "title": "x".repeat(1001) })).await.fails(400, "invalid-value");
});
