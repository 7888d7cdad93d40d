//! Faults of the proxy: each does what its name says, to its own requests, and to no others.

use std::{
    io::ErrorKind,
    time::{Duration, Instant},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::timeout,
};

use crate::{
    proxy::{Ending, Fault, Pace, Place, Proxy, Refusal, Request, Times},
    tiny::{Client, Tiny, connect},
};

/// Timeout for any step of a test.
const WAIT_TIMEOUT: Duration = Duration::from_secs(20);

/// A delay that is distinguishable from none.
const DELAY: Duration = Duration::from_millis(150);

/// Time without an event that counts as never.
const NEVER: Duration = Duration::from_millis(300);

async fn both() -> (Tiny, Proxy) {
    let tiny = Tiny::start().await;
    let proxy = Proxy::before(&tiny.endpoint()).await;
    (tiny, proxy)
}

fn any(_: &Request) -> bool {
    true
}

#[tokio::test]
async fn a_fault_meets_so_many_of_those_it_is_meant_for() {
    let (_tiny, proxy) = both().await;
    let armed = proxy.arm(Fault::Refuse(Refusal::slow_down()), Times::Next(2), |request| request.method == "GET");
    let mut client = Client::open(&proxy.endpoint()).await;
    let mut statuses = Vec::new();
    for method in ["PUT", "GET", "PUT", "GET", "GET", "PUT"] {
        statuses.push(client.ask(method, "/a", b"").await.unwrap().status);
    }
    assert_eq!(statuses, [200, 503, 200, 503, 200, 200]);
    assert_eq!(armed.hits(), 2);
}

#[tokio::test]
async fn a_fault_may_last_until_it_is_disarmed_and_the_first_one_wins() {
    let (_tiny, proxy) = both().await;
    let first = proxy.arm(Fault::Refuse(Refusal::slow_down()), Times::UntilDisarmed, |request| request.path == "/a");
    proxy.arm(Fault::Refuse(Refusal::internal_error()), Times::UntilDisarmed, any);
    let mut client = Client::open(&proxy.endpoint()).await;
    for _ in 0..5 {
        assert_eq!(client.ask("GET", "/a", b"").await.unwrap().status, 503);
        assert_eq!(client.ask("GET", "/b", b"").await.unwrap().status, 500);
    }
    assert_eq!(first.hits(), 5);
    first.disarm();
    assert_eq!(client.ask("GET", "/a", b"").await.unwrap().status, 500);
}

#[tokio::test]
async fn a_delayed_request_is_done_though_the_gateway_has_left() {
    let (tiny, proxy) = both().await;
    proxy.arm(Fault::DelayRequest(DELAY), Times::UntilDisarmed, any);
    let began = Instant::now();
    let mut stream = connect(&proxy.endpoint()).await.unwrap();
    stream.write_all(b"PUT /a HTTP/1.1\r\nhost: t\r\ncontent-length: 4\r\n\r\nlate").await.unwrap();
    drop(stream);
    assert_eq!(tiny.wait_for("/a").await, "late");
    assert!(began.elapsed() >= DELAY);
    // And one who waits gets the answer.
    let mut client = Client::open(&proxy.endpoint()).await;
    assert_eq!(client.ask("GET", "/a", b"").await.unwrap().body, "late");
}

#[tokio::test]
async fn a_delayed_answer_comes_after_the_request_is_done() {
    let (tiny, proxy) = both().await;
    proxy.arm(Fault::DelayAnswer(DELAY), Times::Next(1), any);
    let mut client = Client::open(&proxy.endpoint()).await;
    let began = Instant::now();
    let (done, answer) = tokio::join!(
        async {
            tiny.wait_for("/a").await;
            began.elapsed()
        },
        async { client.ask("PUT", "/a", b"value").await.map(|answer| (answer.status, began.elapsed())) }
    );
    let (status, answered) = answer.unwrap();
    assert_eq!(status, 200);
    assert!(answered >= DELAY && done < answered, "{done:?} {answered:?}");
    assert_eq!(client.ask("PUT", "/a", b"again").await.unwrap().status, 200, "the connection is as good as before");
}

