//! Negotiation of content codings, also when the stored bytes are in none that the reader accepts.

use crate::harness::{Larder, Reply, Store, TOKEN, brotli, deflate, gunzip, gzip};

/// A value that is worth compressing.
const VALUE: &str = "flour, salt, a pinch of saffron; ";

contract_test!(case_131_a_reader_of_gzip_gets_the_bytes_as_sent, async |larder: Larder| {
    let store = larder.new_store().await;
    let sent = gzip(&value()).await;
    store.put_coded("a", "gzip", sent.clone()).await;
    for accepted in ["gzip", "GZIP", "br;q=0.5, gzip", "*", "gzip;q=0.1", "x-gzip", "deflate, gzip;q=1.0, *;q=0"] {
        let record = read(&store, accepted).await.holds(&sent);
        assert_eq!(record.expect_field("content-encoding"), "gzip", "{record}");
        assert_eq!(record.expect_field("content-length"), sent.len().to_string(), "{record}");
        assert_eq!(record.expect_field("content-type"), "text/plain; charset=utf-8", "{record}");
        assert_varies(&record);
    }
});

contract_test!(case_132_a_reader_of_no_coding_gets_gzip_decoded, async |larder: Larder| {
    let store = larder.new_store().await;
    store.put_coded("a", "gzip", gzip(&value()).await).await;
    let record = store.get("/records/a").await.answers(200).holds(&value());
    assert_eq!(record.field("content-encoding"), None, "{record}");
    assert_eq!(record.expect_field("content-type"), "text/plain; charset=utf-8", "{record}");
    assert_varies(&record);
});

contract_test!(case_133_a_reader_of_gzip_never_gets_brotli, async |larder: Larder| {
    let store = larder.new_store().await;
    store.put_coded("a", "br", brotli(&value()).await).await;
    let record = read(&store, "gzip").await;
    let bytes = match record.field("content-encoding") {
        None => record.body.to_vec(),
        Some("gzip") => gunzip(&record.body).await,
        Some(other) => panic!("{record} is in the coding {other}"),
    };
    assert_eq!(bytes, value(), "{record}");
});

contract_test!(case_134_the_official_clients_get_brotli_as_sent, async |larder: Larder| {
    let store = larder.new_store().await;
    let sent = brotli(&value()).await;
    store.put_coded("a", "br", sent.clone()).await;
    for accepted in ["gzip, compress, deflate, br", "zstd,gzip,deflate,br"] {
        let record = read(&store, accepted).await.holds(&sent);
        assert_eq!(record.expect_field("content-encoding"), "br", "{record}");
    }
});

contract_test!(case_135_a_coding_of_no_worth_is_not_accepted, async |larder: Larder| {
    let store = larder.new_store().await;
    store.put_coded("a", "gzip", gzip(&value()).await).await;
    let refusals = ["gzip;q=0", "gzip; q=0.000", "identity", "br", "*;q=0, identity", "gzip;q=0, *", "zstd", ""];
    for accepted in refusals {
        let record = read(&store, accepted).await.holds(&value());
        assert_eq!(record.field("content-encoding"), None, "{record}");
    }
});

contract_test!(case_136_a_reader_of_deflate_gets_the_bytes_as_sent, async |larder: Larder| {
    let store = larder.new_store().await;
    let sent = deflate(&value()).await;
    store.put_coded("a", "deflate", sent.clone()).await;
    let record = read(&store, "deflate").await.holds(&sent);
    assert_eq!(record.expect_field("content-encoding"), "deflate", "{record}");
    let record = store.get("/records/a").await.answers(200).holds(&value());
    assert_eq!(record.field("content-encoding"), None, "{record}");
});

contract_test!(head_tells_the_coding_that_get_would_give, async |larder: Larder| {
    let store = larder.new_store().await;
    store.put_coded("a", "gzip", gzip(&value()).await).await;
    for accepted in ["gzip", "identity"] {
        let head = store.head("/records/a").field("Accept-Encoding", accepted).await.answers(200).holds(b"");
        let get = read(&store, accepted).await;
        for name in ["content-encoding", "content-type", "etag", "vary"] {
            assert_eq!(head.field(name), get.field(name), "{name} of {head}");
        }
        if let Some(length) = head.field("content-length") {
            assert_eq!(length, get.body.len().to_string(), "{head} announces another length than GET gives");
        }
    }
});

