//! Downloading all records of a store in one archive.

use std::{
    collections::BTreeMap,
    io::{Cursor, Read},
};

use async_compression::tokio::bufread::DeflateDecoder;
use serde_json::json;
use tokio::io::AsyncReadExt;

use crate::harness::{Larder, Reply, STORES, brotli, gzip};

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

contract_test!(a_record_that_is_not_in_its_coding_goes_into_an_archive_as_it_is_stored, async |larder: Larder| {
    let store = larder.new_store().await;
    let flour = gzip(&vec![b'f'; 100_000]).await;
    let cut = flour[..flour.len() - 4].to_vec();
    store.put_text("a", "salt").await;
    store.put_coded("b", "gzip", r#"{"a":1}"#).await;
    store.put_coded("c", "gzip", cut.clone()).await;
    store.put_coded("d", "br", "no brotli at all").await;
    store.put_coded("e", "gzip", flour).await;
    let reply = store.get("/records").await.answers(200);
    let expected = [
        ("a", b"salt".to_vec()),
        ("b", br#"{"a":1}"#.to_vec()),
        ("c", cut),
        ("d", b"no brotli at all".to_vec()),
        ("e", vec![b'f'; 100_000]),
    ];
    let expected: BTreeMap<String, Vec<u8>> = expected.map(|(key, bytes)| (key.to_owned(), bytes)).into();
    assert!(entries(&reply) == expected, "{reply} holds {:?}", entries(&reply).keys());
    for (key, comment) in comments(&reply) {
        let is_told = comment.contains("as it is stored") && comment.contains("cannot be decoded as ");
        assert_eq!(is_told, ["b", "c", "d"].contains(&key.as_str()), "{key}: {comment}");
    }
});

contract_test!(a_large_record_that_breaks_off_is_followed_by_what_is_stored, async |larder: Larder| {
    let store = larder.new_store().await;
    // More than is looked at beforehand, and cut off before its last block.
    let cut = uncompressed_gzip(80);
    assert!(cut.len() > 5 * 1024 * 1024);
    store.put_coded("a", "gzip", cut.clone()).await;
    store.put_text("b", "salt").await;
    let reply = store.get("/records").await.answers(200);
    let entries = entries(&reply);
    assert!(entries.keys().eq(["a", "as-stored/a", "b"]), "{:?}", entries.keys());
    assert!(entries["a"].len() > 5_000_000 && entries["a"].iter().all(|byte| *byte == 0), "{}", entries["a"].len());
    assert!(entries["as-stored/a"] == cut && entries["b"] == b"salt", "{}", entries["as-stored/a"].len());
    let comments = comments(&reply);
    assert!(comments["as-stored/a"].contains("a is not all of it"), "{comments:?}");
    let lengths: Vec<_> = streamed(&reply.body).await.into_iter().map(|entry| (entry.name, entry.is_zip64)).collect();
    let expected = [("a", true), ("as-stored/a", false), ("b", false)];
    assert_eq!(lengths, expected.map(|(name, is_zip64)| (name.to_owned(), is_zip64)));
});

contract_test!(an_archive_can_be_read_as_it_comes, async |larder: Larder| {
    let store = larder.new_store().await;
    let octets: Vec<u8> = (0..=255).cycle().take(300_000).collect();
    store.put_text("empty", "").await;
    store.put_coded("gzip", "gzip", gzip(b"flour").await).await;
    store.put_bytes("octets", "image/png", octets.clone()).await;
    store.put_coded("zeros", "br", brotli(&vec![0; 300_000]).await).await;
    let reply = store.get("/records").await.answers(200);
    let streamed = streamed(&reply.body).await;
    let expected =
        [("empty", Vec::new()), ("gzip", b"flour".to_vec()), ("octets", octets), ("zeros", vec![0; 300_000])];
    assert_eq!(streamed.len(), expected.len());
    for (entry, (name, bytes)) in streamed.iter().zip(expected) {
        assert!(entry.name == name && entry.bytes == bytes && !entry.is_zip64, "{name}: {entry:?}");
    }
    // Of what repeats, no more is sent than has to be.
    assert!(reply.body.len() < 10_000, "{}", reply.body.len());
});

/// Returns a body in the coding `gzip`: so many blocks of 65,535 zeros each, as they are, and no end.
fn uncompressed_gzip(blocks: usize) -> Vec<u8> {
    let head = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];
    let block = [0, 0xff, 0xff, 0, 0].into_iter().chain(std::iter::repeat_n(0, 0xffff));
    head.into_iter().chain(std::iter::repeat_with(|| block.clone()).take(blocks).flatten()).collect()
}

/// An entry of an archive, as a streaming reader without the directory finds it.
#[derive(Debug)]
struct Streamed {
    name: String,
    bytes: Vec<u8>,
    is_zip64: bool,
}

/// Reads an archive as it comes (APPNOTE 4.3.7 to 4.3.9): the end of an entry is where its data ends, since its lengths
/// follow it.
async fn streamed(mut archive: &[u8]) -> Vec<Streamed> {
    let mut entries = Vec::new();
    while let Some(head) = archive.strip_prefix(b"PK\x03\x04") {
        let short = |at: usize| u16::from_le_bytes([head[at], head[at + 1]]);
        assert_eq!((short(2) & 8, short(4)), (8, 8), "deflated, and its lengths behind it");
        let (name, extra) = (usize::from(short(22)), usize::from(short(24)));
        let name_end = 26 + name;
        let is_zip64 = head[name_end..name_end + extra].starts_with(&[1, 0]);
        let mut decoder = DeflateDecoder::new(&head[name_end + extra..]);
        let mut bytes = Vec::new();
        decoder.read_to_end(&mut bytes).await.expect("it is deflated");
        let descriptor = decoder.into_inner().strip_prefix(b"PK\x07\x08").expect("a data descriptor");
        let length = if is_zip64 { 8 } else { 4 };
        let mut whole = [0; 8];
        whole[..length].copy_from_slice(&descriptor[4 + length..4 + 2 * length]);
        assert_eq!(u64::from_le_bytes(whole), bytes.len() as u64, "the length of an entry");
        archive = &descriptor[4 + 2 * length..];
        let name = String::from_utf8(head[26..name_end].to_vec()).expect("a name in UTF-8");
        entries.push(Streamed { name, bytes, is_zip64 });
    }
    assert!(archive.starts_with(b"PK\x01\x02") || archive.starts_with(b"PK\x05\x06"), "the directory follows");
    entries
}

fn comments(reply: &Reply) -> BTreeMap<String, String> {
    let mut archive = zip::ZipArchive::new(Cursor::new(reply.body.to_vec())).expect("it is an archive");
    let entries = 0..archive.len();
    let comment = |index| {
        let file = archive.by_index(index).expect("an entry");
        (file.name().expect("a name").into_owned(), file.comment().to_owned())
    };
    entries.map(comment).collect()
}

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
