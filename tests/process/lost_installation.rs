//! The objects of an installation vanish or are replaced under a running gateway, or its object store falls silent: nothing
//! is acknowledged that no reader would find, readiness says why, and the log has one line for the loss and one for the end
//! of it.

use std::{path::Path, process::Command, sync::Arc, time::Duration};

use bytes::Bytes;
use larder::{
    clock::{SystemClock, SystemRandom},
    storage::{
        ByteStream, GetOptions, ListOptions, MAX_LIST_KEYS, ObjectStore, PutOptions,
        s3::{S3Options, S3Store},
    },
};

use crate::{
    bucket::{before_bucket, own_prefix, variable},
    client::{Client, Upload},
    program::{Ended, Program, TOKEN, now, run, until},
    proxy::{Fault, Proxy, Times},
};

/// Shortest time that the units and charts of `deploy` give a stop.
const SHORTEST_LIMIT: Duration = Duration::from_secs(40);

/// More bytes than any object of these tests has.
const MUCH: u64 = 1 << 20;

/// Returns the objects below `prefix`, past all gateways.
async fn objects_below(prefix: &str) -> S3Store {
    let options = S3Options {
        endpoint: Some(variable("LARDER_TEST_S3_ENDPOINT").parse().expect("an origin")),
        region: Some(variable("LARDER_TEST_S3_REGION")),
        prefix: format!("{prefix}/"),
        ..S3Options::new(variable("LARDER_TEST_S3_BUCKET"))
    };
    S3Store::open(options, Arc::new(SystemClock), Arc::new(SystemRandom)).await.expect("the bucket opens")
}

async fn keys(objects: &S3Store) -> Vec<String> {
    let options = ListOptions { prefix: String::new(), start_after: None, limit: MAX_LIST_KEYS };
    objects.list(options).await.expect("a list").objects.into_iter().map(|object| object.key).collect()
}

async fn read(objects: &S3Store, key: &str) -> Bytes {
    let object = objects.get(key, GetOptions::default()).await.expect("it is there");
    object.body.into_bytes(MUCH).await.expect("it is whole")
}

async fn write(objects: &S3Store, key: &str, bytes: Bytes) {
    objects.put(key, ByteStream::from(bytes), PutOptions::default()).await.expect("it is stored");
}

/// Returns a gateway's command; where conditions have to be emulated it is the leader.
fn serve(folder: &Path, prefix: &str, secret: &str) -> Command {
    let mut command = before_bucket(folder, prefix);
    command.env("LARDER_TOKEN", TOKEN).env("LARDER_SECRET", secret).env("LARDER_LEADER", "self");
    command
}

/// Returns the status of a response and its text.
fn ask(program: &Program, method: &str, path: &str, body: &'static [u8]) -> (u16, String) {
    let mut bytes = body;
    let upload = if body.is_empty() { Upload::None } else { Upload::Known(body.len() as u64, &mut bytes) };
    let mut client = Client::connect(program.address, TOKEN).expect("it accepts");
    let answer = client.send(method, path, "text/plain", upload).expect("it answers");
    (answer.status, answer.text().expect("a body"))
}

fn is_ready(program: &Program) -> bool {
    ask(program, "GET", "/health/ready", b"").0 == 200
}

