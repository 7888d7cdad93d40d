//! Many clients that send bodies that do not end: without a token, and with one. They cost bounded memory, and other
//! clients are served meanwhile.

use std::{
    io::{ErrorKind, Write},
    net::{SocketAddr, TcpStream},
    path::Path,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Duration,
};

use async_compression::tokio::write::GzipEncoder;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;

use crate::{
    bucket::{before_bucket, own_prefix},
    client::{Client, Upload},
    program::{Program, TOKEN, WAIT_TIMEOUT, now, pause},
};

/// Connections of strangers at once: in every run, and in the long check.
const STRANGERS: usize = 100;
const MANY_STRANGERS: usize = 400;

/// Maximum growth of the program by strangers, in bytes.
const MAX_GROWTH: u64 = 200 << 20;

/// Maximum ratio of the p99 of bystanders' requests to the same without strangers.
const MAX_SLOWDOWN: u32 = 5;

/// Times below this are the machine's, in which other tests run, and no slowdown.
const NOISE: Duration = Duration::from_millis(10);

/// No bystander waits for so long.
const LONGEST: Duration = Duration::from_secs(1);

/// Duration for which bystanders are watched.
const WATCHED: Duration = Duration::from_secs(2);

/// Returns the beginning of a chunked body that decodes to 9 MiB and goes on: some 9 KiB.
fn endless_body() -> Vec<u8> {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let encoded = runtime.block_on(async {
        let mut encoder = GzipEncoder::new(Vec::new());
        encoder.write_all(b"{\"name\":[").await.expect("memory takes all");
        let numbers = "1,".repeat(1 << 19);
        for _ in 0..9 {
            encoder.write_all(numbers.as_bytes()).await.expect("memory takes all");
        }
        encoder.flush().await.expect("memory takes all");
        encoder.into_inner()
    });
    [format!("{:x}\r\n", encoded.len()).as_bytes(), &encoded, b"\r\n"].concat()
}

/// Asks for JSON, as the admin or with a token.
fn ask(program: &Program, token: &str, method: &str, path: &str, body: &Value) -> Value {
    let mut client = Client::connect(program.address, token).expect("it accepts");
    let text = body.to_string();
    let upload = Upload::Known(text.len() as u64, &mut text.as_bytes());
    let answer = client.send(method, path, "application/json", upload).expect("it answers");
    let (status, text) = (answer.status, answer.text().expect("a body"));
    assert!(matches!(status, 200 | 201), "{method} {path}: {status} {text}");
    serde_json::from_str(&text).expect("JSON")
}

/// Returns a token of a user that is created for it.
fn user(program: &Program, name: &str) -> String {
    ask(program, TOKEN, "POST", "/larder/v1/users", &json!({ "username": name }));
    let made = ask(program, TOKEN, "POST", "/larder/v1/tokens", &json!({ "username": name }));
    made["data"]["token"].as_str().expect("a token").to_owned()
}

/// Returns every kind of route that takes a body: of a private store, of a public one, and of a run.
fn routes(program: &Program) -> Vec<(&'static str, String)> {
    let id = |path: &str| path.split('/').nth(3).expect("an id").to_owned();
    let (closed, open) = (id(&program.records_of("closed")), id(&program.records_of("open")));
    let access = json!({ "generalAccess": "ANYONE_WITH_ID_CAN_READ" });
    ask(program, TOKEN, "PUT", &format!("/v2/key-value-stores/{open}"), &access);
    let run = ask(program, TOKEN, "POST", "/v2/acts/baker/runs", &json!({}))["data"]["id"]
        .as_str()
        .expect("an id")
        .to_owned();
    let stores = "/v2/key-value-stores";
    vec![
        ("POST", stores.to_owned()),
        ("PUT", format!("{stores}/{closed}")),
        ("PUT", format!("{stores}/{open}")),
        ("PUT", format!("{stores}/{closed}/records/a")),
        ("PUT", format!("{stores}/{open}/records/a")),
        ("POST", format!("/larder/v1/stores/{closed}/view-link")),
        ("POST", format!("/larder/v1/stores/{open}/view-link")),
        ("PUT", format!("/larder/v1/stores/{closed}/access/guest")),
        ("POST", "/larder/v1/tokens".to_owned()),
        ("POST", "/larder/v1/tokens/absent/replace".to_owned()),
        ("POST", "/larder/v1/users".to_owned()),
        ("PUT", "/larder/v1/users/alice".to_owned()),
        ("POST", "/v2/acts/baker/runs".to_owned()),
        ("PUT", format!("/v2/actor-runs/{run}")),
        ("POST", format!("/v2/actor-runs/{run}/metamorph?targetActorId=baker")),
        ("POST", format!("/larder/v1/runs/{run}/finish")),
        ("POST", format!("/larder/v1/runs/{run}/environment")),
        ("POST", "/larder/v1/activity".to_owned()),
        ("POST", "/larder/v1/expiry-extensions".to_owned()),
        ("POST", "/v2/datasets".to_owned()),
    ]
}

