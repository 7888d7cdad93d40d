//! Parts of records.

use crate::harness::{Larder, Reply, Store, gzip};

/// Ten bytes whose offsets can be read off.
const TEN: &[u8] = b"0123456789";

contract_test!(a_part_is_what_was_asked_for, async |larder: Larder| {
    let store = store_of_ten(&larder).await;
    for (range, part, said) in [
        ("bytes=0-0", &b"0"[..], "bytes 0-0/10"),
        ("bytes=2-4", b"234", "bytes 2-4/10"),
        ("bytes=7-", b"789", "bytes 7-9/10"),
        ("bytes=0-", TEN, "bytes 0-9/10"),
        ("bytes=-3", b"789", "bytes 7-9/10"),
        ("bytes=-99", TEN, "bytes 0-9/10"),
        ("bytes=8-99999999999", b"89", "bytes 8-9/10"),
        ("Bytes=2-4", b"234", "bytes 2-4/10"),
    ] {
        let reply = part_of(&store, range).await.answers(206).holds(part);
        assert_eq!(reply.expect_field("content-range"), said, "{reply}");
        assert_eq!(reply.expect_field("content-length"), part.len().to_string(), "{reply}");
        assert_eq!(reply.expect_field("content-type"), "text/plain", "{reply}");
        assert!(reply.field("etag").is_some(), "{reply} has no ETag");
    }
});

contract_test!(a_part_behind_the_end_is_416, async |larder: Larder| {
    let store = store_of_ten(&larder).await;
    for range in ["bytes=10-", "bytes=10-20", "bytes=99-", "bytes=-0"] {
        let reply = part_of(&store, range).await;
        reply.fails_with(416);
        assert_eq!(reply.expect_field("content-range"), "bytes */10", "{reply}");
    }
    store.put_text("empty", "").await;
    let reply = store.get("/records/empty").field("Range", "bytes=0-").await;
    reply.fails_with(416);
    assert_eq!(reply.expect_field("content-range"), "bytes */0", "{reply}");
});

contract_test!(a_range_that_is_none_is_ignored, async |larder: Larder| {
    let store = store_of_ten(&larder).await;
    for range in ["bytes=", "bytes=4-2", "bytes=a-b", "lines=0-1", "nonsense", "bytes=--1", "bytes=-"] {
        let reply = part_of(&store, range).await.answers(200).holds(TEN);
        assert_eq!(reply.field("content-range"), None, "{reply}");
    }
});

contract_test!(several_parts_at_once_are_given_as_the_whole, async |larder: Larder| {
    let store = store_of_ten(&larder).await;
    part_of(&store, "bytes=0-1,4-5").await.answers(200).holds(TEN);
});

contract_test!(what_can_be_had_in_parts_says_so, async |larder: Larder| {
    let store = store_of_ten(&larder).await;
    assert_eq!(store.record("a").await.expect_field("accept-ranges"), "bytes");
    assert_eq!(store.head("/records/a").await.answers(200).expect_field("accept-ranges"), "bytes");
});

contract_test!(head_has_no_parts, async |larder: Larder| {
    let store = store_of_ten(&larder).await;
    let reply = store.head("/records/a").field("Range", "bytes=2-4").await.answers(200).holds(b"");
    assert_eq!(reply.expect_field("content-length"), "10", "{reply}");
});

contract_test!(a_part_of_what_has_changed_is_the_whole, async |larder: Larder| {
    let store = store_of_ten(&larder).await;
    let record = store.record("a").await;
    let (etag, date) = (record.expect_field("etag"), record.expect_field("last-modified"));
    let part = |condition: &str| {
        store.get("/records/a").field("Range", "bytes=2-4").field("If-Range", condition).into_future()
    };
    part(etag).await.answers(206).holds(b"234");
    part("\"other\"").await.answers(200).holds(TEN);
    part(&format!("W/{etag}")).await.answers(200).holds(TEN);
    part("Thu, 01 Jan 2015 00:00:00 GMT").await.answers(200).holds(TEN);
    part(date).await.answers_one_of(&[200, 206]);
    let gone = store.get("/records/a").field("Range", "bytes=99-").field("If-Range", "\"other\"");
    gone.await.answers(200).holds(TEN);
});

contract_test!(a_reader_who_has_the_value_gets_no_part_of_it, async |larder: Larder| {
    let store = store_of_ten(&larder).await;
    let etag = store.record("a").await.expect_field("etag").to_owned();
    for range in ["bytes=2-4", "bytes=99-"] {
        let reply = store.get("/records/a").field("Range", range).field("If-None-Match", &etag).await;
        reply.answers(304).holds(b"");
    }
});

contract_test!(a_part_of_a_coded_value_is_one_of_its_stored_bytes, async |larder: Larder| {
    let store = larder.new_store().await;
    let stored = gzip(&TEN.repeat(100)).await;
    store.put_coded("a", "gzip", stored.clone()).await;
    let request = store.get("/records/a").field("Accept-Encoding", "gzip").field("Range", "bytes=3-7");
    let reply = request.await.answers(206).holds(&stored[3..=7]);
    assert_eq!(reply.expect_field("content-range"), format!("bytes 3-7/{}", stored.len()), "{reply}");
    assert_eq!(reply.expect_field("content-encoding"), "gzip", "{reply}");
});

contract_test!(a_value_that_must_be_decoded_is_given_whole, async |larder: Larder| {
    let store = larder.new_store().await;
    store.put_coded("a", "gzip", gzip(&TEN.repeat(100)).await).await;
    let reply = part_of(&store, "bytes=3-7").await.answers(200).holds(&TEN.repeat(100));
    assert_eq!(reply.field("content-range"), None, "{reply}");
    assert_ne!(reply.field("accept-ranges"), Some("bytes"), "{reply}");
});

contract_test!(a_large_value_is_put_together_from_its_parts, async |larder: Larder| {
    let store = larder.new_store().await;
    let whole: Vec<u8> = (0..250_000_u32).flat_map(|number| number.wrapping_mul(0x9E37_79B9).to_le_bytes()).collect();
    store.put_bytes("a", "text/plain", whole.clone()).await;
    let mut together = Vec::new();
    while together.len() < whole.len() {
        let first = together.len();
        let reply = part_of(&store, &format!("bytes={first}-{}", first + 99_998)).await.answers(206);
        assert!(!reply.body.is_empty(), "{reply}");
        together.extend_from_slice(&reply.body);
    }
    assert!(together == whole, "the parts are not the whole");
});

async fn store_of_ten(larder: &Larder) -> Store {
    let store = larder.new_store().await;
    store.put_bytes("a", "text/plain", TEN).await;
    store
}

async fn part_of(store: &Store, range: &str) -> Reply {
    store.get("/records/a").field("Range", range).await
}
