//! Requests on the wire: one request for an operation, and none for nothing.

use std::time::Duration;

use larder::storage::{ListOptions, ObjectStore, Precondition, PutOptions};

use crate::behind_proxy::{Behind, put, stream};

/// Returns the methods of the requests that were made since the last time.
fn methods(behind: &Behind) -> Vec<String> {
    behind.proxy.take_requests().into_iter().map(|request| request.method).collect()
}

#[tokio::test]
async fn each_operation_on_an_object_is_one_request() {
    let behind = Behind::open().await;
    let store = &behind.store;
    behind.put("a/k", b"hello").await.unwrap();
    assert_eq!(methods(&behind), ["PUT"]);
    behind.read("a/k").await.unwrap();
    assert_eq!(methods(&behind), ["GET"]);
    store.head("a/k").await.unwrap();
    assert_eq!(methods(&behind), ["HEAD"]);
    store.head("a/absent").await.unwrap_err();
    assert_eq!(methods(&behind), ["HEAD"]);
    for (size, is_announced) in [(100_000, true), (3 << 20, true), (100_000, false), (3 << 20, false)] {
        store.put("a/k", stream(&vec![1; size], is_announced), PutOptions::default()).await.unwrap();
        assert_eq!(methods(&behind), ["PUT"], "{size} bytes, announced: {is_announced}");
    }
    if behind.is_conditional {
        put(store.as_ref(), "a/new", b"x", Precondition::IfAbsent).await.unwrap();
        assert_eq!(methods(&behind), ["PUT"]);
    }
    store.delete("a/k", Precondition::None).await.unwrap();
    assert_eq!(methods(&behind), ["DELETE"]);
    store.list(ListOptions { prefix: "a/".to_owned(), start_after: None, limit: 1000 }).await.unwrap();
    assert_eq!(methods(&behind), ["GET"]);
    store.delete_many(vec!["a/1".to_owned(), "a/2".to_owned()]).await.unwrap();
    assert_eq!(methods(&behind), ["POST"]);
    assert_eq!(behind.proxy.open_connections(), 1, "a connection is used again");
}

#[tokio::test]
async fn an_upload_in_parts_is_a_request_for_each_part_and_two_more() {
    let behind = Behind::open().await;
    let bytes: Vec<u8> = (0..12_000_000_u32).map(|at| (at % 251) as u8).collect();
    for is_announced in [true, false] {
        behind.store.put("k", stream(&bytes, is_announced), PutOptions::default()).await.unwrap();
        let made = methods(&behind);
        let parts = made.iter().filter(|method| *method == "PUT").count();
        // Begun and completed; looked at where the answer to a completion does not say the validator.
        let looks = made.iter().filter(|method| *method == "HEAD").count();
        assert_eq!(made.len() - looks, parts + 2, "{made:?}");
        assert_eq!(parts, if is_announced { 3 } else { 2 });
        assert!(behind.read("k").await.unwrap() == bytes);
        methods(&behind);
    }
}

#[tokio::test]
async fn an_upload_that_breaks_off_leaves_the_old_object_and_no_parts() {
    let behind = Behind::open().await;
    behind.put("k", b"old").await.unwrap();
    behind.proxy.take_requests();
    let pieces = (0..200).map(|at| if at < 150 { Ok(vec![7; 100_000].into()) } else { Err(broken()) });
    for length in [None, Some(20_000_000)] {
        let body = larder::storage::ByteStream::new(length, futures_util::stream::iter(pieces.clone()));
        behind.store.put("k", body, PutOptions::default()).await.unwrap_err();
        for _ in 0..100 {
            if behind.proxy.requests().iter().any(|request| request.method == "DELETE") {
                break;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let made = behind.proxy.take_requests();
        assert!(made.iter().any(|request| request.method == "DELETE" && request.query.contains("uploadId")));
        assert_eq!(behind.read("k").await.unwrap(), "old");
        behind.proxy.take_requests();
    }
}

#[tokio::test]
async fn a_body_that_goes_on_behind_its_announced_end_is_never_whole() {
    let behind = Behind::open().await;
    behind.put("k", b"old").await.unwrap();
    for size in [100_000_usize, 2_000_000] {
        let pieces = [Ok(vec![7; size].into()), Ok(vec![7].into())];
        let body = larder::storage::ByteStream::new(Some(size as u64), futures_util::stream::iter(pieces));
        behind.store.put("k", body, PutOptions::default()).await.unwrap_err();
        assert_eq!(behind.read("k").await.unwrap(), "old");
    }
}

fn broken() -> larder::storage::BodyError {
    larder::storage::BodyError::Aborted
}

#[tokio::test]
async fn nothing_is_asked_while_nothing_happens_and_idle_connections_are_closed() {
    let behind = Behind::open().await;
    behind.put("k", b"x").await.unwrap();
    behind.proxy.take_requests();
    for _ in 0..40 {
        if behind.proxy.open_connections() == 0 {
            break;
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    assert_eq!((behind.proxy.open_connections(), behind.proxy.requests().len()), (0, 0));
}
