//! Conditional requests: reads of changed records, and writes over a version that the client has seen.

use std::time::Duration;

use larder::clock::{Clock, SystemClock, Timestamp};

use crate::harness::{Larder, Reply, Store, gzip};

contract_test!(a_reader_with_the_current_etag_gets_304, async |larder: Larder| {
    let store = larder.new_store().await;
    store.put_text("a", "x").await;
    let etag = etag(&store.record("a").await);
    let candidates = [etag.clone(), "*".to_owned(), format!("W/{etag}"), format!("\"other\", {etag}")];
    for candidate in candidates {
        for request in [store.get("/records/a"), store.head("/records/a")] {
            let reply = request.field("If-None-Match", &candidate).await.answers(304).holds(b"");
            assert_eq!(self::etag(&reply), etag, "{reply}");
        }
    }
    store.get("/records/a").field("If-None-Match", "\"other\"").await.answers(200).holds(b"x");
    store.get("/records/absent").field("If-None-Match", "*").await.fails(404, "record-not-found");
});

contract_test!(a_reader_who_has_an_old_value_gets_the_new_one, async |larder: Larder| {
    let store = larder.new_store().await;
    store.put_text("a", "old").await;
    let old = etag(&store.record("a").await);
    store.put_text("a", "new").await;
    let reply = store.get("/records/a").field("If-None-Match", &old).await.answers(200).holds(b"new");
    assert_ne!(etag(&reply), old, "{reply}");
});

contract_test!(a_validator_changes_with_the_type_and_the_coding_too, async |larder: Larder| {
    let store = larder.new_store().await;
    let bytes = gzip(b"flour").await;
    store.put_bytes("a", "text/plain", bytes.clone()).await;
    let plain = etag(&store.record("a").await);
    store.put_bytes("a", "application/gzip", bytes.clone()).await;
    let retyped = etag(&store.record("a").await);
    let put = store.put("/records/a").content_type("application/gzip").field("Content-Encoding", "gzip");
    put.body(bytes).await.answers(201);
    let coded = etag(&store.get("/records/a").field("Accept-Encoding", "gzip").await.answers(200));
    assert!(plain != retyped && retyped != coded && plain != coded, "{plain} {retyped} {coded}");
});

contract_test!(dates_tell_whether_a_value_has_changed, async |larder: Larder| {
    let store = larder.new_store().await;
    store.put_text("a", "x").await;
    let record = store.record("a").await;
    let date = record.expect_field("last-modified").to_owned();
    let same = store.get("/records/a").field("If-Modified-Since", &date).await;
    same.answers(304).holds(b"");
    let before = "Thu, 01 Jan 2015 00:00:00 GMT";
    store.get("/records/a").field("If-Modified-Since", before).await.answers(200).holds(b"x");
    store.get("/records/a").field("If-Modified-Since", "nonsense").await.answers(200).holds(b"x");

    // A validator says more than a date, and so has the word where both are given (RFC 9110, 13.1.3).
    let both = store.get("/records/a").field("If-Modified-Since", &date).field("If-None-Match", "\"other\"");
    both.await.answers(200).holds(b"x");

    larder.advance(Duration::from_secs(2));
    // An object store uses its own clock, whose dates have seconds.
    for _ in 0..30 {
        store.put_text("a", "y").await;
        if store.record("a").await.expect_field("last-modified") != date {
            break;
        }
        SystemClock.sleep(Duration::from_millis(100)).await;
    }
    store.get("/records/a").field("If-Modified-Since", &date).await.answers(200).holds(b"y");
});

contract_test!(the_date_of_a_value_is_when_it_was_written, async |larder: Larder| {
    let store = larder.new_store().await;
    let earliest = larder.now();
    store.put_text("a", "x").await;
    let record = store.record("a").await;
    let date = httpdate::parse_http_date(record.expect_field("last-modified")).expect("it is a date of HTTP");
    let date = Timestamp::from(date);
    assert!(date.plus(Duration::from_secs(1)) > earliest && date <= larder.now(), "{record}: {date}");
});

contract_test!(a_write_of_what_is_absent_alone_keeps_what_is_there, async |larder: Larder| {
    let store = larder.new_store().await;
    let put = |text: &'static str| store.put("/records/a").field("If-None-Match", "*").body(text);
    put("first").await.answers(201);
    put("second").await.fails(412, "precondition-failed");
    store.record("a").await.holds(b"first");
    let post = store.post("/records/a").field("If-None-Match", "*").body("third").await;
    post.fails(412, "precondition-failed");
    store.delete("/records/a").await.answers(204);
    put("fourth").await.answers(201);
    store.record("a").await.holds(b"fourth");
});

