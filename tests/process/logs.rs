//! The access log and the audit log.

use std::fs;
use std::fs::File;
use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::Stdio;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use crate::client::{Client, Upload};
use crate::program::{Program, TOKEN, command, until};
use crate::watcher::Watched;

/// Bytes of a record that no buffers of a connection hold.
const LARGE_BYTES: usize = 32 << 20;

/// Serves in `folder` with these variables.
fn serve(folder: &Path, variables: &[(&str, &str)]) -> Program {
    let mut command = command(folder, &["serve", "--listen", "127.0.0.1:0"]);
    command.env("LARDER_TOKEN", TOKEN).envs(variables.iter().copied());
    Program::start(command)
}

/// Sends a request and reads its response to the end; returns its status and the id of the request.
fn send(program: &Program, token: &str, method: &str, path: &str, body: &[u8]) -> (u16, Option<String>) {
    let mut client = Client::connect(program.address, token).expect("it listens");
    let mut bytes = body;
    let upload = if body.is_empty() { Upload::None } else { Upload::Known(body.len() as u64, &mut bytes) };
    let answer = client.send(method, path, "text/plain", upload).expect("it answers");
    let (status, id) = (answer.status, answer.header("x-request-id").map(str::to_owned));
    if method != "HEAD" {
        answer.text().expect("a body");
    }
    (status, id)
}

/// Returns the lines of the access log, which is in JSON.
fn lines(stderr: &str) -> Vec<Value> {
    let objects = stderr.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    objects.filter(|line| line["target"] == "larder::access").collect()
}

#[test]
fn each_request_is_one_line_with_its_caller_its_costs_and_no_secret() {
    let folder = tempfile::tempdir().expect("a folder");
    let program = serve(folder.path(), &[("LARDER_ACCESS_LOG", "json")]);
    let records = program.records_of("pantry");
    let record = format!("{records}/a");
    let put = send(&program, TOKEN, "PUT", &record, b"flour");
    let got = send(&program, TOKEN, "GET", &format!("{record}?signature=salt&token=sugar"), b"");
    let denied = send(&program, "a-wrong-token", "GET", &format!("{record}?x=a-wrong-token"), b"");
    assert_eq!((put.0, got.0, denied.0), (201, 200, 401));
    send(&program, TOKEN, "HEAD", &record, b"");
    send(&program, TOKEN, "GET", &format!("{records}/{TOKEN}"), b"");
    send(&program, "", "GET", "/health/live", b"");
    send(&program, "", "GET", "/console/", b"");
    let mut without_host = TcpStream::connect(program.address).expect("it listens");
    without_host.write_all(b"GET /v2/users/me HTTP/1.1\r\n\r\n").expect("it is sent");
    std::io::copy(&mut without_host, &mut std::io::sink()).expect("it is answered");
    // One whose client leaves before it has read all.
    assert_eq!(send(&program, TOKEN, "PUT", &format!("{records}/b"), &vec![b'b'; LARGE_BYTES]).0, 201);
    let mut client = program.client();
    assert_eq!(client.send("GET", &format!("{records}/b"), "", Upload::None).expect("it answers").status, 200);
    drop(client);
    let metrics = || {
        let mut client = program.client();
        client.send("GET", "/metrics", "", Upload::None).and_then(super::client::Answer::text).expect("it answers")
    };
    until("the download is gone", || metrics().contains("larder_inflight_bodies{direction=\"download\"} 0"));
    let stderr = program.stop().stderr;
    for secret in [TOKEN, "a-wrong-token", "salt", "sugar"] {
        assert!(!stderr.contains(secret), "{secret} is in the log:\n{stderr}");
    }
    let lines = lines(&stderr);
    let of = |method: &str, path: &str| {
        let is_it = |line: &&Value| line["method"] == method && line["path"] == path;
        let found: Vec<&Value> = lines.iter().filter(is_it).collect();
        assert!(!found.is_empty(), "{method} {path} is not in {lines:?}");
        found
    };
    let [line] = of("PUT", &record)[..] else { panic!("{lines:?}") };
    assert_eq!((line["status"].as_u64(), line["caller"].as_str()), (Some(201), Some("admin")), "{line}");
    assert_eq!((line["request"].as_str(), line["address"].as_str()), (put.1.as_deref(), Some("127.0.0.1")), "{line}");
    assert!(line["object_calls"].as_u64() >= Some(1) && line["time_ms"].as_f64() > Some(0.0), "{line}");
    let [got_line, denied_line] = of("GET", &record)[..] else { panic!("{lines:?}") };
    assert_eq!((got_line["bytes"].as_u64(), got_line["cut_off"].as_bool()), (Some(5), Some(false)), "{got_line}");
    assert_eq!(got_line["request"].as_str(), got.1.as_deref());
    assert_eq!((denied_line["status"].as_u64(), &denied_line["caller"]), (Some(401), &Value::Null), "{denied_line}");
    let head = of("HEAD", &record)[0];
    assert_eq!((head["bytes"].as_u64(), head["cut_off"].as_bool()), (Some(0), Some(false)), "{head}");
    assert_eq!(of("GET", &format!("{records}/[redacted]"))[0]["status"], 404);
    assert_eq!(of("GET", "/health/live")[0]["status"], 200);
    assert_eq!(of("GET", "/console/")[0]["status"], 200);
    assert_eq!(of("GET", "/v2/users/me")[0]["status"], 400);
    let cut_off = of("GET", &format!("{records}/b"))[0];
    assert_eq!((cut_off["status"].as_u64(), cut_off["cut_off"].as_bool()), (Some(200), Some(true)), "{cut_off}");
    assert!(cut_off["bytes"].as_u64() < Some(LARGE_BYTES as u64), "{cut_off}");
}

