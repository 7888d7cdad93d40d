//! Reading records: bytes, types, dispositions, and what HEAD says. Codings, conditions and parts are files of their
//! own.

use crate::harness::{Larder, STORES};

contract_test!(case_126_a_record_is_given_as_it_was_stored, async |larder: Larder| {
    let store = larder.new_store().await;
    let bytes: Vec<u8> = (0..=255).cycle().take(10_000).collect();
    store.put_bytes("a", "image/png", bytes.clone()).await;
    let record = store.get("/records/a").await.answers(200).holds(&bytes);
    assert_eq!(record.expect_field("content-type"), "image/png", "{record}");
});

contract_test!(case_127_a_record_is_given_as_an_attachment_when_asked_for, async |larder: Larder| {
    let store = larder.new_store().await;
    store.put_bytes("report.pdf", "application/pdf", "x").await;
    for value in ["true", "1", "True"] {
        let record = store.get(&format!("/records/report.pdf?attachment={value}")).await.answers(200).holds(b"x");
        let disposition = record.expect_field("content-disposition");
        assert!(disposition.starts_with("attachment"), "{record}: {disposition}");
    }
});

contract_test!(the_file_name_of_an_attachment_is_the_key, async |larder: Larder| {
    let store = larder.new_store().await;
    store.put_text("my!key'(v1).json", "x").await;
    let record = store.get("/records/my!key'(v1).json?attachment=1").await.answers(200);
    let disposition = record.expect_field("content-disposition");
    assert!(disposition.contains("my!key'(v1).json"), "{record}: {disposition}");
});

contract_test!(case_128_a_record_is_no_attachment_unasked, async |larder: Larder| {
    let store = larder.new_store().await;
    store.put_text("a", "x").await;
    for query in ["", "?attachment=false", "?attachment=0"] {
        let record = store.get(&format!("/records/a{query}")).await.answers(200);
        let disposition = record.field("content-disposition").unwrap_or_default();
        assert!(!disposition.starts_with("attachment"), "{record}: {disposition}");
    }
});

contract_test!(case_129_an_absent_record_is_404, async |larder: Larder| {
    let store = larder.new_store().await;
    store.get("/records/absent").await.fails(404, "record-not-found");
    store.get("/records/absent?attachment=true").await.fails(404, "record-not-found");
    larder.get(format!("{STORES}/abcdefghijklmnopq/records/a")).await.fails(404, "record-not-found");
});

contract_test!(case_130_what_can_be_no_key_is_blamed_on_the_client, async |larder: Larder| {
    let store = larder.new_store().await;
    for key in ["a%20b", "a%2Fb", "%C3%A9", "100%", &"k".repeat(257), &"k".repeat(5000)] {
        let reply = store.get(&format!("/records/{key}")).await.answers_one_of(&[400, 404]);
        reply.fails_by_the_client();
        store.head(&format!("/records/{key}")).await.answers_one_of(&[400, 404]).holds(b"");
    }
});

contract_test!(case_137_a_plain_record_is_readable_for_clients_that_accept_gzip, async |larder: Larder| {
    let store = larder.new_store().await;
    store.put_text("a", &"flour ".repeat(1000)).await;
    let record = store.get("/records/a").field("Accept-Encoding", "gzip").await.answers(200);
    let bytes = match record.field("content-encoding") {
        None => record.body.to_vec(),
        Some("gzip") => crate::harness::gunzip(&record.body).await,
        Some(other) => panic!("{record} is in the coding {other}"),
    };
    assert_eq!(bytes, "flour ".repeat(1000).as_bytes(), "{record}");
});

contract_test!(case_146_an_old_parameter_is_ignored, async |larder: Larder| {
    let store = larder.new_store().await;
    store.put_text("a", "x").await;
    store.get("/records/a?disableRedirect=1").await.answers(200).holds(b"x");
});

contract_test!(case_147_head_says_what_get_would, async |larder: Larder| {
    let store = larder.new_store().await;
    store.put_bytes("a", "application/json; charset=utf-8", "{\"a\": 1}").await;
    let head = store.head("/records/a?attachment=true").await.answers(200).holds(b"");
    let get = store.get("/records/a?attachment=true").await.answers(200);
    let names = ["content-type", "content-length", "content-encoding", "content-disposition", "etag", "last-modified"];
    for name in names {
        assert_eq!(head.field(name), get.field(name), "{name} of {head}");
    }
    assert_eq!(head.expect_field("content-length"), "8", "{head}");
});

contract_test!(case_148_head_of_an_absent_record_is_404_without_a_body, async |larder: Larder| {
    let store = larder.new_store().await;
    store.head("/records/absent").await.answers(404).holds(b"");
});

contract_test!(case_149_head_in_an_absent_store_is_404_without_a_body, async |larder: Larder| {
    for store in ["abcdefghijklmnopq", "~absent"] {
        larder.head(format!("{STORES}/{store}/records/a")).await.answers(404).holds(b"");
    }
});

contract_test!(head_takes_the_token_of_the_query, async |larder: Larder| {
    let store = larder.new_store().await;
    store.put_text("a", "x").await;
    store.head(&format!("/records/a?token={}", crate::harness::TOKEN)).anonymous().await.answers(200);
    store.head("/records/a").anonymous().await.answers_one_of(&[401, 403]);
});

contract_test!(case_150_nothing_is_not_modified_unasked, async |larder: Larder| {
    let store = larder.new_store().await;
    store.put_text("a", "x").await;
    for _ in 0..3 {
        store.get("/records/a").await.answers(200).holds(b"x");
        store.head("/records/a").await.answers(200);
    }
});

contract_test!(case_151_the_length_is_that_of_the_bytes, async |larder: Larder| {
    let store = larder.new_store().await;
    for length in [0_usize, 1, 1024, 65_535, 65_536, 1 << 20] {
        store.put_bytes("a", "text/plain", vec![b'x'; length]).await;
        let record = store.record("a").await;
        assert_eq!(record.body.len(), length, "{record}");
        assert_eq!(record.expect_field("content-length"), length.to_string(), "{record}");
    }
});

contract_test!(case_152_a_read_sees_the_write_before_it, async |larder: Larder| {
    let store = larder.new_store().await;
    let (mut writer, mut reader) = (larder.connect().await, larder.connect().await);
    for round in 0..50 {
        let value = format!("round {round}");
        store.put("/records/a").body(value.clone()).send_on(&mut writer).await.answers(201);
        store.get("/records/a").send_on(&mut reader).await.answers(200).holds(value.as_bytes());
        let sizes = store.get("/keys").send_on(&mut reader).await.data();
        assert_eq!(sizes["items"][0]["size"], value.len(), "{sizes}");
    }
});

contract_test!(a_record_is_seen_by_a_gateway_that_starts_later, async |larder: Larder| {
    let store = larder.named_store("shop").await;
    store.put_coded("a", "gzip", crate::harness::gzip(b"flour").await).await;
    let later = larder.restarted().await;
    later.get(format!("{STORES}/~shop/records/a")).await.answers(200).holds(b"flour");
    let record = store.behind(&later).record("a").await.holds(b"flour");
    assert_eq!(record.expect_field("content-type"), "text/plain; charset=utf-8", "{record}");
});
