//! The proxy, told to do nothing: everything passes, and every request is counted.

use std::time::Duration;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::timeout,
};

use crate::{
    proxy::Proxy,
    tiny::{CHUNKED, Client, EARLY, Tiny, connect},
};

/// Timeout for any step of a test.
const WAIT_TIMEOUT: Duration = Duration::from_secs(20);

#[tokio::test]
async fn what_is_sent_and_answered_passes_as_it_is() {
    let tiny = Tiny::start().await;
    let proxy = Proxy::before(&tiny.endpoint()).await;
    let mut client = Client::open(&proxy.endpoint()).await;
    for body in [&b""[..], b"hello", &vec![7; 3 << 20]] {
        assert_eq!(client.ask("PUT", "/a", body).await.unwrap().status, 200);
        assert_eq!(tiny.object("/a").unwrap(), body);
        assert_eq!(client.ask("GET", "/a", b"").await.unwrap().body, body);
        assert_eq!(client.ask("HEAD", "/a", b"").await.unwrap().body, "");
    }
    client.ask_in_chunks("PUT", CHUNKED, &["he", "l", "lo"]).await;
    assert_eq!(tiny.object(CHUNKED).unwrap(), "hello");
    assert_eq!(client.ask("GET", CHUNKED, b"").await.unwrap().body, "hello");
    assert_eq!(client.ask("DELETE", CHUNKED, b"").await.unwrap().status, 204);
    assert_eq!(client.ask("GET", CHUNKED, b"").await.unwrap().status, 404);
    assert_eq!(proxy.accepted_connections(), 1, "a connection is reused where the server would allow it");
}

#[tokio::test]
async fn every_request_is_counted_with_what_its_head_says() {
    let tiny = Tiny::start().await;
    let proxy = Proxy::before(&tiny.endpoint()).await;
    let mut first = Client::open(&proxy.endpoint()).await;
    let mut second = Client::open(&proxy.endpoint()).await;
    // Bodies that look like requests are none.
    first.ask("PUT", "/a%2Fb?x=1&y", b"GET /hidden HTTP/1.1\r\n\r\n").await.unwrap();
    second.ask_in_chunks("PUT", "/c", &["\r\n\r\nGET /hidden HTTP/1.1\r\n\r\n", "0\r\n\r\n"]).await;
    first.ask("GET", "/a%2Fb", b"").await.unwrap();
    let seen: Vec<_> = proxy.requests().into_iter().map(|seen| (seen.method, seen.path, seen.query)).collect();
    let expected = [("PUT", "/a%2Fb", "x=1&y"), ("PUT", "/c", ""), ("GET", "/a%2Fb", "")];
    assert_eq!(seen, expected.map(|(method, path, query)| (method.to_owned(), path.to_owned(), query.to_owned())));
    let seen = proxy.take_requests();
    assert_eq!(seen[0].connection, seen[2].connection);
    assert_ne!(seen[0].connection, seen[1].connection);
    assert_eq!(seen[0].header("content-length"), Some("24"));
    assert_eq!(seen[1].header("transfer-encoding"), Some("chunked"));
    assert_eq!(proxy.requests().len(), 0, "they were taken");
    assert_eq!((proxy.accepted_connections(), proxy.open_connections()), (2, 2));
}

#[tokio::test]
async fn pipelined_requests_are_separated() {
    let tiny = Tiny::start().await;
    let proxy = Proxy::before(&tiny.endpoint()).await;
    let mut stream = connect(&proxy.endpoint()).await.unwrap();
    let requests = "PUT /a HTTP/1.1\r\nhost: t\r\ncontent-length: 3\r\n\r\nabcGET /a HTTP/1.1\r\nhost: t\r\n\r\n\
                    GET /a HTTP/1.1\r\nhost: t\r\nconnection: close\r\n\r\n";
    stream.write_all(requests.as_bytes()).await.unwrap();
    let mut answers = String::new();
    timeout(WAIT_TIMEOUT, stream.read_to_string(&mut answers)).await.expect("the last one closes").unwrap();
    assert_eq!(answers.matches("HTTP/1.1 200 OK").count(), 3, "{answers}");
    assert_eq!(answers.matches("abc").count(), 2, "{answers}");
    assert_eq!(proxy.requests().len(), 3);
}

