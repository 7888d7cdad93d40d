//! Tests of the limits for clients: a host for each request, and their share of connections.

use std::net::SocketAddr;

use tokio::net::TcpSocket;

use super::{
    options::ServerOptions,
    tests::{Paths, Running, read_to_end, read_until, send},
};

#[tokio::test]
async fn a_request_says_once_which_host_it_is_for_unless_it_is_of_http_1_0() {
    let running = Running::start(ServerOptions::default(), Paths::default());
    for (head, status) in [
        ("GET / HTTP/1.1\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nhost: a\r\nhost: a\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nhost: a\r\nHost: b\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nhost: a b\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nhost: a/b\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nhost: user@a\r\n\r\n", 400),
        ("GET / HTTP/1.0\r\nhost: a\r\nhost: b\r\n\r\n", 400),
        ("GET http://a/ HTTP/1.1\r\n\r\n", 400),
        ("GET / HTTP/1.0\r\n\r\n", 200),
        ("GET / HTTP/1.0\r\nhost: a\r\n\r\n", 200),
        ("GET / HTTP/1.1\r\nhost:\r\nconnection: close\r\n\r\n", 200),
        ("GET / HTTP/1.1\r\nhost: [::1]:8011\r\nconnection: close\r\n\r\n", 200),
        ("GET http://a/ HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n", 200),
    ] {
        let mut stream = running.connect().await;
        // Bytes behind a refused request are not parsed as another one.
        send(&mut stream, &format!("{head}{}", if status == 400 { "GET / HTTP/1.1\r\nhost: a\r\n\r\n" } else { "" }))
            .await;
        let text = read_to_end(&mut stream).await;
        assert!(
            text.starts_with(&format!("HTTP/1.1 {status} ")) || text.starts_with(&format!("HTTP/1.0 {status} ")),
            "{head:?}: {text}"
        );
        assert_eq!(text.matches("HTTP/1.").count(), 1, "{head:?}: {text}");
    }
    let _ = running.stop().await;
}

#[tokio::test]
async fn one_address_has_its_share_of_connections_and_others_always_get_in() {
    let options = ServerOptions { max_connections: 16, ..ServerOptions::default() };
    let running = Running::start(options, Paths::default());
    let mut held = Vec::new();
    for _ in 0..4 {
        let mut stream = running.connect().await;
        send(&mut stream, "GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
        assert!(read_until(&mut stream, "hello").await.starts_with("HTTP/1.1 200"));
        held.push(stream);
    }
    let refused = read_to_end(&mut running.connect().await).await;
    assert!(refused.starts_with("HTTP/1.1 503") && refused.contains("This address has as many"), "{refused}");
    let other = TcpSocket::new_v4().expect("a socket");
    other.bind(SocketAddr::from(([127, 0, 0, 2], 0))).expect("an address of this machine");
    let mut other = other.connect(running.address).await.expect("the server accepts");
    send(&mut other, "GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").await;
    assert!(read_to_end(&mut other).await.starts_with("HTTP/1.1 200"));
    // A returned share is available to the next connection.
    drop(held);
    for _ in 0..1000 {
        let mut stream = running.connect().await;
        send(&mut stream, "GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").await;
        if read_to_end(&mut stream).await.starts_with("HTTP/1.1 200") {
            let _ = running.stop().await;
            return;
        }
    }
    panic!("what was given back is not there again");
}

#[tokio::test]
async fn trusted_proxies_bring_as_many_connections_as_there_are() {
    let trusted_proxies = "127.0.0.1".parse().expect("a network");
    let options = ServerOptions { max_connections: 8, trusted_proxies, ..ServerOptions::default() };
    let running = Running::start(options, Paths::default());
    let mut held = Vec::new();
    for _ in 0..8 {
        let mut stream = running.connect().await;
        send(&mut stream, "GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
        assert!(read_until(&mut stream, "hello").await.starts_with("HTTP/1.1 200"));
        held.push(stream);
    }
    let refused = read_to_end(&mut running.connect().await).await;
    assert!(refused.contains("This server has as many"), "{refused}");
    drop(held);
    let _ = running.stop().await;
}

#[tokio::test]
async fn pages_of_other_origins_can_read_what_is_answered_without_a_handler() {
    let options = ServerOptions { max_header_bytes: 100_000, ..ServerOptions::default() };
    let running = Running::start(options, Paths::default());
    for (head, status) in [
        ("GET / HTTP/1.1\r\nhost: a\r\nno field\r\n\r\n".to_owned(), 400),
        ("nonsense\r\n\r\n".to_owned(), 400),
        (format!("GET /{} HTTP/1.1\r\nhost: a\r\n\r\n", "y".repeat(70_000)), 414),
        (format!("GET / HTTP/1.1\r\nhost: a\r\nx: {}\r\n\r\n", "y".repeat(200_000)), 431),
    ] {
        // The same after a request that was answered.
        for first in ["", "GET / HTTP/1.1\r\nhost: a\r\n\r\n"] {
            let mut stream = running.connect().await;
            if !first.is_empty() {
                send(&mut stream, first).await;
                read_until(&mut stream, "hello").await;
            }
            send(&mut stream, &head).await;
            readable_elsewhere(&read_to_end(&mut stream).await, status);
        }
    }
    let _ = running.stop().await;
    let running = Running::start(ServerOptions { max_connections: 1, ..ServerOptions::default() }, Paths::default());
    let mut first = running.connect().await;
    send(&mut first, "GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
    read_until(&mut first, "hello").await;
    readable_elsewhere(&read_to_end(&mut running.connect().await).await, 503);
}

/// Asserts that a page of another origin can read a response: its status, its text, and when to retry.
#[track_caller]
fn readable_elsewhere(text: &str, status: u16) {
    let (head, body) = text.split_once("\r\n\r\n").expect("an answer");
    assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{text}");
    assert!(head.contains("\r\naccess-control-allow-origin: *\r\n"), "{text}");
    assert!(head.contains("\r\naccess-control-expose-headers: *, ") && head.contains("Retry-After"), "{text}");
    assert!(head.ends_with(&format!("content-length: {}", body.len())) && !body.is_empty(), "{text}");
}
