//! Tests of the client against scripted listeners, with time moved by hand.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http::Request;
use http_body::Frame;
use http_body_util::{Full, StreamBody};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::mpsc,
};

use super::{ClientResponse, HttpClient, HttpClientError, ServerAddress};
use crate::{
    clock::{ManualClock, Timestamp},
    network::Proxies,
};

const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

struct World {
    listener: TcpListener,
    clock: Arc<ManualClock>,
    peer: HttpClient,
}

async fn world() -> World {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("there is a free port");
    let address = listener.local_addr().expect("it is bound");
    let clock = Arc::new(ManualClock::new(Timestamp::from_millis(0)));
    let address = ServerAddress::parse(&format!("http://{address}")).expect("an address");
    World { listener, peer: HttpClient::leader(address, clock.clone()), clock }
}

#[tokio::test]
async fn an_upstream_behind_a_proxy_is_asked_for_by_its_whole_url() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("there is a free port");
    let url = format!("http://user:s3cret@{}", listener.local_addr().expect("it is bound"));
    let proxies = Proxies::new(|name| (name == "HTTP_PROXY").then_some(url.as_str()));
    let clock = Arc::new(ManualClock::new(Timestamp::from_millis(0)));
    let address = ServerAddress::parse_upstream("http://upstream.invalid:8011").expect("an address");
    let peer = HttpClient::upstream(address, &proxies, clock).expect("it takes no TLS");
    let serving = async {
        let (mut stream, _) = listener.accept().await.expect("it connects");
        let asked = read_until(&mut stream, "body").await;
        stream.write_all(OK).await.expect("it is taken");
        asked
    };
    let (answer, asked) = tokio::join!(peer.send(request("body")), serving);
    assert_eq!(read_whole(answer.expect("it answers")).await.expect("it is whole"), b"ok");
    assert!(asked.starts_with("POST http://upstream.invalid:8011/path?query HTTP/1.1\r\n"), "{asked}");
    assert!(asked.contains("host: upstream.invalid:8011\r\n"), "{asked}");
    assert!(asked.contains("proxy-authorization: Basic dXNlcjpzM2NyZXQ=\r\n"), "{asked}");
}

fn request(body: &'static str) -> Request<Full<Bytes>> {
    let mut request = Request::new(Full::from(body));
    *request.method_mut() = http::Method::POST;
    *request.uri_mut() = "/path?query".parse().expect("a path");
    request
}

/// Reads from a connection until the text received ends with `end`.
async fn read_until(stream: &mut TcpStream, end: &str) -> String {
    let mut came = Vec::new();
    while !came.ends_with(end.as_bytes()) {
        let mut byte = [0];
        stream.read_exact(&mut byte).await.expect("more comes");
        came.push(byte[0]);
    }
    String::from_utf8(came).expect("text")
}

async fn read_whole(mut answer: ClientResponse) -> Result<Vec<u8>, HttpClientError> {
    let mut whole = Vec::new();
    while let Some(chunk) = answer.body.chunk().await? {
        whole.extend_from_slice(&chunk);
    }
    Ok(whole)
}

/// Moves the clock until `call` ends.
async fn with_time<T>(clock: &ManualClock, call: impl Future<Output = T>) -> T {
    let moving = async {
        loop {
            // A pause in real time, so that the sockets deliver first.
            tokio::time::timeout(Duration::from_millis(5), std::future::pending::<()>()).await.unwrap_err();
            clock.advance(Duration::from_secs(1));
        }
    };
    tokio::select! {
        ended = call => ended,
        () = moving => unreachable!("it never ends"),
    }
}

#[tokio::test]
async fn a_request_is_marked_and_its_connection_serves_the_next() {
    let world = world().await;
    let serve = async {
        let (mut stream, _) = world.listener.accept().await.expect("a connection");
        for _ in 0..3 {
            let came = read_until(&mut stream, "flour").await.to_ascii_lowercase();
            assert!(came.starts_with("post /path?query http/1.1\r\n"), "{came}");
            assert!(came.contains("larder-forwarded: 1\r\n") && came.contains("host: 127.0.0.1:"), "{came}");
            assert!(came.contains("content-length: 5\r\n"), "{came}");
            stream.write_all(OK).await.expect("it is taken");
        }
    };
    let ask = async {
        for _ in 0..3 {
            let answer = world.peer.send(request("flour")).await.expect("an answer");
            assert_eq!((answer.head.status.as_u16(), answer.body.length()), (200, Some(2)));
            assert_eq!(read_whole(answer).await.expect("whole"), b"ok");
        }
    };
    tokio::join!(serve, ask);
}

