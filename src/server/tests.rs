//! Tests of the server against clients that speak raw TCP.

use std::{
    convert::Infallible,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full, combinators::BoxBody};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
    sync::{Notify, oneshot},
    task::JoinHandle,
    time::timeout,
};

use crate::clock::{Clock, SystemClock};

use super::{BindError, ClientAddr, Drained, Handler, RequestBody, Server, ServerOptions, Workers};

/// Maximum time that a test waits before it fails.
const WAIT_TIMEOUT: Duration = Duration::from_secs(20);

/// A handler that answers by path, as the tests need it.
#[derive(Default)]
pub(super) struct Paths {
    /// Bytes received by requests to `/read`.
    received: Arc<AtomicU64>,
    /// Lets requests to `/wait` go on.
    go: Arc<Notify>,
    /// Signals that a request to `/wait` has arrived.
    arrived: Arc<Notify>,
}

impl Handler for Paths {
    type Body = BoxBody<Bytes, Infallible>;

    async fn handle(&self, mut request: Request<RequestBody>, _: ClientAddr) -> Response<Self::Body> {
        match request.uri().path() {
            "/reject" => reply(401, "refused"),
            "/panic" => panic!("on purpose"),
            "/big" => Response::new(Full::new(Bytes::from(vec![b'x'; 64 * 1024 * 1024])).boxed()),
            "/wait" => {
                self.arrived.notify_one();
                self.go.notified().await;
                reply(200, "waited")
            }
            "/read" => {
                while let Some(frame) = request.body_mut().frame().await {
                    let Ok(frame) = frame else { return reply(400, "cut off") };
                    let length = frame.data_ref().map_or(0, Bytes::len);
                    self.received.fetch_add(length as u64, Relaxed);
                }
                reply(200, "read")
            }
            _ => reply(200, "hello"),
        }
    }

    fn panicked(&self) -> Response<Self::Body> {
        reply(500, "sorry")
    }

    fn without_host(&self, _: Request<RequestBody>, _: &ClientAddr) -> Response<Self::Body> {
        reply(400, "which host?")
    }
}

fn reply(status: u16, text: &'static str) -> Response<BoxBody<Bytes, Infallible>> {
    let mut reply = Response::new(Full::new(Bytes::from_static(text.as_bytes())).boxed());
    *reply.status_mut() = http::StatusCode::from_u16(status).expect("a status");
    reply
}

pub(super) struct Running {
    pub(super) address: SocketAddr,
    stop: oneshot::Sender<()>,
    ended: JoinHandle<Drained>,
}

impl Running {
    #[expect(clippy::disallowed_methods, reason = "a test has no tracker of tasks")]
    pub(super) fn start(mut options: ServerOptions, handler: Paths) -> Self {
        options.listen = SocketAddr::from(([127, 0, 0, 1], 0));
        let server = Server::bind(options, Arc::new(SystemClock)).expect("a free port");
        let address = server.local_addr();
        let (stop, stopped) = oneshot::channel();
        let ended = tokio::spawn(async move {
            let workers = Workers::start(2).expect("there are threads");
            let drained = server.run(handler, &workers, async move { drop(stopped.await) }).await;
            workers.stop().await;
            drained
        });
        Self { address, stop, ended }
    }

    #[expect(clippy::disallowed_methods, reason = "there is one address")]
    pub(super) async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.expect("the server accepts")
    }

    pub(super) async fn stop(self) -> Drained {
        let _ = self.stop.send(());
        timeout(WAIT_TIMEOUT, self.ended).await.expect("it ends").expect("it does not panic")
    }
}

pub(super) async fn send(stream: &mut TcpStream, text: &str) {
    stream.write_all(text.as_bytes()).await.expect("the server reads");
}