#[tokio::test]
async fn a_request_is_cut_at_any_byte_and_leaves_nothing() {
    let (tiny, proxy) = both().await;
    for ending in [Ending::Close, Ending::Reset] {
        for place in [Place::Head(0), Place::Head(1), Place::Head(30), Place::Body(0), Place::Body(1), Place::Body(8)] {
            let armed = proxy.arm(Fault::CutRequest(place, ending), Times::Next(1), any);
            let mut client = Client::open(&proxy.endpoint()).await;
            assert!(client.ask("PUT", "/a", b"123456789").await.is_err(), "{place:?}");
            assert_eq!(armed.hits(), 1);
        }
    }
    let mut client = Client::open(&proxy.endpoint()).await;
    assert_eq!(client.ask("GET", "/a", b"").await.unwrap().status, 404);
    assert_eq!(tiny.object("/a"), None);
}

#[tokio::test]
async fn an_answer_is_cut_at_any_byte() {
    let (_tiny, proxy) = both().await;
    Client::open(&proxy.endpoint()).await.ask("PUT", "/a", b"123456789").await.unwrap();
    let read = async |fault| {
        proxy.arm(fault, Times::Next(1), any);
        let mut stream = connect(&proxy.endpoint()).await.unwrap();
        stream.write_all(b"GET /a HTTP/1.1\r\nhost: t\r\n\r\n").await.unwrap();
        let mut answer = Vec::new();
        let ended = timeout(WAIT_TIMEOUT, stream.read_to_end(&mut answer)).await.expect("it ends");
        (ended.map_err(|error| error.kind()), answer)
    };
    for bytes in [0, 1, 20, 40] {
        let (ended, answer) = read(Fault::CutAnswer(Place::Head(bytes), Ending::Close)).await;
        assert_eq!((ended, answer.len() as u64), (Ok(answer.len()), bytes));
    }
    for bytes in [0, 1, 8, 9] {
        let (_, answer) = read(Fault::CutAnswer(Place::Body(bytes), Ending::Close)).await;
        let (_, body) = answer.split_at(answer.windows(4).position(|end| end == b"\r\n\r\n").unwrap() + 4);
        assert_eq!(body.len() as u64, bytes);
    }
    let (ended, _) = read(Fault::CutAnswer(Place::Body(3), Ending::Reset)).await;
    assert_eq!(ended, Err(ErrorKind::ConnectionReset));
}

#[tokio::test]
async fn a_lost_answer_is_lost_after_the_request_is_done() {
    let (tiny, proxy) = both().await;
    for (path, ending, kind) in [("/a", Ending::Close, Ok(0)), ("/b", Ending::Reset, Err(ErrorKind::ConnectionReset))] {
        proxy.arm(Fault::LoseResponse(ending), Times::Next(1), any);
        let mut stream = connect(&proxy.endpoint()).await.unwrap();
        let request = format!("PUT {path} HTTP/1.1\r\nhost: t\r\ncontent-length: 4\r\n\r\ndone");
        stream.write_all(request.as_bytes()).await.unwrap();
        let ended = timeout(WAIT_TIMEOUT, stream.read(&mut [0])).await.expect("it ends");
        assert_eq!(ended.map_err(|error| error.kind()), kind);
        assert_eq!(tiny.object(path).unwrap(), "done");
    }
}

#[tokio::test]
async fn a_refusal_speaks_as_an_object_store_does_and_the_object_store_hears_nothing() {
    let (tiny, proxy) = both().await;
    let refusals = [
        (Refusal::slow_down().with_retry_after(2), 503, "SlowDown", Some("2")),
        (Refusal::internal_error(), 500, "InternalError", None),
        (Refusal::too_many_requests(), 429, "TooManyRequests", None),
    ];
    let mut client = Client::open(&proxy.endpoint()).await;
    for (refusal, status, code, retry_after) in refusals {
        proxy.arm(Fault::Refuse(refusal), Times::Next(2), any);
        let answer = client.ask("PUT", "/a", b"value").await.unwrap();
        assert_eq!((answer.status, answer.header("retry-after")), (status, retry_after));
        let body = answer.text();
        assert!(body.contains(&format!("<Error><Code>{code}</Code>")), "{body}");
        assert_eq!(client.ask("HEAD", "/a", b"").await.unwrap().body, "");
    }
    assert_eq!(client.ask("GET", "/a", b"").await.unwrap().status, 404);
    assert_eq!((tiny.object("/a"), proxy.accepted_connections()), (None, 1));
}