#[tokio::test]
async fn who_waits_for_leave_to_send_a_body_gets_it() {
    let tiny = Tiny::start().await;
    let proxy = Proxy::before(&tiny.endpoint()).await;
    let mut stream = connect(&proxy.endpoint()).await.unwrap();
    let head = "PUT /a HTTP/1.1\r\nhost: t\r\nexpect: 100-continue\r\nconnection: close\r\ncontent-length: 5\r\n\r\n";
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut leave = [0; "HTTP/1.1 100 Continue\r\n\r\n".len()];
    timeout(WAIT_TIMEOUT, stream.read_exact(&mut leave)).await.expect("it comes").unwrap();
    assert!(leave.starts_with(b"HTTP/1.1 100"));
    stream.write_all(b"hello").await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
    assert_eq!(tiny.object("/a").unwrap(), "hello");
}

#[tokio::test]
async fn an_answer_passes_before_the_body_of_its_request_is_sent() {
    let tiny = Tiny::start().await;
    let proxy = Proxy::before(&tiny.endpoint()).await;
    let mut stream = connect(&proxy.endpoint()).await.unwrap();
    let head = format!("PUT {EARLY} HTTP/1.1\r\nhost: t\r\ncontent-length: 1000000\r\n\r\nbeginning");
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = String::new();
    timeout(WAIT_TIMEOUT, stream.read_to_string(&mut answer)).await.expect("it comes, and the end").unwrap();
    assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");
}

#[tokio::test]
async fn a_side_that_leaves_takes_the_other_with_it() {
    let tiny = Tiny::start().await;
    let proxy = Proxy::before(&tiny.endpoint()).await;
    // The gateway, in the midst of a request and between two of them.
    let mut halfway = connect(&proxy.endpoint()).await.unwrap();
    halfway.write_all(b"PUT /a HTTP/1.1\r\nhost: t\r\ncontent-length: 9\r\n\r\nhalf").await.unwrap();
    drop(halfway);
    drop(connect(&proxy.endpoint()).await.unwrap());
    until(|| proxy.accepted_connections() == 2 && proxy.open_connections() == 0).await;
    assert_eq!(tiny.object("/a"), None);
    // The object store, between two.
    let mut stream = connect(&proxy.endpoint()).await.unwrap();
    until(|| proxy.open_connections() == 1).await;
    tiny.stop().await;
    assert_eq!(timeout(WAIT_TIMEOUT, stream.read(&mut [0])).await.expect("it ends").unwrap(), 0);
    // And where there is none, the connection ends at once.
    let mut stream = connect(&proxy.endpoint()).await.unwrap();
    assert_eq!(timeout(WAIT_TIMEOUT, stream.read(&mut [0])).await.expect("it ends").unwrap(), 0);
}

#[tokio::test]
async fn connections_end_with_the_proxy() {
    let tiny = Tiny::start().await;
    let proxy = Proxy::before(&tiny.endpoint()).await;
    let mut stream = connect(&proxy.endpoint()).await.unwrap();
    until(|| proxy.open_connections() == 1).await;
    let endpoint = proxy.endpoint();
    drop(proxy);
    assert_eq!(timeout(WAIT_TIMEOUT, stream.read(&mut [0])).await.expect("it ends").unwrap(), 0);
    let refused = async {
        while connect(&endpoint).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    timeout(WAIT_TIMEOUT, refused).await.expect("the port is closed");
}

async fn until(mut condition: impl FnMut() -> bool) {
    let holds = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    timeout(WAIT_TIMEOUT, holds).await.expect("in time");
}