contract_test!(a_large_record_is_decoded_whole, async |larder: Larder| {
    let store = larder.new_store().await;
    let large: Vec<u8> = (0..3_000_000_u32).flat_map(|number| number.wrapping_mul(0x9E37_79B9).to_le_bytes()).collect();
    store.put_coded("gzip", "gzip", gzip(&large).await).await;
    store.put_coded("br", "br", brotli(&large[..1 << 20]).await).await;
    store.record("gzip").await.holds(&large);
    store.record("br").await.holds(&large[..1 << 20]);
});

contract_test!(gzip_of_several_members_is_decoded_whole, async |larder: Larder| {
    let store = larder.new_store().await;
    store.put_coded("a", "gzip", [gzip(b"flour, ").await, gzip(b"salt").await].concat()).await;
    store.record("a").await.holds(b"flour, salt");
});

contract_test!(a_body_that_is_not_in_its_coding_is_stored_as_sent, async |larder: Larder| {
    let store = larder.new_store().await;
    for (coding, sent) in corrupt().await {
        store.put_coded("a", coding, sent.clone()).await;
        let record = read(&store, coding).await.holds(&sent);
        assert_eq!(record.expect_field("content-encoding"), coding, "{record}");
    }
});

contract_test!(a_body_that_cannot_be_decoded_is_500_before_any_byte, async |larder: Larder| {
    let store = larder.new_store().await;
    for (coding, sent) in corrupt().await {
        store.put_coded("a", coding, sent).await;
        store.get("/records/a").await.fails(500, "internal-server-error");
    }
});

contract_test!(a_body_that_is_damaged_far_behind_never_looks_whole, async |larder: Larder| {
    let store = larder.new_store().await;
    let large: Vec<u8> = (0..1_000_000_u32).flat_map(|number| number.wrapping_mul(0x9E37_79B9).to_le_bytes()).collect();
    let whole = gzip(&large).await;
    let mut flipped = whole.clone();
    let position = whole.len() - 6;
    flipped[position] ^= 0xff;
    for damaged in [whole[..whole.len() - 5000].to_vec(), whole[..whole.len() - 1].to_vec(), flipped] {
        store.put_coded("a", "gzip", damaged).await;
        let mut connection = larder.connect().await;
        let path = store.path("/records/a");
        let head =
            format!("GET {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\nConnection: close\r\n\r\n");
        connection.write(head.as_bytes()).await.expect("the head is taken");
        if let Ok(reply) = connection.read_reply("GET of a damaged record", "GET").await {
            reply.fails(500, "internal-server-error");
        }
    }
});

contract_test!(a_value_that_grows_when_it_is_decoded_is_given_all_the_same, async |larder: Larder| {
    let store = larder.new_store().await;
    let bomb = gzip(&vec![0; 50_000_000]).await;
    store.put_coded("a", "gzip", bomb.clone()).await;
    assert_eq!(read(&store, "gzip").await.holds(&bomb).expect_field("content-encoding"), "gzip");
    assert_eq!(store.record("a").await.body.len(), 50_000_000);
});

/// Returns bodies that are not in their declared coding, from their first bytes or before their end.
async fn corrupt() -> [(&'static str, Vec<u8>); 4] {
    let cut = |bytes: Vec<u8>| bytes[..bytes.len() - 4].to_vec();
    [
        ("gzip", b"no gzip at all".to_vec()),
        ("gzip", cut(gzip(&value()).await)),
        ("br", vec![0xff; 100]),
        ("deflate", b"no deflate at all".to_vec()),
    ]
}

async fn read(store: &Store, accepted: &str) -> Reply {
    store.get("/records/a").field("Accept-Encoding", accepted).await.answers(200)
}

#[track_caller]
fn assert_varies(reply: &Reply) {
    let vary = reply.expect_field("vary").to_ascii_lowercase();
    assert!(vary.contains("accept-encoding"), "{reply} varies by {vary:?}");
}

fn value() -> Vec<u8> {
    VALUE.repeat(100).into_bytes()
}