/// Reads until `ending` was received.
pub(super) async fn read_until(stream: &mut TcpStream, ending: &str) -> String {
    let mut text = Vec::new();
    while !text.ends_with(ending.as_bytes()) {
        let mut byte = [0];
        let read = timeout(WAIT_TIMEOUT, stream.read(&mut byte)).await.expect("it answers").expect("it is not reset");
        assert_eq!(read, 1, "closed after {:?}", String::from_utf8_lossy(&text));
        text.push(byte[0]);
    }
    String::from_utf8(text).expect("text")
}

/// Reads until the server closes.
pub(super) async fn read_to_end(stream: &mut TcpStream) -> String {
    let mut text = Vec::new();
    timeout(WAIT_TIMEOUT, stream.read_to_end(&mut text)).await.expect("it closes").expect("it is not reset");
    String::from_utf8_lossy(&text).into_owned()
}

#[tokio::test]
async fn requests_follow_one_another_on_a_connection() {
    let running = Running::start(ServerOptions::default(), Paths::default());
    let mut stream = running.connect().await;
    for _ in 0..3 {
        send(&mut stream, "GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
        assert!(read_until(&mut stream, "hello").await.starts_with("HTTP/1.1 200"));
    }
    assert_eq!(running.stop().await, Drained { cut_off: 0 });
}

#[tokio::test]
async fn a_client_that_is_refused_early_sees_the_answer_and_no_reset() {
    let running = Running::start(ServerOptions::default(), Paths::default());
    let mut stream = running.connect().await;
    let length = 20 * 1024 * 1024;
    send(&mut stream, &format!("PUT /reject HTTP/1.1\r\nhost: a\r\ncontent-length: {length}\r\n\r\n")).await;
    // Like many clients, this one sends everything before it reads.
    let chunk = vec![b'x'; 1024 * 1024];
    for _ in 0..20 {
        stream.write_all(&chunk).await.expect("the server goes on reading");
    }
    let answer = read_to_end(&mut stream).await;
    assert!(answer.starts_with("HTTP/1.1 401"), "{answer}");
    assert!(answer.to_ascii_lowercase().contains("connection: close"), "{answer}");
    assert!(answer.ends_with("refused"), "{answer}");
}

#[tokio::test]
async fn a_small_unread_body_does_not_cost_the_connection() {
    let running = Running::start(ServerOptions::default(), Paths::default());
    let mut stream = running.connect().await;
    for _ in 0..3 {
        send(&mut stream, "PUT /reject HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\n\r\nabc").await;
        assert!(read_until(&mut stream, "refused").await.starts_with("HTTP/1.1 401"));
    }
}

#[tokio::test]
async fn a_client_that_expects_leave_to_send_gets_it_or_the_refusal() {
    let running = Running::start(ServerOptions::default(), Paths::default());
    let mut stream = running.connect().await;
    send(&mut stream, "PUT /read HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: 3\r\n\r\n").await;
    assert_eq!(read_until(&mut stream, "\r\n\r\n").await, "HTTP/1.1 100 Continue\r\n\r\n");
    send(&mut stream, "abc").await;
    assert!(read_until(&mut stream, "read").await.starts_with("HTTP/1.1 200"));
    send(&mut stream, "PUT /reject HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: 3\r\n\r\n").await;
    let refusal = read_to_end(&mut stream).await;
    assert!(refusal.starts_with("HTTP/1.1 401"), "{refusal}");
    assert!(refusal.to_ascii_lowercase().contains("connection: close"), "{refusal}");
}

#[tokio::test]
async fn a_panic_is_a_500_of_its_own_request_only() {
    let running = Running::start(ServerOptions::default(), Paths::default());
    let (mut one, mut other) = (running.connect().await, running.connect().await);
    send(&mut one, "GET /panic HTTP/1.1\r\nhost: a\r\n\r\n").await;
    assert!(read_until(&mut one, "sorry").await.starts_with("HTTP/1.1 500"));
    send(&mut other, "GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
    assert!(read_until(&mut other, "hello").await.starts_with("HTTP/1.1 200"));
}

#[tokio::test]
async fn connections_above_the_limit_get_503() {
    let options = ServerOptions { max_connections: 1, ..ServerOptions::default() };
    let running = Running::start(options, Paths::default());
    let mut first = running.connect().await;
    send(&mut first, "GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
    read_until(&mut first, "hello").await;
    let mut second = running.connect().await;
    send(&mut second, "GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
    let refusal = read_to_end(&mut second).await;
    assert!(refusal.starts_with("HTTP/1.1 503"), "{refusal}");
    assert!(refusal.contains("retry-after: 1"), "{refusal}");
    drop(first);
    // The slot is free as soon as the server has noticed that the first client left.
    for _ in 0..100 {
        let mut third = running.connect().await;
        send(&mut third, "GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").await;
        if read_to_end(&mut third).await.starts_with("HTTP/1.1 200") {
            return;
        }
        SystemClock.sleep(Duration::from_millis(20)).await;
    }
    panic!("the place was never free again");
}

#[tokio::test]
async fn headers_that_are_too_long_or_too_many_are_refused() {
    let running = Running::start(ServerOptions::default(), Paths::default());
    let mut stream = running.connect().await;
    send(&mut stream, &format!("GET / HTTP/1.1\r\nhost: a\r\nx: {}\r\n\r\n", "y".repeat(100_000))).await;
    assert!(read_to_end(&mut stream).await.starts_with("HTTP/1.1 431"));
    let mut stream = running.connect().await;
    send(&mut stream, &format!("GET / HTTP/1.1\r\nhost: a\r\n{}\r\n", "x: y\r\n".repeat(200))).await;
    assert!(read_to_end(&mut stream).await.starts_with("HTTP/1.1 431"));
}

#[tokio::test]
async fn a_head_that_never_ends_and_a_connection_that_stands_idle_are_closed() {
    let options = ServerOptions {
        header_timeout: Duration::from_millis(200),
        idle_timeout: Duration::from_millis(200),
        ..ServerOptions::default()
    };
    let running = Running::start(options, Paths::default());
    let mut silent = running.connect().await;
    assert_eq!(read_to_end(&mut silent).await, "");
    let mut slow = running.connect().await;
    send(&mut slow, "GET / HT").await;
    assert_eq!(read_to_end(&mut slow).await, "");
    let mut idle = running.connect().await;
    send(&mut idle, "GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
    read_until(&mut idle, "hello").await;
    assert_eq!(read_to_end(&mut idle).await, "");
}

#[tokio::test]
async fn a_head_that_comes_byte_by_byte_is_cut_off_as_well() {
    let options = ServerOptions { header_timeout: Duration::from_millis(200), ..ServerOptions::default() };
    let running = Running::start(options, Paths::default());
    let mut trickling = running.connect().await;
    send(&mut trickling, "GET / HTTP/1.1\r\nx: ").await;
    let began = SystemClock.monotonic();
    while trickling.write_all(b"y").await.is_ok() {
        SystemClock.sleep(Duration::from_millis(20)).await;
        assert!(SystemClock.monotonic() < began + WAIT_TIMEOUT, "it takes a head for as long as one comes");
    }
}

#[tokio::test]
async fn an_upload_that_stands_still_is_cut_off_and_one_that_is_slow_is_not() {
    let options = ServerOptions { stall_timeout: Duration::from_millis(400), ..ServerOptions::default() };
    let running = Running::start(options, Paths::default());
    let mut slow = running.connect().await;
    send(&mut slow, "PUT /read HTTP/1.1\r\nhost: a\r\ncontent-length: 10\r\n\r\n").await;
    for _ in 0..10 {
        SystemClock.sleep(Duration::from_millis(100)).await;
        send(&mut slow, "x").await;
    }
    assert!(read_until(&mut slow, "read").await.starts_with("HTTP/1.1 200"));
    let mut still = running.connect().await;
    send(&mut still, "PUT /read HTTP/1.1\r\nhost: a\r\ncontent-length: 10\r\n\r\nabc").await;
    assert_eq!(read_to_end(&mut still).await, "");
}

#[tokio::test]
async fn an_unread_download_is_aborted() {
    let options = ServerOptions { stall_timeout: Duration::from_millis(200), ..ServerOptions::default() };
    let running = Running::start(options, Paths::default());
    let mut stream = running.connect().await;
    send(&mut stream, "GET /big HTTP/1.1\r\nhost: a\r\n\r\n").await;
    SystemClock.sleep(Duration::from_secs(2)).await;
    let mut received = 0;
    let mut chunk = vec![0; 1024 * 1024];
    while let Ok(read @ 1..) = timeout(WAIT_TIMEOUT, stream.read(&mut chunk)).await.expect("it is closed") {
        received += read;
    }
    assert!(received < 64 * 1024 * 1024, "{received} bytes came");
}

#[tokio::test]
async fn what_takes_the_server_long_is_not_cut_off() {
    let options = ServerOptions {
        stall_timeout: Duration::from_millis(100),
        idle_timeout: Duration::from_millis(100),
        header_timeout: Duration::from_millis(100),
        ..ServerOptions::default()
    };
    let handler = Paths::default();
    let (go, arrived) = (Arc::clone(&handler.go), Arc::clone(&handler.arrived));
    let running = Running::start(options, handler);
    let mut stream = running.connect().await;
    send(&mut stream, "GET /wait HTTP/1.1\r\nhost: a\r\n\r\n").await;
    arrived.notified().await;
    SystemClock.sleep(Duration::from_millis(600)).await;
    go.notify_one();
    assert!(read_until(&mut stream, "waited").await.starts_with("HTTP/1.1 200"));
}

#[tokio::test]
async fn a_drain_finishes_what_is_in_flight_and_accepts_no_more() {
    let handler = Paths::default();
    let (go, arrived) = (Arc::clone(&handler.go), Arc::clone(&handler.arrived));
    let running = Running::start(ServerOptions::default(), handler);
    let mut idle = running.connect().await;
    send(&mut idle, "GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
    read_until(&mut idle, "hello").await;
    let mut busy = running.connect().await;
    send(&mut busy, "GET /wait HTTP/1.1\r\nhost: a\r\n\r\n").await;
    arrived.notified().await;
    let address = running.address;
    let stopping = running.stop();
    let client = async {
        assert_eq!(read_to_end(&mut idle).await, "");
        assert!(crate::network::connect("127.0.0.1", address.port()).await.is_err(), "a drained server accepted");
        go.notify_one();
        let answer = read_to_end(&mut busy).await;
        assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("waited"), "{answer}");
        assert!(answer.to_ascii_lowercase().contains("connection: close"), "{answer}");
    };
    let (drained, ()) = tokio::join!(stopping, client);
    assert_eq!(drained, Drained { cut_off: 0 });
}

#[tokio::test]
async fn a_drain_cuts_off_what_does_not_end() {
    let options = ServerOptions { drain_timeout: Duration::from_millis(200), ..ServerOptions::default() };
    let handler = Paths::default();
    let arrived = Arc::clone(&handler.arrived);
    let running = Running::start(options, handler);
    let mut busy = running.connect().await;
    send(&mut busy, "GET /wait HTTP/1.1\r\nhost: a\r\n\r\n").await;
    arrived.notified().await;
    assert_eq!(running.stop().await, Drained { cut_off: 1 });
}

#[tokio::test]
async fn an_address_in_use_is_named() {
    let running = Running::start(ServerOptions::default(), Paths::default());
    let options = ServerOptions { listen: running.address, ..ServerOptions::default() };
    let error = Server::bind(options, Arc::new(SystemClock)).expect_err("the port is taken");
    assert!(matches!(error, BindError::InUse { .. }));
    assert!(error.to_string().contains(&running.address.to_string()), "{error}");
}

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
