//! The audit log: every change in fields whose names and values are promises, and nothing in the form of Rust.

use serde_json::{Value, json};

use crate::{
    client::Upload,
    program::{Program, TOKEN, command},
};

/// Asks as the admin; returns the `data` of the answer.
fn ask(program: &Program, method: &str, path: &str, body: &Value) -> Value {
    let text = if body.is_null() { String::new() } else { body.to_string() };
    let mut bytes = text.as_bytes();
    let upload = Upload::Known(bytes.len() as u64, &mut bytes);
    let mut client = program.client();
    let answer = client.send(method, path, "application/json", upload).expect("it answers");
    let (status, text) = (answer.status, answer.text().expect("a body"));
    assert!((200..300).contains(&status), "{method} {path}: {status} {text}");
    serde_json::from_str::<Value>(&text).unwrap_or_default()["data"].take()
}

#[test]
fn changes_are_logged_with_the_fields_that_are_documented() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut serve = command(folder.path(), &["serve", "--listen", "127.0.0.1:0"]);
    serve.envs([("LARDER_TOKEN", TOKEN), ("LARDER_ACCESS_LOG", "off")]);
    let program = Program::start(serve);
    let nothing = Value::Null;
    let text = |value: &Value| value.as_str().expect("a text").to_owned();
    ask(&program, "POST", "/larder/v1/users", &json!({ "username": "baker" }));
    let quota = json!({ "isDisabled": false, "quota": { "stores": 3 }, "generalAccess": "ANYONE_WITH_ID_CAN_READ" });
    ask(&program, "PUT", "/larder/v1/users/baker", &quota);
    let token = text(&ask(&program, "POST", "/larder/v1/tokens", &json!({ "username": "baker" }))["id"]);
    let path = format!("/larder/v1/tokens/{token}");
    let new_token = text(&ask(&program, "POST", &format!("{path}/replace"), &json!({ "username": "baker" }))["id"]);
    ask(&program, "DELETE", &format!("{path}?username=baker"), &nothing);
    let store = text(&ask(&program, "POST", "/v2/key-value-stores", &nothing)["id"]);
    let (path, sharing) = (format!("/v2/key-value-stores/{store}"), format!("/larder/v1/stores/{store}"));
    ask(&program, "PUT", &path, &json!({ "name": "pantry", "generalAccess": "ANYONE_WITH_NAME_CAN_READ" }));
    ask(&program, "PUT", &path, &json!({ "name": null }));
    ask(&program, "PUT", &format!("{sharing}/access/baker"), &json!({ "right": "write" }));
    ask(&program, "DELETE", &format!("{sharing}/access/baker?keepLinks=1"), &nothing);
    ask(&program, "POST", &format!("{sharing}/signing-key/rotate"), &nothing);
    ask(&program, "DELETE", &path, &nothing);
    let run = text(&ask(&program, "POST", "/v2/acts/cook/runs", &nothing)["id"]);
    ask(&program, "PUT", &format!("/v2/actor-runs/{run}"), &json!({ "generalAccess": "RESTRICTED" }));
    ask(&program, "POST", &format!("/v2/actor-runs/{run}/abort"), &nothing);
    let stderr = program.stop().stderr;
    let audited: Vec<&str> = stderr.lines().filter(|line| line.contains(" larder::audit: ")).collect();
    for (action, fields) in [
        ("user.create", json!({ "user": "baker", "disabled": false, "general_access": "RESTRICTED" })),
        ("user.update", json!({ "user": "baker", "quota_stores": 3, "general_access": "ANYONE_WITH_ID_CAN_READ" })),
        ("token.create", json!({ "user": "baker", "token": token })),
        ("token.replace", json!({ "user": "baker", "token": token, "new_token": new_token })),
        ("token.revoke", json!({ "user": "baker", "token": token })),
        ("store.update", json!({ "store": store, "name": "pantry", "general_access": "ANYONE_WITH_NAME_CAN_READ" })),
        ("store.update", json!({ "store": store, "name": "" })),
        ("store.share", json!({ "store": store, "user": "baker", "right": "write" })),
        ("store.share", json!({ "store": store, "user": "baker", "right": "none" })),
        ("store.revoke_links", json!({ "store": store })),
        ("store.delete", json!({ "store": store })),
        ("run.create", json!({ "run": run })),
        ("run.update", json!({ "run": run, "general_access": "RESTRICTED" })),
        ("run.abort", json!({ "run": run })),
    ] {
        let fields = fields.as_object().expect("an object").iter().map(|(name, value)| format!(" {name}={value}"));
        let by_whom = format!(" action=\"{action}\" caller=\"admin\" caller_token=\"admin\"");
        let fields: Vec<String> = fields.chain([by_whom]).collect();
        let is_it = |line: &&&str| fields.iter().all(|field| format!("{line} ").contains(&format!("{field} ")));
        assert_eq!(audited.iter().filter(is_it).count(), 1, "{fields:?}: {audited:#?}");
    }
    for line in audited {
        assert!(line.contains(" caller_address=127.0.0.1"), "{line}");
        assert!(!["Some(", "None", " { ", "Id("].iter().any(|form| line.contains(form)), "{line}");
    }
}
