//! Records around the limits of size.

use bytes::Bytes;

use crate::harness::{Connection, Larder, Store, TOKEN};

/// 100 MB, as a client counts them.
const HUGE: usize = 100_000_000;

/// Bytes that are sent and compared at a time.
const BLOCK: usize = 1 << 20;

/// Maximum number of bytes of a record in the tests of the limit.
const LIMIT: u64 = 1000;

contract_test!(case_120_a_record_of_100_mb_comes_back_byte_for_byte, async |larder: Larder| {
    let store = larder.new_store().await;
    upload(&larder, &store).await;
    download(&larder, &store).await;
    let page = store.get("/keys").await.data();
    assert_eq!(page["items"][0]["size"], HUGE, "{page}");
});

async fn upload(larder: &Larder, store: &Store) {
    let mut connection = larder.connect().await;
    let head = head("PUT", store, &format!("Content-Length: {HUGE}\r\n"));
    connection.write(head.as_bytes()).await.expect("the head is taken");
    for index in 0..HUGE.div_ceil(BLOCK) {
        connection.write(&block(index)).await.expect("the body is taken");
    }
    let reply = connection.read_reply("PUT of 100 MB", "PUT").await.expect("the upload is answered");
    reply.answers(201);
}

async fn download(larder: &Larder, store: &Store) {
    let mut connection = larder.connect().await;
    connection.write(head("GET", store, "").as_bytes()).await.expect("the head is taken");
    let answer = connection.read_head().await.expect("the download is answered");
    assert_eq!(answer.status, 200, "GET of 100 MB: {answer:?}");
    let length = ("content-length".to_owned(), HUGE.to_string());
    assert!(answer.fields.contains(&length), "GET of 100 MB: {answer:?}");
    for index in 0..HUGE.div_ceil(BLOCK) {
        let expected = block(index);
        let came = connection.read_exactly(expected.len()).await.expect("the body comes whole");
        assert!(came == expected, "GET of 100 MB: block {index} differs");
    }
    assert!(Connection::read_rest(&mut connection).await.is_empty(), "GET of 100 MB: there is more");
}

fn head(method: &str, store: &Store, fields: &str) -> String {
    let path = store.path("/records/huge");
    format!("{method} {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\nConnection: close\r\n{fields}\r\n")
}

/// Block `index` of the record: no two are alike, and none is a repetition of a short pattern.
fn block(index: usize) -> Bytes {
    let length = BLOCK.min(HUGE - index * BLOCK);
    let mut state = (index as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(length);
    bytes.into()
}

contract_test!(case_121_a_record_above_the_limit_is_413_and_the_old_value_stays, async |larder: Larder| {
    let store = larder.new_store().await;
    let limited = larder.restarted_with(|options| options.max_record_bytes = LIMIT).await;
    let store = store.behind(&limited);
    store.put_text("a", "old").await;
    let too_long = vec![b'x'; usize::try_from(LIMIT).expect("it is small") + 1];

    let reply = store.put("/records/a").body(too_long.clone()).await;
    let message = reply.fails(413, "record-too-large");
    assert!(message.contains(&LIMIT.to_string()), "{reply} does not tell the limit");
    store.record("a").await.holds(b"old");

    let halves = too_long.chunks(600).map(Bytes::copy_from_slice).collect();
    store.put("/records/a").chunked(halves).await.fails(413, "record-too-large");
    store.record("a").await.holds(b"old");

    store.put("/records/new").chunked(vec![too_long.clone().into()]).await.fails(413, "record-too-large");
    store.get("/records/new").await.fails(404, "record-not-found");

    store.put("/records/a").body(too_long[1..].to_vec()).await.answers(201);
    store.put("/records/b").chunked(vec![too_long[1..].to_vec().into()]).await.answers(201);
    store.record("a").await.holds(&too_long[1..]);
    store.record("b").await.holds(&too_long[1..]);
});

contract_test!(a_record_said_to_be_too_large_is_refused_before_it_is_sent, async |larder: Larder| {
    let store = larder.new_store().await;
    let limited = larder.restarted_with(|options| options.max_record_bytes = LIMIT).await;
    let mut connection = limited.connect().await;
    let head = head("PUT", &store, "Content-Length: 1000000000000\r\nExpect: 100-continue\r\n");
    connection.write(head.as_bytes()).await.expect("the head is taken");
    let reply = connection.read_reply("PUT of a terabyte", "PUT").await.expect("it is answered at once");
    reply.fails(413, "record-too-large");
});
