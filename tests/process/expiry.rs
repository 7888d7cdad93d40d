//! Expiry of stores, by the wall clock.

use std::{process::Command, time::Duration};

use serde_json::{Value, json};

use crate::{
    client::{Client, Upload},
    orphans::Backend,
    program::{Program, TOKEN, command, now, pause},
};

const STORES: &str = "/v2/key-value-stores";

/// Retention of unnamed stores here.
const RETENTION: Duration = Duration::from_secs(6);

/// Uncertainty of a test about the time of an object store: its dates are in whole seconds.
const EXACTNESS: Duration = Duration::from_millis(1500);

/// Interval at which a gateway looks for expired stores, plus the time that the removal takes.
const RECONCILE_INTERVAL: Duration = Duration::from_secs(20);

/// A store, and how to speak of it.
struct Store {
    path: String,
    object: Value,
}

/// Asks, with a JSON body if there is one; the status and the answer.
fn ask(client: &mut Client, method: &str, path: &str, body: Option<&Value>) -> (u16, Value) {
    let text = body.map(Value::to_string).unwrap_or_default();
    let mut bytes = text.as_bytes();
    let upload = if body.is_some() { Upload::Known(bytes.len() as u64, &mut bytes) } else { Upload::None };
    let answer = client.send(method, path, "application/json", upload).expect("it answers");
    let status = answer.status;
    let text = answer.text().expect("it ends");
    (status, serde_json::from_str(&text).unwrap_or_default())
}

fn made(client: &mut Client, body: &Value) -> Store {
    let (status, answer) = ask(client, "POST", STORES, Some(body));
    assert_eq!(status, 201, "{answer}");
    let path = format!("{STORES}/{}", answer["data"]["id"].as_str().expect("an id"));
    let store = Store { path, object: answer["data"].clone() };
    store.put(client, "first", "flour");
    store
}

impl Store {
    fn put(&self, client: &mut Client, key: &str, text: &str) {
        let mut body = text.as_bytes();
        let upload = Upload::Known(body.len() as u64, &mut body);
        let answer = client.send("PUT", &format!("{}/records/{key}", self.path), "text/plain", upload);
        let answer = answer.expect("it answers");
        let status = answer.status;
        let text = answer.text().expect("it ends");
        assert_eq!(status, 201, "{text}");
    }

    fn status(&self, client: &mut Client, rest: &str) -> u16 {
        ask(client, "GET", &format!("{}{rest}", self.path), None).0
    }

    /// Returns the remaining lifetime, by the time of this machine.
    fn left(&self, client: &mut Client) -> Duration {
        let (status, answer) = ask(client, "GET", &self.path, None);
        assert_eq!(status, 200, "{answer}");
        let end: larder::clock::Timestamp =
            answer["data"]["expiresAt"].as_str().expect("an end").parse().expect("a date");
        end.since(larder::clock::Clock::now(&larder::clock::SystemClock))
    }

    fn id(&self) -> &str {
        self.object["id"].as_str().expect("an id")
    }
}

/// Observes stores that live for seconds; then their leftovers in the backend.
fn stores_live_as_long_as_they_should(serve: &dyn Fn() -> Program, backend: impl FnOnce() -> Backend) {
    let program = serve();
    let mut client = program.client();
    let kept = made(&mut client, &json!({ "name": "kept" }));
    let gone = made(&mut client, &json!({}));
    let long = made(&mut client, &json!({ "retentionDays": 1 }));
    let saved = made(&mut client, &json!({}));
    let used = made(&mut client, &json!({}));
    // Written to, and again: it lives on, and its first record with it.
    let (began, mut is_saved) = (now(), false);
    while began.elapsed() < RETENTION * 2 {
        used.put(&mut client, "again", &format!("{:?}", began.elapsed()));
        let left = used.left(&mut client);
        assert!(left + EXACTNESS >= RETENTION && left <= RETENTION + RETENTION / 60 + EXACTNESS, "{left:?}");
        if !is_saved && saved.left(&mut client) < Duration::from_secs(1) + EXACTNESS {
            let (status, answer) = ask(&mut client, "PUT", &saved.path, Some(&json!({ "name": "saved" })));
            assert!(status == 200 && answer["data"]["expiresAt"].is_null(), "{status} {answer}");
            is_saved = true;
        }
        if began.elapsed() + EXACTNESS < RETENTION {
            assert_eq!(gone.status(&mut client, "/records/first"), 200, "after {:?}", began.elapsed());
        }
        pause(Duration::from_millis(300));
    }
    assert!(is_saved, "it was not named in its last second");
    for rest in ["", "/keys", "/records", "/records/first"] {
        assert_eq!(gone.status(&mut client, rest), 404, "{rest}");
    }
    for store in [&kept, &long, &saved, &used] {
        assert_eq!(store.status(&mut client, "/records/first"), 200, "{}", store.object);
    }
    used.put(&mut client, "last", "salt");
    program.kill();
    let died = now();
    let program = serve();
    let mut client = program.client();
    let left = used.left(&mut client);
    assert!(left + died.elapsed() + EXACTNESS >= RETENTION, "a crash has shortened its life to {left:?}");
    pause((RETENTION / 2).saturating_sub(died.elapsed()));
    assert_eq!(used.status(&mut client, "/records/first"), 200);
    pause(RETENTION);
    assert_eq!(used.status(&mut client, "/records/first"), 404);
    assert_eq!(saved.status(&mut client, "/records/first"), 200);
    pause(RETENTION + RECONCILE_INTERVAL);
    assert!(program.stop().status.success());
    let backend = backend();
    let own = |store: &Store| {
        let records = backend.records();
        records.iter().filter(|key| key.contains(&format!("/{}/", store.id()))).count()
    };
    assert!(own(&gone) > 0 && own(&used) > 0, "one look at the clock deletes nothing");
    backend.live_on();
    for (store, is_there) in [(&kept, true), (&gone, false), (&long, true), (&saved, true), (&used, false)] {
        assert_eq!(own(store) > 0, is_there, "{} has {} records", store.object, own(store));
    }
}

