//! Downloading all records of a store in one archive.

use std::{
    collections::BTreeMap,
    io::{Cursor, Read},
};

use serde_json::json;

use crate::harness::{Larder, Reply, STORES, TOKEN, brotli, gzip};

/// Records of the archive that is longer than a page of keys.
const MANY: usize = 1100;

contract_test!(case_180_an_archive_holds_every_record_decoded, async |larder: Larder| {
    let store = larder.new_store().await;
    let octets: Vec<u8> = (0..=255).cycle().take(300_000).collect();
    store.put_bytes("octets", "image/png", octets.clone()).await;
    store.put_coded("gzip", "gzip", gzip(b"flour").await).await;
    store.put_coded("br", "br", brotli(b"salt").await).await;
    store.put_text("empty", "").await;
    store.put_text("my!key'(v1).json", "{}").await;
    let reply = store.get("/records").await.answers(200);
    assert_eq!(reply.expect_field("content-type"), "application/zip", "{reply}");
    let expected = [
        ("br", b"salt".to_vec()),
        ("empty", Vec::new()),
        ("gzip", b"flour".to_vec()),
        ("my!key'(v1).json", b"{}".to_vec()),
        ("octets", octets),
    ];
    let expected: BTreeMap<String, Vec<u8>> = expected.map(|(key, bytes)| (key.to_owned(), bytes)).into();
    assert!(entries(&reply) == expected, "{reply} holds {:?}", entries(&reply).keys());
});

contract_test!(case_181_an_archive_is_filtered_as_keys_are, async |larder: Larder| {
    let schema = json!({
        "actorKeyValueStoreSchemaVersion": 1,
        "title": "Outputs",
        "collections": {
            "shots": { "title": "Shots", "keyPrefix": "shot-" },
            "report": { "title": "Report", "key": "REPORT" }
        }
    });
    let store = larder.store_with(&json!({ "schema": schema })).await;
    for key in ["a-1", "a-2", "b-1", "shot-1", "REPORT"] {
        store.put_text(key, key).await;
    }
    for (query, keys) in [
        ("prefix=a-", &["a-1", "a-2"][..]),
        ("collection=shots", &["shot-1"]),
        ("collection=report", &["REPORT"]),
        ("collection=shots&prefix=shot-2", &[]),
        ("prefix=nothing", &[]),
    ] {
        let reply = store.get(&format!("/records?{query}")).await.answers(200);
        let entries = entries(&reply);
        assert!(entries.keys().eq(keys), "{reply} holds {:?}", entries.keys());
        assert!(entries.iter().all(|(key, bytes)| key.as_bytes() == bytes), "{reply} holds {entries:?}");
    }
});

contract_test!(case_182_an_empty_store_is_an_empty_archive, async |larder: Larder| {
    let store = larder.new_store().await;
    let reply = store.get("/records").await.answers(200);
    assert!(entries(&reply).is_empty(), "{reply}");
});

contract_test!(case_183_an_archive_needs_a_token, async |larder: Larder| {
    let store = larder.new_store().await;
    store.get("/records").anonymous().await.answers_one_of(&[401, 403]).fails_by_the_client();
    larder.get(format!("{STORES}/abcdefghijklmnopq/records")).await.fails(404, "record-not-found");
});

contract_test!(an_archive_goes_on_behind_the_first_page_of_keys, async |larder: Larder| {
    let store = larder.new_store().await;
    let mut connection = larder.connect().await;
    for index in 0..MANY {
        let put = store.put(&format!("/records/key-{index}")).body(index.to_string());
        put.send_on(&mut connection).await.answers(201);
    }
    let reply = store.get("/records").await.answers(200);
    let entries = entries(&reply);
    assert_eq!(entries.len(), MANY, "{reply}");
    for index in [0, 1, 999, 1000, 1099] {
        assert_eq!(entries[&format!("key-{index}")], index.to_string().as_bytes());
    }
});

contract_test!(keys_that_look_like_paths_stay_inside_the_archive, async |larder: Larder| {
    let store = larder.new_store().await;
    for key in [".", ".."] {
        store.put_text(key, "x").await;
    }
    store.put_text("a", "x").await;
    let reply = store.get("/records").await.answers(200);
    let archive = zip::ZipArchive::new(Cursor::new(reply.body.to_vec())).expect("it is an archive");
    assert!(archive.file_names().any(|name| name.is_ok_and(|name| name == "a")), "{reply}");
});

contract_test!(an_archive_of_damaged_records_never_looks_whole, async |larder: Larder| {
    let store = larder.new_store().await;
    store.put_text("a", "flour").await;
    store.put_coded("b", "gzip", "no gzip at all").await;
    let mut connection = larder.connect().await;
    let path = store.path("/records");
    let head = format!("GET {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\nConnection: close\r\n\r\n");
    connection.write(head.as_bytes()).await.expect("the head is taken");
    if let Ok(reply) = connection.read_reply("GET of an archive of damaged records", "GET").await {
        reply.fails(500, "internal-server-error");
    }
});

fn entries(reply: &Reply) -> BTreeMap<String, Vec<u8>> {
    let mut archive = zip::ZipArchive::new(Cursor::new(reply.body.to_vec()))
        .unwrap_or_else(|error| panic!("{reply} is no archive: {error}"));
    (0..archive.len())
        .map(|index| {
            let mut file = archive.by_index(index).unwrap_or_else(|error| panic!("{reply}, entry {index}: {error}"));
            let name = file.name().unwrap_or_else(|error| panic!("{reply}, entry {index}: {error}")).into_owned();
            let mut bytes = Vec::new();
            file.read_to_end(&mut bytes).unwrap_or_else(|error| panic!("{reply}, {name}: {error}"));
            (name, bytes)
        })
        .collect()
}

contract_test!(an_archive_has_the_records_that_are_named_and_no_others, async |larder: Larder| {
    let store = larder.new_store().await;
    for key in ["a", "b", "c"] {
        store.put_text(key, key).await;
    }
    let reply = store.get("/records?keys=c,a,c,absent").await.answers(200);
    let entries = entries(&reply);
    assert!(entries.keys().eq(["a", "c"]), "{reply} holds {:?}", entries.keys());
    store.get("/records?keys=a,b%2Fc").await.fails(400, "invalid-record-key");
    let many: Vec<String> = (0..1001).map(|number| number.to_string()).collect();
    store.get(&format!("/records?keys={}", many.join(","))).await.fails(400, "invalid-parameter");
});