#[tokio::test]
async fn a_kept_connection_that_was_closed_is_replaced() {
    let world = world().await;
    let serve = async {
        for _ in 0..3 {
            let (mut stream, _) = world.listener.accept().await.expect("a connection");
            read_until(&mut stream, "flour").await;
            stream.write_all(OK).await.expect("it is taken");
        }
    };
    let ask = async {
        for _ in 0..3 {
            let answer = world.peer.send(request("flour")).await.expect("an answer");
            assert_eq!(read_whole(answer).await.expect("whole"), b"ok");
            tokio::time::timeout(Duration::from_millis(20), std::future::pending::<()>()).await.unwrap_err();
        }
    };
    tokio::join!(serve, ask);
}

#[tokio::test]
async fn a_silent_gateway_times_out() {
    let world = world().await;
    let silent = with_time(&world.clock, world.peer.send(request("flour"))).await;
    assert!(matches!(silent, Err(HttpClientError::Silent)), "{silent:?}");
    let (mut stream, _) = world.listener.accept().await.expect("a connection");
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).await.expect("the connection was closed");

    let stall = async {
        let (mut stream, _) = world.listener.accept().await.expect("a connection");
        read_until(&mut stream, "flour").await;
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\nha").await.expect("it is taken");
        stream.read_to_end(&mut Vec::new()).await.expect("the connection was closed");
    };
    let ask = async {
        let answer = world.peer.send(request("flour")).await.expect("its head");
        let stalled = with_time(&world.clock, read_whole(answer)).await;
        assert!(matches!(stalled, Err(HttpClientError::Silent)), "{stalled:?}");
    };
    tokio::join!(stall, ask);
}

#[tokio::test]
async fn a_slow_client_is_not_held_against_the_other_gateway() {
    let world = world().await;
    let (chunks, receiver) = mpsc::unbounded_channel::<Result<Frame<Bytes>, std::io::Error>>();
    let body = stream::unfold(receiver, async |mut receiver| Some((receiver.recv().await?, receiver)));
    let slow = request("").map(|_| StreamBody::new(body.boxed()));
    let serve = async {
        let (mut stream, _) = world.listener.accept().await.expect("a connection");
        read_until(&mut stream, "0\r\n\r\n").await;
        stream.write_all(OK).await.expect("it is taken");
    };
    let send = async {
        for _ in 0..3 {
            chunks.send(Ok(Frame::data(Bytes::from_static(b"flour")))).expect("it is read");
            for _ in 0..50 {
                world.clock.advance(Duration::from_secs(1));
                tokio::time::timeout(Duration::from_millis(1), std::future::pending::<()>()).await.unwrap_err();
            }
        }
        drop(chunks);
    };
    let (answer, (), ()) = tokio::join!(world.peer.send(slow), serve, send);
    assert_eq!(read_whole(answer.expect("an answer")).await.expect("whole"), b"ok");
}

#[tokio::test]
async fn an_aborted_request_is_distinguished_from_an_aborted_response() {
    let world = world().await;
    let chunks = [Ok(Frame::data(Bytes::from_static(b"flour"))), Err(std::io::Error::other("the client left"))];
    let broken = request("").map(|_| StreamBody::new(stream::iter(chunks)));
    let answer = world.peer.send(broken).await;
    assert!(matches!(answer, Err(HttpClientError::Request)), "{answer:?}");

    let serve = async {
        drop(world.listener.accept().await.expect("the connection that broke off"));
        let (mut stream, _) = world.listener.accept().await.expect("a connection");
        read_until(&mut stream, "flour").await;
    };
    let (answer, ()) = tokio::join!(world.peer.send(request("flour")), serve);
    assert!(matches!(answer, Err(HttpClientError::Broken(_))), "{answer:?}");
    drop(world.listener);
    let answer = world.peer.send(request("flour")).await;
    assert!(matches!(answer, Err(HttpClientError::Unreachable(_))), "{answer:?}");
}