/// Returns the number of log entries with these words.
fn lines(ended: &Ended, words: &str) -> usize {
    ended.stderr.lines().filter(|line| line.contains(words)).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_whose_objects_vanish_acknowledges_nothing_and_serves_again_once_they_are_back() {
    let (folder, prefix) = (tempfile::tempdir().expect("a folder"), own_prefix("vanished"));
    let program = Program::start(serve(folder.path(), &prefix, "one"));
    let records = program.records_of("shelf");
    assert_eq!(ask(&program, "PUT", &format!("{records}/k"), b"kept").0, 201);

    let objects = objects_below(&prefix).await;
    let format = read(&objects, "larder/format").await;
    let all = keys(&objects).await;
    let mut saved = Vec::new();
    for key in &all {
        saved.push((key, read(&objects, key).await));
    }
    objects.delete_many(all.clone()).await.expect("all are deleted");
    let (status, text) = ask(&program, "GET", "/health/ready", b"");
    assert!(status == 503 && text.contains("larder/format is missing"), "{status} {text}");
    for (method, path, body) in [
        ("PUT", format!("{records}/k"), &b"lost"[..]),
        ("PUT", format!("{records}/other"), b"lost"),
        ("DELETE", format!("{records}/k"), b""),
        ("POST", "/v2/key-value-stores?name=another".to_owned(), b""),
        ("GET", format!("{records}/k"), b""),
    ] {
        let (status, text) = ask(&program, method, &path, body);
        assert_eq!(status, 503, "{method} {path}: {text}");
    }
    assert_eq!(keys(&objects).await, Vec::<String>::new(), "something was written where no reader looks for it");

    let strange = String::from_utf8_lossy(&format).replace("\"installation\":\"", "\"installation\":\"another");
    write(&objects, "larder/format", Bytes::from(strange)).await;
    until("the other installation is found", || {
        ask(&program, "GET", "/health/ready", b"").1.contains("another installation (another")
    });
    assert_eq!(ask(&program, "PUT", &format!("{records}/k"), b"lost").0, 503);

    for (key, bytes) in saved {
        write(&objects, key, bytes).await;
    }
    until("it is ready", || is_ready(&program));
    assert_eq!(ask(&program, "PUT", &format!("{records}/k"), b"new").0, 201);
    let ended = program.stop();
    assert_eq!((lines(&ended, "readiness lost"), lines(&ended, "readiness restored")), (1, 1), "{}", ended.stderr);
    assert!(ended.stderr.contains("larder/format is missing"), "{}", ended.stderr);
}

#[test]
fn gateways_with_different_secrets_do_not_serve_one_installation_unless_the_secret_is_replaced() {
    let (folder, prefix) = (tempfile::tempdir().expect("a folder"), own_prefix("secrets"));
    let first = Program::start(serve(folder.path(), &prefix, "one"));
    let records = first.records_of("shelf");
    let refused = run(serve(folder.path(), &prefix, "two"));
    assert_eq!(refused.status.code(), Some(1), "{}", refused.stderr);
    let words = "LARDER_OLD_SECRET_FINGERPRINT=";
    let fingerprint = refused.stderr.split(words).nth(1).expect("it says how to replace the secret");
    let fingerprint: String = fingerprint.chars().take_while(char::is_ascii_hexdigit).collect();
    assert!(is_ready(&first), "the other gateway has changed something");

    let mut replacing = serve(folder.path(), &prefix, "two");
    replacing.env("LARDER_OLD_SECRET_FINGERPRINT", &fingerprint);
    let second = Program::start(replacing);
    assert!(is_ready(&second));
    until("the first gateway finds the other secret", || {
        ask(&first, "GET", "/health/ready", b"").1.contains("different secrets")
    });
    assert_eq!(ask(&first, "PUT", &format!("{records}/k"), b"refused").0, 503);
    assert_eq!(ask(&second, "PUT", &format!("{records}/k"), b"kept").0, 201);
    assert_eq!(ask(&first, "GET", &format!("{records}/k"), b""), (200, "kept".to_owned()), "reads need no secret");
    second.stop();
    let again = run(serve(folder.path(), &prefix, "one"));
    assert_eq!(again.status.code(), Some(1), "{}", again.stderr);
    first.stop();
}

/// Starts a gateway whose calls to the object store pass a proxy.
async fn serve_through_proxy(folder: &Path, prefix: &str) -> (Program, Proxy) {
    let proxy = Proxy::before(&variable("LARDER_TEST_S3_ENDPOINT")).await;
    let mut command = serve(folder, prefix, "one");
    command.env("LARDER_S3_ENDPOINT", proxy.endpoint());
    (Program::start(command), proxy)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_object_store_is_one_line_in_the_log_and_its_return_another() {
    let (folder, prefix) = (tempfile::tempdir().expect("a folder"), own_prefix("silent"));
    let (program, proxy) = serve_through_proxy(folder.path(), &prefix).await;
    let silence = proxy.arm(Fault::NeverAnswer, Times::UntilDisarmed, |_| true);
    proxy.take_requests();
    let (status, text) = ask(&program, "GET", "/health/ready", b"");
    assert!(status == 503 && text.contains("does not answer"), "{status} {text}");
    let asked = proxy.take_requests();
    assert!(asked.iter().any(|request| request.path.ends_with("/larder/format")), "{asked:?}");
    silence.disarm();
    until("it is ready", || is_ready(&program));
    let ended = program.stop();
    assert_eq!((lines(&ended, "readiness lost"), lines(&ended, "readiness restored")), (1, 1), "{}", ended.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_object_store_does_not_hold_up_a_stop() {
    let (folder, prefix) = (tempfile::tempdir().expect("a folder"), own_prefix("stop"));
    let (program, proxy) = serve_through_proxy(folder.path(), &prefix).await;
    assert_eq!(ask(&program, "PUT", &format!("{}/k", program.records_of("shelf")), b"counted").0, 201);
    let _silence = proxy.arm(Fault::NeverAnswer, Times::UntilDisarmed, |_| true);
    proxy.take_requests();
    until("a job waits for the object store", || !proxy.take_requests().is_empty());
    let began = now();
    let ended = program.stop();
    assert!(began.elapsed() < SHORTEST_LIMIT, "{}", ended.stderr);
    assert_eq!(ended.status.code(), Some(1), "{}", ended.stderr);
    assert!(ended.stderr.contains("the object store does not respond"), "{}", ended.stderr);
}
