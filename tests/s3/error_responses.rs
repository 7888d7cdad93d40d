//! Error responses: permanent errors are not retried, and messages name the server, the bucket, the key and the remedy.
//! Servers that are no object store are detected, and named.

use std::sync::Arc;

use bytes::Bytes;
use larder::{
    clock::{SystemClock, SystemRandom},
    storage::{
        ByteStream, Error, ObjectStore, Precondition, PutOptions, RejectedFor,
        s3::{S3Options, S3Store},
    },
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

use crate::{
    behind_proxy::{Behind, put, stream},
    proxy::{Fault, Refusal, Times},
};
use larder_test_kit::s3_backend::variable;

/// Returns an error with all its causes.
fn words(error: &dyn std::error::Error) -> String {
    let cause = error.source().map(|cause| format!(": {}", words(cause))).unwrap_or_default();
    format!("{error}{cause}")
}

#[tokio::test]
async fn what_is_refused_for_good_is_asked_for_once_and_says_who_refuses_and_why() {
    let behind = Behind::open().await;
    behind.put("k", b"old").await.unwrap();
    let cases = [
        ("413 Request Entity Too Large", RejectedFor::Size, "client_max_body_size"),
        ("414 Request-URI Too Large", RejectedFor::Key, "maximum URL length"),
        ("431 Request Header Fields Too Large", RejectedFor::Attributes, "maximum header size"),
        ("400 Bad Request", RejectedFor::Request, "without an S3 error code"),
    ];
    for (status, expected, advice) in cases {
        for is_early in [false, true] {
            let refusal = Refusal::of_web_server(status);
            let refusal = if is_early { refusal.before_the_body() } else { refusal };
            let armed =
                behind.proxy.arm(Fault::Refuse(refusal), Times::UntilDisarmed, |request| request.method != "GET");
            let body = vec![7; 2 << 20];
            let small = put(behind.store.as_ref(), "k", b"new", Precondition::None).await;
            let streamed = behind.store.put("k", stream(&body, true), PutOptions::default()).await;
            let gathered = behind.store.put("k", stream(&body, false), PutOptions::default()).await;
            let parts = behind.store.put("k", stream(&vec![7; 6 << 20], true), PutOptions::default()).await;
            let deleted = behind.store.delete_many(vec!["k".to_owned()]).await;
            assert_eq!(armed.hits(), 5, "{status}, early {is_early}: something was tried again");
            armed.disarm();
            let refused = [small, streamed, gathered, parts].into_iter().map(|put| put.map(drop));
            for ended in refused.chain([deleted]) {
                let Err(Error::Rejected { reason, source }) = ended else { panic!("{status}: {ended:?}") };
                assert_eq!(reason, expected);
                let text = words(source.as_ref());
                let endpoint = behind.proxy.endpoint();
                for part in [&status[..3], advice, "nginx/1.2.3", &endpoint, "bucket ", "key id "] {
                    assert!(text.contains(part), "{part} is missing: {text}");
                }
            }
        }
    }
    assert_eq!(behind.read("k").await.unwrap(), "old");
}

#[tokio::test]
async fn what_an_operator_can_put_right_is_no_final_refusal() {
    let behind = Behind::open().await;
    behind.put("k", b"old").await.unwrap();
    for (status, code) in [
        ("403 Forbidden", "AccessDenied"),
        ("403 Forbidden", "InvalidAccessKeyId"),
        ("400 Bad Request", "ExpiredToken"),
        ("403 Forbidden", "RequestTimeTooSkewed"),
    ] {
        let armed = behind.proxy.arm(Fault::Refuse(Refusal::of(status, code)), Times::UntilDisarmed, |_| true);
        let refused = put(behind.store.as_ref(), "k", b"new", Precondition::None).await.unwrap_err();
        assert!(matches!(refused, Error::Unavailable(_)), "{refused:?}");
        // The answer to a HEAD has no body to say why.
        let head = behind.store.head("k").await.unwrap_err();
        armed.disarm();
        for error in [refused, head] {
            let text = words(&error);
            for part in
                [code, &behind.proxy.endpoint(), &variable("LARDER_TEST_S3_BUCKET"), "key id ", "The proxy refuses"]
            {
                assert!(text.contains(part), "{part} is missing: {text}");
            }
        }
    }
}

/// Starts a server that responds with these bytes on every connection, once it has received something. Returns its
/// address.
async fn server(answer: &'static [u8]) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut asked = [0; 4096];
                let _ = stream.read(&mut asked).await;
                let _ = stream.write_all(answer).await;
            });
        }
    });
    address.to_string()
}

/// Returns why the object store at an endpoint cannot be opened.
async fn refused(endpoint: &str) -> String {
    let options = S3Options {
        endpoint: Some(endpoint.parse().unwrap()),
        region: Some("us-east-1".to_owned()),
        ..S3Options::new("some-bucket")
    };
    let opened = S3Store::open(options, Arc::new(SystemClock), Arc::new(SystemRandom)).await;
    words(&opened.expect_err("it is no object store"))
}

#[tokio::test]
async fn a_server_that_is_no_object_store_is_named_with_what_to_change() {
    let page = b"HTTP/1.1 200 OK\r\nserver: nginx\r\ncontent-type: text/html\r\ncontent-length: 13\r\nconnection: close\r\n\r\n<html></html>";
    let missing =
        b"HTTP/1.1 404 Not Found\r\nserver: nginx\r\ncontent-type: text/html\r\ncontent-length: 13\r\nconnection: close\r\n\r\n<html></html>";
    let tls_port = b"HTTP/1.1 400 Bad Request\r\nserver: nginx\r\nconnection: close\r\ncontent-length: 52\r\n\r\nThe plain HTTP request was sent to HTTPS port, nginx";
    let alert = b"\x15\x03\x01\x00\x02\x02\x46";
    for (scheme, answer, advice) in [
        ("http", &page[..], "has no S3 API"),
        ("http", missing, "this is not an S3 API"),
        ("http", tls_port, "begin with https://"),
        ("http", alert, "begin with https://"),
        ("https", page, "begin with http://"),
    ] {
        let endpoint = format!("{scheme}://{}", server(answer).await);
        let text = refused(&endpoint).await;
        for part in [advice, "some-bucket"] {
            assert!(text.contains(part), "{part} is missing: {text}");
        }
        assert!(text.contains(&endpoint) || answer == alert, "{endpoint} is missing: {text}");
    }
}

#[tokio::test]
async fn a_body_that_is_refused_early_does_not_have_to_be_sent() {
    let behind = Behind::open().await;
    let refusal = Refusal::of_web_server("413 Request Entity Too Large").before_the_body();
    let armed = behind.proxy.arm(Fault::Refuse(refusal), Times::Next(1), |request| request.method == "PUT");
    let block = Bytes::from(vec![7; 1 << 16]);
    let endless = futures_util::stream::repeat_with(move || Ok(block.clone()));
    let body = ByteStream::new(Some(4 << 20), endless);
    let ended = behind.store.put("k", body, PutOptions::default()).await;
    assert!(matches!(ended, Err(Error::Rejected { reason: RejectedFor::Size, .. })), "{ended:?}");
    assert_eq!(armed.hits(), 1);
}