/// Returns the duration of each of a bystander's reads.
fn bystander(program: &Program, path: &str) -> Vec<Duration> {
    let mut client = program.client();
    let (began, mut times) = (now(), Vec::new());
    while began.elapsed() < WATCHED {
        let asked = now();
        let answer = client.send("GET", path, "text/plain", Upload::None).expect("it answers");
        assert_eq!(answer.status, 200);
        answer.text().expect("a body");
        times.push(asked.elapsed());
        pause(Duration::from_millis(1));
    }
    times.sort_unstable();
    times
}

fn slow_one_in_a_hundred(times: &[Duration]) -> Duration {
    times[times.len() * 99 / 100]
}

/// Opens connections without a token, each with a body that goes on: again and again, until it is stopped.
fn flood(address: SocketAddr, routes: &[(&'static str, String)], body: &[u8], count: usize, is_over: &AtomicBool) {
    while !is_over.load(Ordering::Relaxed) {
        let connections: Vec<TcpStream> = (0..count)
            .filter_map(|number| {
                let (method, path) = &routes[number % routes.len()];
                let mut connection = TcpStream::connect_timeout(&address, WAIT_TIMEOUT).ok()?;
                let head = format!(
                    "{method} {path} HTTP/1.1\r\nhost: larder\r\ncontent-type: application/json\r\ncontent-encoding: gzip\r\n\
                     transfer-encoding: chunked\r\n\r\n"
                );
                // A connection that was closed meanwhile has had its answer.
                connection.write_all(&[head.as_bytes(), body].concat()).ok()?;
                Some(connection)
            })
            .collect();
        pause(Duration::from_millis(200));
        drop(connections);
    }
}

/// Checks that a program withstands strangers, and describes their cost.
fn withstands_strangers(program: &Program, count: usize) -> String {
    let path = format!("{}/bread", program.records_of("bystander"));
    let mut text = &b"flour"[..];
    let mut client = program.client();
    let put = client.send("PUT", &path, "text/plain", Upload::Known(5, &mut text)).expect("it answers");
    assert_eq!(put.status, 201);
    let (routes, body) = (routes(program), endless_body());
    let quiet = bystander(program, &path);
    let before = program.peak_memory();
    let (is_over, address) = (AtomicBool::new(false), program.address);
    let busy = thread::scope(|scope| {
        scope.spawn(|| flood(address, &routes, &body, count, &is_over));
        pause(Duration::from_millis(300));
        let busy = bystander(program, &path);
        is_over.store(true, Ordering::Relaxed);
        busy
    });
    let grown = program.peak_memory() - before;
    let (quiet, slow) = (slow_one_in_a_hundred(&quiet), slow_one_in_a_hundred(&busy));
    let longest = busy.last().copied().unwrap_or_default();
    assert!(grown <= MAX_GROWTH, "grown by {grown} bytes");
    assert!(slow <= quiet.max(NOISE) * MAX_SLOWDOWN, "{slow:?} beside strangers, {quiet:?} without");
    assert!(longest < LONGEST, "a bystander waited for {longest:?}");
    format!(
        "{count} strangers: grown by {} KiB; slow one in a hundred {quiet:?}, {slow:?} beside them, longest {longest:?}",
        grown >> 10
    )
}

/// Checks that programs over a folder and a bucket withstand so many strangers. Describes their cost.
fn withstand_strangers(count: usize) -> String {
    let folder = tempfile::tempdir().expect("a folder");
    let programs = [Program::serve(folder.path(), &[]), before_a_bucket(folder.path(), "strangers")];
    let said = programs.map(|program| {
        let said = withstands_strangers(&program, count);
        assert!(program.stop().status.success());
        said
    });
    said.join("\n")
}

#[test]
fn strangers_whose_bodies_never_end_cost_little_and_delay_no_bystander() {
    println!("{}", withstand_strangers(STRANGERS));
}

#[test]
#[ignore = "long: cargo xtask test-long slow-bodies"]
fn four_hundred_strangers_whose_bodies_never_end_cost_little_and_delay_no_bystander() {
    println!("{}", withstand_strangers(MANY_STRANGERS));
}

fn before_a_bucket(folder: &Path, name: &str) -> Program {
    let mut command = before_bucket(folder, &own_prefix(name));
    command.env("LARDER_TOKEN", TOKEN).env("LARDER_LEADER", "self");
    Program::start(command)
}

/// Begins chunked uploads and sends `length` bytes of each, as far as they are taken at once; then no more.
fn unfinished(program: &Program, token: &str, path: &str, count: usize, length: usize) -> Vec<TcpStream> {
    let mut uploads: Vec<(TcpStream, Vec<u8>, usize)> = (0..count)
        .map(|number| {
            let connection = TcpStream::connect_timeout(&program.address, WAIT_TIMEOUT).expect("it accepts");
            let head = format!(
                "PUT {path}-{number} HTTP/1.1\r\nhost: larder\r\nauthorization: Bearer {token}\r\ncontent-type: application/json\r\n\
                 transfer-encoding: chunked\r\n\r\n{:x}\r\n",
                length + 1
            );
            connection.set_nonblocking(true).expect("it is open");
            (connection, [head.as_bytes(), &b" ".repeat(length)].concat(), 0)
        })
        .collect();
    let mut moved_at = now();
    while moved_at.elapsed() < Duration::from_millis(500) {
        for (connection, bytes, sent) in &mut uploads {
            while *sent < bytes.len() {
                match connection.write(&bytes[*sent..]) {
                    Ok(written) => *sent += written,
                    Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                    Err(_) => *sent = bytes.len(),
                }
                moved_at = now();
            }
        }
        if uploads.iter().all(|(_, bytes, sent)| *sent == bytes.len()) {
            break;
        }
        pause(Duration::from_millis(5));
    }
    pause(Duration::from_millis(300));
    uploads.into_iter().map(|(connection, ..)| connection).collect()
}

#[test]
fn slow_uploads_of_one_caller_over_a_bucket_do_not_delay_anothers() {
    let folder = tempfile::tempdir().expect("a folder");
    let program = before_a_bucket(folder.path(), "slow");
    let path = program.records_of("shop");
    let (slow, quick) = (user(&program, "slow"), user(&program, "quick"));
    let store = path.trim_end_matches("/records").replace("/v2/key-value-stores", "/larder/v1/stores");
    for name in ["slow", "quick"] {
        ask(&program, TOKEN, "PUT", &format!("{store}/access/{name}"), &json!({ "right": "write" }));
    }
    for (count, length) in [(4, 70_000), (40, 70_000), (40, 2 << 20)] {
        let _uploads = unfinished(&program, &slow, &format!("{path}/slow-{length}"), count, length);
        let mut client = Client::connect(program.address, &quick).expect("it accepts");
        let mut body = std::io::Read::take(std::io::repeat(b'x'), 300_000);
        let sent = client.send("PUT", &format!("{path}/quick"), "text/plain", Upload::Chunked(&mut body));
        assert_eq!(sent.expect("it is not made to wait").status, 201, "beside {count} of {length} bytes");
    }
    assert!(program.stop().status.success());
}

#[test]
fn unfinished_uploads_that_a_schema_checks_cost_no_more_memory_than_is_set_for_requests() {
    const UPLOADS: usize = 60;
    let folder = tempfile::tempdir().expect("a folder");
    let program = Program::serve(folder.path(), &["--request-memory", "32MiB"]);
    let schema = json!({ "name": "checked", "schema": { "actorKeyValueStoreSchemaVersion": 1, "title": "T",
        "collections": { "c": { "title": "C", "keyPrefix": "c-", "jsonSchema": {} } } } });
    ask(&program, TOKEN, "POST", "/v2/key-value-stores", &schema);
    let path = format!("{}/c", program.records_of("checked"));
    let before = program.peak_memory();
    let uploads = unfinished(&program, TOKEN, &path, UPLOADS, 8_600 << 10);
    let grown = program.peak_memory() - before;
    println!("{UPLOADS} of 8.6 MiB: grown by {} KiB", grown >> 10);
    // The budget, and what connections read ahead.
    let most = (32 << 20) + (9 << 20) + UPLOADS as u64 * (512 << 10);
    assert!(grown <= most, "grown by {grown} bytes, {most} are set");
    drop(uploads);
    assert!(program.stop().status.success());
}

#[test]
fn unfinished_uploads_over_a_folder_go_to_files_and_not_to_memory() {
    const UPLOADS: usize = 300;
    // The read-ahead of a connection, a block that is gathered, one that is being written, and the allocator's slack.
    const COST: u64 = 448 << 10;
    let folder = tempfile::tempdir().expect("a folder");
    let program = Program::serve(folder.path(), &[]);
    let path = format!("{}/a", program.records_of("large"));
    let before = program.peak_memory();
    let uploads = unfinished(&program, TOKEN, &path, UPLOADS, 1 << 20);
    let grown = program.peak_memory() - before;
    println!("{UPLOADS} of 1 MiB: grown by {} KiB", grown >> 10);
    assert!(grown <= UPLOADS as u64 * COST, "{} bytes for each upload", grown / UPLOADS as u64);
    drop(uploads);
    assert!(program.stop().status.success());
}