/// In days, as the setting wants it.
fn days(time: Duration) -> String {
    format!("{:.8}", time.as_secs_f64() / 86400.0)
}

fn served(mut command: Command, retention: Duration) -> Program {
    command.env("LARDER_TOKEN", TOKEN).env("LARDER_SECRET", "secret").env("LARDER_RETENTION_DAYS", days(retention));
    Program::start(command)
}

#[test]
fn stores_in_a_folder_live_as_long_as_they_should_and_are_swept() {
    let folder = tempfile::tempdir().expect("a folder");
    let serve = || served(command(folder.path(), &["serve", "--listen", "127.0.0.1:0"]), RETENTION);
    stores_live_as_long_as_they_should(&serve, || Backend::folder(folder.path()));
}

#[cfg(feature = "s3")]
mod bucket {
    use super::*;
    use crate::bucket::{before_bucket, own_prefix};

    /// Waits until nothing of a store in a bucket moves, as its object shows.
    fn settled(client: &mut Client, store: &Store) {
        let began = now();
        loop {
            let (status, answer) = ask(client, "GET", &store.path, None);
            assert_eq!(status, 200, "{answer}");
            if answer["data"].get("move").is_none() && began.elapsed() > Duration::from_secs(3) {
                return;
            }
            assert!(began.elapsed() < Duration::from_secs(40), "it moves and moves: {answer}");
            pause(Duration::from_millis(200));
        }
    }

    #[test]
    fn stores_in_a_bucket_live_as_long_as_they_should_and_are_swept() {
        let (folder, prefix) = (tempfile::tempdir().expect("a folder"), own_prefix("expiry"));
        let serve = || {
            let mut command = before_bucket(folder.path(), &prefix);
            command.env("LARDER_LEADER", "self");
            served(command, RETENTION)
        };
        stores_live_as_long_as_they_should(&serve, || Backend::bucket(&prefix));
    }

    #[test]
    #[ignore = "wants an object store whose days last ten seconds: `cargo xtask test-s3 ceph` starts one"]
    fn with_short_days_lifecycle_rules_alone_remove_what_has_expired() {
        /// Time until a rule of five days applies, and the delay of the object store.
        const RULE: Duration = Duration::from_secs(50);
        const SLACK: Duration = Duration::from_mins(1);
        let (folder, prefix) = (tempfile::tempdir().expect("a folder"), own_prefix("days"));
        let mut command = before_bucket(folder.path(), &prefix);
        command.env("LARDER_LEADER", "self");
        // Longer than the gateway lives: it sweeps nothing itself.
        let program = served(command, Duration::from_secs(100));
        let mut client = program.client();
        let kept = made(&mut client, &json!({ "name": "kept" }));
        let saved = made(&mut client, &json!({}));
        let gone: Vec<_> = (0..20).map(|_| made(&mut client, &json!({}))).collect();
        let named = Some(json!({ "name": "saved" }));
        assert_eq!(ask(&mut client, "PUT", &saved.path, named.as_ref()).0, 200);
        settled(&mut client, &saved);
        // The rules are written a few seconds after the start.
        pause(Duration::from_secs(10));
        assert!(program.stop().status.success());
        let stopped = now();
        let backend = Backend::bucket(&prefix);
        let of = |records: &[String], store: &Store| {
            records.iter().filter(|key| key.contains(&format!("/{}/", store.id()))).count()
        };
        let before = backend.records();
        assert!(gone.iter().all(|store| of(&before, store) == 1), "they are there when the gateway stops: {before:#?}");
        loop {
            let records = backend.records();
            assert!(
                of(&records, &kept) == 1 && of(&records, &saved) >= 1,
                "a named store lost its record: {records:#?}"
            );
            if gone.iter().all(|store| of(&records, store) == 0) {
                break;
            }
            assert!(stopped.elapsed() < RULE + SLACK, "{records:#?}");
            pause(Duration::from_secs(2));
        }
        // A named store stays, also when all of it is as old as the deleted one.
        pause(SLACK);
        let records = backend.records();
        assert_eq!((of(&records, &kept), of(&records, &saved)), (1, 1), "{records:#?}");
    }
}