contract_test!(a_write_over_what_was_read_keeps_what_came_since, async |larder: Larder| {
    let store = larder.new_store().await;
    store.put_text("a", "first").await;
    let first = etag(&store.record("a").await);
    let put = |text: &'static str| store.put("/records/a").field("If-Match", &first).body(text);
    put("second").await.answers(201);
    put("third").await.fails(412, "precondition-failed");
    store.record("a").await.holds(b"second");
    let second = etag(&store.record("a").await);
    store.put("/records/a").field("If-Match", second).body("fourth").await.answers(201);
    store.record("a").await.holds(b"fourth");
});

contract_test!(a_write_over_what_is_absent_is_412, async |larder: Larder| {
    let store = larder.new_store().await;
    let put = store.put("/records/a").field("If-Match", "\"0123456789abcdef\"").body("x");
    put.await.fails(412, "precondition-failed");
    store.get("/records/a").await.fails(404, "record-not-found");
});

contract_test!(a_write_of_the_same_bytes_is_a_write_all_the_same, async |larder: Larder| {
    let store = larder.new_store().await;
    store.put_text("a", "same").await;
    let first = etag(&store.record("a").await);
    store.put("/records/a").content_type("text/css").field("If-Match", &first).body("same").await.answers(201);
    assert_eq!(store.record("a").await.holds(b"same").expect_field("content-type"), "text/css");
});

contract_test!(a_delete_of_what_was_read_keeps_what_came_since, async |larder: Larder| {
    let store = larder.new_store().await;
    store.put_text("a", "first").await;
    let first = etag(&store.record("a").await);
    store.put_text("a", "second").await;
    store.delete("/records/a").field("If-Match", &first).await.fails(412, "precondition-failed");
    let second = etag(&store.record("a").await.holds(b"second"));
    store.delete("/records/a").field("If-Match", &second).await.answers(204);
    store.delete("/records/a").field("If-Match", &second).await.fails(412, "precondition-failed");
    store.get("/records/a").await.fails(404, "record-not-found");
});

contract_test!(the_validator_of_a_decoded_value_is_one_of_its_own_and_good_for_writing, async |larder: Larder| {
    let store = larder.new_store().await;
    let (decoded, stored) = coded_record(&store, b"first").await;
    assert_ne!(decoded, stored, "two representations share a validator");

    let reply = store.get("/records/a").field("If-None-Match", &decoded).await.answers(304);
    assert_eq!(etag(&reply), decoded, "{reply}");
    store.get("/records/a").field("If-None-Match", &stored).await.answers(200).holds(b"first");

    store.put("/records/a").field("If-Match", &decoded).body("second").await.answers(201);
    store.put("/records/a").field("If-Match", &decoded).body("third").await.fails(412, "precondition-failed");
    store.record("a").await.holds(b"second");

    let (decoded, stored) = coded_record(&store, b"fourth").await;
    store.delete("/records/a").field("If-Match", &decoded).await.answers(204);
    store.delete("/records/a").field("If-Match", &stored).await.fails(412, "precondition-failed");
});

contract_test!(a_condition_that_cannot_be_read_never_overwrites, async |larder: Larder| {
    let store = larder.new_store().await;
    store.put_text("a", "old").await;
    for (name, value) in [("If-Match", "nonsense"), ("If-Match", ""), ("If-None-Match", "nonsense")] {
        let reply = store.put("/records/a").field(name, value).body("new").await;
        reply.answers_one_of(&[400, 412]).fails_with_any();
        store.record("a").await.holds(b"old");
    }
});

contract_test!(a_refused_write_leaves_the_connection_usable_or_closes_it, async |larder: Larder| {
    let store = larder.new_store().await;
    store.put_text("a", "old").await;
    let put = store.put("/records/a").field("If-None-Match", "*").body(vec![b'x'; 10_000]);
    let mut connection = larder.connect().await;
    let reply = put.send_on(&mut connection).await;
    reply.fails(412, "precondition-failed");
    if reply.keeps_connection() {
        store.get("/records/a").send_on(&mut connection).await.answers(200).holds(b"old");
    }
});

/// Stores `value` compressed; the validators of the decoded representation and of the stored one.
async fn coded_record(store: &Store, value: &[u8]) -> (String, String) {
    store.put_coded("a", "gzip", gzip(value).await).await;
    let decoded = etag(&store.record("a").await.holds(value));
    let stored = etag(&store.get("/records/a").field("Accept-Encoding", "gzip").await.answers(200));
    (decoded, stored)
}

#[track_caller]
fn etag(reply: &Reply) -> String {
    let etag = reply.expect_field("etag");
    let opaque = etag.strip_prefix("W/").unwrap_or(etag);
    assert!(opaque.len() > 2 && opaque.starts_with('"') && opaque.ends_with('"'), "{reply}: ETag is {etag}");
    etag.to_owned()
}