/// Serves with these variables, requests the own account and returns the log. With a log in JSON the program does not
/// print its address.
fn log_of_one_request(variables: &[(&str, &str)]) -> String {
    let folder = tempfile::tempdir().expect("a folder");
    let address = TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr()).expect("a port");
    let log = folder.path().join("log");
    let mut command = command(folder.path(), &["serve", "--listen", &address.to_string()]);
    command.env("LARDER_TOKEN", TOKEN).envs(variables.iter().copied());
    command.stdout(Stdio::null()).stderr(File::create(&log).expect("a file"));
    let mut program = Watched::new(command.spawn().expect("it starts"));
    until("it listens", || TcpStream::connect(address).is_ok());
    let mut client = Client::connect(address, TOKEN).expect("it listens");
    let answer = client.send("GET", "/v2/users/me?token=salt", "", Upload::None).expect("it answers");
    answer.text().expect("a body");
    drop(client);
    kill_process(Pid::from_child(&program), Signal::TERM).expect("it runs");
    assert!(program.wait().expect("it ends").success());
    fs::read_to_string(log).expect("a log")
}

#[test]
fn the_access_log_has_the_form_of_the_log_unless_it_is_set_and_can_be_off() {
    for (variables, form) in [
        (&[][..], Some("text")),
        (&[("LARDER_LOG_FORMAT", "json"), ("LARDER_LOG", "off")], Some("json")),
        (&[("LARDER_LOG_FORMAT", "json"), ("LARDER_ACCESS_LOG", "text")], Some("text")),
        (&[("LARDER_ACCESS_LOG", "off")], None),
    ] {
        let stderr = log_of_one_request(variables);
        let in_text = stderr.lines().any(|line| {
            line.contains("larder::access: request method=GET path=\"/v2/users/me\" status=200 ")
                && line.contains(" caller=\"admin\" ")
        });
        let in_json = lines(&stderr).iter().any(|line| line["path"] == "/v2/users/me" && line["caller"] == "admin");
        assert_eq!((in_text, in_json), (form == Some("text"), form == Some("json")), "{variables:?}: {stderr}");
        assert!(form.is_some() || !stderr.contains("/v2/users/me"), "{stderr}");
    }
}

