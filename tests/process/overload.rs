//! Overload: more requests than the capacity, and more connections than requests.

use std::{net::TcpStream, time::Duration};

use larder::server::raise_file_limit;

use crate::{
    client::{Client, Upload},
    program::{Program, WAIT_TIMEOUT, now, pause, until},
};

/// Connections on which nothing is asked.
const IDLE: u32 = 10_000;

/// Maximum memory for each of them, in bytes.
const MEMORY_OF_IDLE: u64 = 20 * 1024;

fn get(client: &mut Client, path: &str) -> (u16, Option<String>, String) {
    let answer = client.send("GET", path, "text/plain", Upload::None).expect("it answers");
    let (status, retry_after) = (answer.status, answer.header("retry-after").map(str::to_owned));
    (status, retry_after, answer.text().expect("a body"))
}

#[test]
fn in_an_overload_some_requests_get_503_and_started_ones_finish() {
    let folder = tempfile::tempdir().expect("a folder");
    let program = Program::serve(folder.path(), &["--max-requests", "4"]);
    let path = program.records_of("busy");
    // Each of them keeps a place for as long as it may: three times as many as there are places.
    let head = "content-type: text/plain\r\ncontent-length: 2\r\n";
    let began = now();
    let mut slow: Vec<Client> = (0..12)
        .map(|at| {
            let mut client = program.client();
            client.begin("PUT", &format!("{path}/slow-{at}"), head).expect("it is sent");
            client
        })
        .collect();
    pause(Duration::from_millis(1300).saturating_sub(began.elapsed()));
    let asked = now();
    let (status, retry_after, text) = get(&mut program.client(), &format!("{path}/slow-0"));
    assert_eq!((status, retry_after.as_deref()), (503, Some("1")), "{text}");
    assert!(text.contains("service-unavailable"), "{text}");
    assert!(asked.elapsed() < Duration::from_millis(500), "it was told only after {:?}", asked.elapsed());
    for health in ["/health/live", "/health/ready"] {
        assert_eq!(get(&mut program.client(), health).0, 200, "{health}");
    }
    let figures = get(&mut program.client(), "/metrics").2;
    assert!(figures.contains("\nlarder_requests_rejected_total 1\n"), "{figures}");

    for (at, client) in slow.iter_mut().enumerate() {
        client.write(b"ok").expect("it is sent");
        assert_eq!(client.answer(false).expect("it answers").status, 201, "the upload {at}");
    }
    let (status, _, text) = get(&mut program.client(), &format!("{path}/slow-11"));
    assert_eq!((status, text.as_str()), (200, "ok"));
    let said = program.stop().stderr;
    assert_eq!(said.matches("overloaded").count(), 1, "{said}");
}

#[test]
fn a_request_without_a_record_needs_a_place_whatever_framing_its_body_has() {
    const POLLS: usize = 40;
    let folder = tempfile::tempdir().expect("a folder");
    let program = Program::serve(folder.path(), &["--max-requests", "1"]);
    let mut client = program.client();
    let started = client.send("POST", "/v2/acts/baker/runs", "text/plain", Upload::None).expect("it answers");
    let text = started.text().expect("a body");
    let run = text.split("\"id\":\"").nth(1).and_then(|rest| rest.split('"').next()).expect("a run").to_owned();
    let rejected = || {
        let figures = get(&mut program.client(), "/metrics").2;
        let count = figures.lines().find_map(|line| line.strip_prefix("larder_requests_rejected_total "));
        count.and_then(|count| count.parse::<usize>().ok()).unwrap_or_default()
    };
    let polls: Vec<Client> = (0..POLLS)
        .map(|_| {
            let mut client = program.client();
            let path = format!("/v2/actor-runs/{run}?waitForFinish=60");
            client.begin("GET", &path, "transfer-encoding: chunked\r\n").expect("it is sent");
            client
        })
        .collect();
    until("polls are told to come back", || rejected() > 0);
    drop(polls);
    assert!(program.stop().status.success());
}

#[test]
fn ten_thousand_idle_connections_cost_little_and_are_in_nobodys_way() {
    let limit = raise_file_limit();
    assert!(limit > u64::from(IDLE) + 1000, "only {limit} files may be open: raise ulimit -Hn");
    let folder = tempfile::tempdir().expect("a folder");
    // They all come from this machine: its share is not what this is about.
    let program = Program::serve(folder.path(), &["--idle-timeout", "5m", "--max-client-connections", "16384"]);
    let path = program.records_of("idle");
    let mut client = program.client();
    let time = |client: &mut Client| {
        let began = now();
        assert_eq!(get(client, &format!("{path}/nothing")).0, 404);
        began.elapsed()
    };
    time(&mut client);
    let before = program.peak_memory();
    let idle: Vec<TcpStream> = (0..IDLE)
        .map(|_| {
            let connection = TcpStream::connect_timeout(&program.address, WAIT_TIMEOUT).expect("it accepts");
            connection.set_nodelay(true).expect("it is open");
            connection
        })
        .collect();
    until("all connections are counted", || {
        let figures = get(&mut client, "/metrics").2;
        let open = figures.lines().find_map(|line| line.strip_prefix("larder_connections "));
        open.is_some_and(|open| open.parse::<f64>().is_ok_and(|open| open > f64::from(IDLE)))
    });
    let grown = program.peak_memory().saturating_sub(before);
    assert!(grown < u64::from(IDLE) * MEMORY_OF_IDLE, "grown by {grown} bytes, {} each", grown / u64::from(IDLE));
    println!("{IDLE} idle connections: {} bytes each", grown / u64::from(IDLE));
    for _ in 0..100 {
        assert!(time(&mut client) < WAIT_TIMEOUT);
    }
    assert_eq!(get(&mut program.client(), "/health/ready").0, 200, "there is room for more");
    drop(idle);
    until("they are gone", || {
        let figures = get(&mut client, "/metrics").2;
        figures
            .lines()
            .any(|line| line.strip_prefix("larder_connections ").is_some_and(|open| open.parse() == Ok(1.0_f64)))
    });
}
