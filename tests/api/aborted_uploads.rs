//! Uploads that are cut off: the old value stays, at whatever byte it happens.

use std::time::Duration;

use crate::harness::{Larder, Store, TOKEN};

/// Length of the values whose upload is cut off: above what a backend keeps beside its index, so that it is written
/// piece by piece.
const LENGTH: usize = 300_000;

/// Bytes of the body after which an upload is cut off.
const CUTS: [usize; 7] = [0, 1, 1023, 65_536, 131_072, LENGTH / 2, LENGTH - 1];

/// Timeout for the cleanup of an aborted upload.
const GIVEN_UP_WITHIN: Duration = Duration::from_millis(100);

contract_test!(case_125_an_upload_that_is_cut_off_leaves_the_old_value, async |larder: Larder| {
    let store = larder.new_store().await;
    let old = vec![b'o'; LENGTH];
    store.put_bytes("a", "text/old", old.clone()).await;
    for cut in CUTS {
        for ending in [Ending::Gone, Ending::Silent] {
            cut_off(&larder, &store, "a", Framing::Sized, cut, ending).await;
            cut_off(&larder, &store, "a", Framing::Chunked, cut, ending).await;
        }
        let record = store.record("a").await;
        assert_eq!(record.expect_field("content-type"), "text/old", "after a cut at {cut}: {record}");
        assert!(record.body == old, "after a cut at {cut}: {record}");
    }
});

contract_test!(an_upload_that_is_cut_off_makes_no_record, async |larder: Larder| {
    let store = larder.new_store().await;
    for cut in CUTS {
        cut_off(&larder, &store, "a", Framing::Sized, cut, Ending::Gone).await;
        cut_off(&larder, &store, "a", Framing::Chunked, cut, Ending::Silent).await;
    }
    settle(&larder).await;
    store.get("/records/a").await.fails(404, "record-not-found");
    assert!(store.keys().await.is_empty());
});

contract_test!(an_upload_that_was_cut_off_can_be_repeated_at_once, async |larder: Larder| {
    let store = larder.new_store().await;
    for cut in CUTS {
        cut_off(&larder, &store, "a", Framing::Sized, cut, Ending::Gone).await;
        store.put_bytes("a", "text/new", vec![b'n'; LENGTH]).await;
        settle(&larder).await;
        store.record("a").await.holds(&vec![b'n'; LENGTH]);
    }
});

contract_test!(a_small_upload_that_is_cut_off_leaves_the_old_value, async |larder: Larder| {
    let store = larder.new_store().await;
    store.put_text("a", "old").await;
    for cut in 0..5 {
        let mut connection = larder.connect().await;
        let head = head(&store, "a", "Content-Length: 5\r\n");
        connection.write(head.as_bytes()).await.expect("the head is taken");
        connection.write(&b"newer"[..cut]).await.expect("the body is taken");
        connection.finish_writing().await;
        connection.read_rest().await;
        store.record("a").await.holds(b"old");
    }
});

#[derive(Debug, Clone, Copy)]
enum Framing {
    Sized,
    Chunked,
}

#[derive(Debug, Clone, Copy)]
enum Ending {
    /// The client closes the connection for good.
    Gone,
    /// The client sends no more but would still read an answer.
    Silent,
}

/// Sends a new value up to `cut` bytes of its body, then goes away.
async fn cut_off(larder: &Larder, store: &Store, key: &str, framing: Framing, cut: usize, ending: Ending) {
    let what = format!("an upload of {LENGTH} bytes ({framing:?}) cut off at {cut} ({ending:?})");
    let mut connection = larder.connect().await;
    let head = match framing {
        Framing::Sized => head(store, key, &format!("Content-Length: {LENGTH}\r\n")),
        Framing::Chunked => head(store, key, "Transfer-Encoding: chunked\r\n") + &format!("{LENGTH:x}\r\n"),
    };
    connection.write(head.as_bytes()).await.expect("the head is taken");
    connection.write(&vec![b'n'; cut]).await.expect("the body is taken");
    match ending {
        Ending::Gone => drop(connection),
        Ending::Silent => {
            connection.finish_writing().await;
            if let Ok(reply) = connection.read_reply(&what, "PUT").await {
                reply.fails(400, "request-aborted-prematurely");
            }
        }
    }
}

/// Lets uploads that were cut off come to their end, whatever that is.
async fn settle(larder: &Larder) {
    larder.sleep(GIVEN_UP_WITHIN).await;
}

fn head(store: &Store, key: &str, fields: &str) -> String {
    let path = store.path(&format!("/records/{key}"));
    format!(
        "PUT {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\nContent-Type: text/new\r\n\
         Connection: close\r\n{fields}\r\n"
    )
}