#[test]
#[cfg(feature = "s3")]
fn calls_of_the_object_store_are_logged_at_debug_and_counted_for_their_request() {
    use crate::bucket::{before_bucket, own_prefix};

    let (folder, prefix) = (tempfile::tempdir().expect("a folder"), own_prefix("calls"));
    let mut command = before_bucket(folder.path(), &prefix);
    command.envs([("LARDER_TOKEN", TOKEN), ("LARDER_LEADER", "self"), ("LARDER_SECRET", "salt")]);
    command.envs([("LARDER_LOG", "info,larder_object_store=debug"), ("LARDER_ACCESS_LOG", "json")]);
    let program = Program::start(command);
    let records = program.records_of("pantry");
    let (_, id) = send(&program, TOKEN, "PUT", &format!("{records}/cinnamon"), b"flour");
    let stderr = program.stop().stderr;
    let lines = lines(&stderr);
    let put = lines.iter().find(|line| line["request"].as_str() == id.as_deref()).expect("the request is logged");
    assert_eq!(put["object_calls"], 1, "{put}");
    let of_request = format!("request=\"{}\"", id.expect("an id"));
    let calls: Vec<&str> =
        stderr.lines().filter(|line| line.contains("object store request") && line.contains(&of_request)).collect();
    let [call] = calls[..] else { panic!("{calls:?} of {stderr}") };
    for field in ["DEBUG larder_object_store::s3", "method=\"PUT\"", "cinnamon\" status=200 time_ms=", " attempt=1"] {
        assert!(call.contains(field), "{field} is not in {call}");
    }
    for secret in ["X-Amz-", "Signature", "uploadId", "salt"] {
        assert!(!stderr.contains(secret), "{secret} is in the log");
    }
}

/// Asks as the admin; returns the `data` of the answer.
fn change(program: &Program, method: &str, path: &str, body: &Value) -> Value {
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
    change(&program, "POST", "/larder/v1/users", &json!({ "username": "baker" }));
    let quota = json!({ "isDisabled": false, "quota": { "stores": 3 }, "generalAccess": "ANYONE_WITH_ID_CAN_READ" });
    change(&program, "PUT", "/larder/v1/users/baker", &quota);
    let token = text(&change(&program, "POST", "/larder/v1/tokens", &json!({ "username": "baker" }))["id"]);
    let path = format!("/larder/v1/tokens/{token}");
    let new_token = text(&change(&program, "POST", &format!("{path}/replace"), &json!({ "username": "baker" }))["id"]);
    change(&program, "DELETE", &format!("{path}?username=baker"), &nothing);
    let store = text(&change(&program, "POST", "/v2/key-value-stores", &nothing)["id"]);
    let (path, sharing) = (format!("/v2/key-value-stores/{store}"), format!("/larder/v1/stores/{store}"));
    change(&program, "PUT", &path, &json!({ "name": "pantry", "generalAccess": "ANYONE_WITH_NAME_CAN_READ" }));
    change(&program, "PUT", &path, &json!({ "name": null }));
    change(&program, "PUT", &format!("{sharing}/access/baker"), &json!({ "right": "write" }));
    change(&program, "DELETE", &format!("{sharing}/access/baker?keepLinks=1"), &nothing);
    change(&program, "POST", &format!("{sharing}/signing-key/rotate"), &nothing);
    change(&program, "DELETE", &path, &nothing);
    let run = text(&change(&program, "POST", "/v2/acts/cook/runs", &nothing)["id"]);
    change(&program, "PUT", &format!("/v2/actor-runs/{run}"), &json!({ "generalAccess": "RESTRICTED" }));
    change(&program, "POST", &format!("/v2/actor-runs/{run}/abort"), &nothing);
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