#[tokio::test]
async fn a_refusal_may_come_before_the_body() {
    let (tiny, proxy) = both().await;
    proxy.arm(Fault::Refuse(Refusal::slow_down().before_the_body()), Times::Next(1), any);
    let mut stream = connect(&proxy.endpoint()).await.unwrap();
    stream.write_all(b"PUT /a HTTP/1.1\r\nhost: t\r\ncontent-length: 100\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    timeout(WAIT_TIMEOUT, stream.read_to_string(&mut answer)).await.expect("it ends").unwrap();
    assert!(answer.starts_with("HTTP/1.1 503") && answer.contains("connection: close"), "{answer}");
    assert_eq!(tiny.object("/a"), None);
}

#[tokio::test]
async fn a_trickle_takes_its_time() {
    let (_tiny, proxy) = both().await;
    let mut client = Client::open(&proxy.endpoint()).await;
    client.ask("PUT", "/a", &[7; 200]).await.unwrap();
    proxy.arm(Fault::TrickleAnswer(Pace { bytes: 20, every: DELAY / 10 }), Times::Next(1), any);
    let began = Instant::now();
    assert_eq!(client.ask("GET", "/a", b"").await.unwrap().body, &[7; 200][..]);
    assert!(began.elapsed() >= DELAY, "{:?}", began.elapsed());
}

#[tokio::test]
async fn silence_lasts_and_leaves_others_alone() {
    let (tiny, proxy) = both().await;
    proxy.arm(Fault::NeverAnswer, Times::Next(1), any);
    let mut silent = connect(&proxy.endpoint()).await.unwrap();
    silent.write_all(b"PUT /a HTTP/1.1\r\nhost: t\r\ncontent-length: 4\r\n\r\nlost").await.unwrap();
    assert!(timeout(NEVER, silent.read(&mut [0])).await.is_err(), "nothing comes, not even an end");
    let mut client = Client::open(&proxy.endpoint()).await;
    assert_eq!(client.ask("PUT", "/b", b"value").await.unwrap().status, 200);
    assert_eq!(tiny.object("/a"), None);
}

#[tokio::test]
async fn new_connections_are_refused_until_they_are_accepted_again() {
    let (_tiny, proxy) = both().await;
    let mut client = Client::open(&proxy.endpoint()).await;
    client.ask("PUT", "/a", b"value").await.unwrap();
    proxy.refuse_connections().await;
    assert_eq!(connect(&proxy.endpoint()).await.unwrap_err().kind(), ErrorKind::ConnectionRefused);
    assert_eq!(client.ask("GET", "/a", b"").await.unwrap().status, 200, "an open one goes on");
    proxy.accept_connections().await;
    let mut other = Client::open(&proxy.endpoint()).await;
    assert_eq!(other.ask("GET", "/a", b"").await.unwrap().status, 200);
}

#[tokio::test]
async fn idle_connections_end_in_the_way_that_is_asked_for_and_busy_ones_go_on() {
    let (_tiny, proxy) = both().await;
    for (ending, expected) in [(Ending::Close, Ok(0)), (Ending::Reset, Err(ErrorKind::ConnectionReset))] {
        let mut idle = connect(&proxy.endpoint()).await.unwrap();
        idle.write_all(b"HEAD /a HTTP/1.1\r\nhost: t\r\n\r\n").await.unwrap();
        let mut answer = [0; 1024];
        assert!(idle.read(&mut answer).await.unwrap() > 0);
        let mut busy = Client::open(&proxy.endpoint()).await;
        let armed = proxy.arm(Fault::DelayRequest(DELAY), Times::Next(1), any);
        let (ended, answer) = tokio::join!(
            async {
                while armed.hits() == 0 {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
                proxy.end_idle_connections(ending).await
            },
            busy.ask("PUT", "/a", b"value")
        );
        assert_eq!((ended, answer.unwrap().status), (1, 200));
        let read = timeout(WAIT_TIMEOUT, idle.read(&mut [0])).await.expect("it ended");
        assert_eq!(read.map_err(|error| error.kind()), expected);
        assert_eq!(proxy.end_connections().await, 1, "the busy one");
    }
}
