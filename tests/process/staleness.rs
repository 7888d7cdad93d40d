//! Revocations through one of two gateways over a bucket: in force at once there, and soon on the other.

use std::time::Duration;

use serde_json::{Value, json};

use crate::{
    bucket::{own_prefix, two_gateways},
    client::{Client, Upload},
    program::{Program, TOKEN, now, pause},
};

/// Staleness bound of a gateway after a change through another, and the delay that a busy machine may add.
const BOUND: Duration = Duration::from_secs(5);
const SLACK: Duration = Duration::from_secs(1);

/// Interval between two checks.
const POLL_INTERVAL: Duration = Duration::from_millis(50);

fn ask(program: &Program, token: &str, method: &str, path: &str, body: &Value) -> (u16, Value) {
    let mut client = Client::connect(program.address, token).expect("it listens");
    let text = if body.is_null() { String::new() } else { body.to_string() };
    let mut bytes = text.as_bytes();
    let upload = Upload::Known(bytes.len() as u64, &mut bytes);
    let answer = client.send(method, path, "application/json", upload).expect("it answers");
    let (status, text) = (answer.status, answer.text().expect("a body"));
    let answer: Value = serde_json::from_str(&text).unwrap_or_default();
    (status, answer["data"].clone())
}

/// Creates a user of that name and a token of theirs; returns the token, and its id.
fn user(admin: &Program, name: &str) -> (String, String) {
    let (status, _) = ask(admin, TOKEN, "POST", "/larder/v1/users", &json!({ "username": name }));
    assert_eq!(status, 201);
    let (status, made) = ask(admin, TOKEN, "POST", "/larder/v1/tokens", &json!({ "username": name }));
    assert_eq!(status, 201);
    let text = |member: &str| made[member].as_str().expect("it is told").to_owned();
    (text("token"), text("id"))
}

#[test]
fn before_a_bucket_what_one_gateway_takes_back_ends_there_at_once_and_on_another_within_the_bound() {
    let folder = tempfile::tempdir().expect("a folder");
    let [here, there] = &two_gateways(folder.path(), &own_prefix("taken-back"));
    let (_, store) = ask(here, TOKEN, "POST", "/v2/key-value-stores?name=pantry", &Value::Null);
    let store = store["id"].as_str().expect("an id").to_owned();
    let record = format!("/v2/key-value-stores/{store}/records/a");
    assert_eq!(ask(here, TOKEN, "PUT", &record, &json!("flour")).0, 201);
    let share = |name: &str| format!("/larder/v1/stores/{store}/access/{name}");
    let users = ["revoked", "unshared", "disabled"].map(|name| (name, user(here, name)));
    for (name, _) in &users {
        assert!(ask(here, TOKEN, "PUT", &share(name), &json!({ "right": "read" })).0 < 300, "{name}");
    }
    for (name, (token, id)) in &users {
        // Both have just seen that the user may, so that both remember it.
        let reads = |gateway: &Program| ask(gateway, token, "GET", &record, &Value::Null).0;
        let began = now();
        while (reads(here), reads(there)) != (200, 200) {
            assert!(began.elapsed() < BOUND + SLACK, "{name} may not read yet");
            pause(POLL_INTERVAL);
        }
        let (method, path, body, refusal) = match *name {
            "revoked" => ("DELETE", format!("/larder/v1/tokens/{id}?username={name}"), Value::Null, 401),
            "unshared" => ("DELETE", share(name), Value::Null, 403),
            _ => ("PUT", format!("/larder/v1/users/{name}"), json!({ "isDisabled": true }), 401),
        };
        let status = ask(here, TOKEN, method, &path, &body).0;
        let taken_back = now();
        assert!(status < 300, "{name}: {status}");
        assert_eq!(reads(here), refusal, "{name}: on the gateway that did it");
        let mut last = reads(there);
        while last != refusal {
            assert_eq!(last, 200, "{name}");
            assert!(taken_back.elapsed() < BOUND + SLACK, "{name}: still believed by the other");
            pause(POLL_INTERVAL);
            last = reads(there);
        }
        // It stays so: what was remembered does not come back.
        assert_eq!((reads(here), reads(there)), (refusal, refusal), "{name}");
    }
}
