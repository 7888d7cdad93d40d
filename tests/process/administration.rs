//! Administration by commands: of a running server, and of a data folder that no gateway serves from.

use std::{path::Path, sync::Arc};

use larder::{
    clock::SystemClock,
    kv::{create_json, read_json, replace_json},
    storage::embedded::{EmbeddedOptions, EmbeddedStore},
};
use serde_json::{Value, json};

use crate::{
    client::{Client, Upload},
    program::{Program, command, run},
};

/// Runs a command. Returns its output, as JSON if it is.
fn administer(folder: &Path, arguments: &[&str], url: Option<&str>, token: Option<&str>) -> Result<Value, String> {
    let mut command = command(folder, arguments);
    if arguments[0] != "sign" {
        command.arg("--json");
    }
    // Not whatever else may listen where servers listen by default.
    command.env("LARDER_LISTEN", "127.0.0.1:1").envs(url.map(|url| ("LARDER_URL", url)));
    command.envs(token.map(|token| ("LARDER_TOKEN", token)));
    let ended = run(command);
    let printed = ended.stdout.join("\n");
    if ended.status.success() {
        Ok(serde_json::from_str(&printed).unwrap_or(Value::String(printed)))
    } else {
        Err(ended.stderr)
    }
}

fn status(program: &Program, method: &str, path: &str, token: &str) -> u16 {
    let mut client = Client::connect(program.address, token).expect("it listens");
    let answer = client.send(method, path, "", Upload::None).expect("it answers");
    let status = answer.status;
    answer.text().expect("it ends");
    status
}

#[test]
fn a_folder_is_administered_while_it_is_served_and_while_it_is_not() {
    let folder = tempfile::tempdir().expect("a folder");
    let offline = |arguments: &[&str]| administer(folder.path(), arguments, None, None);
    let made = offline(&["user", "create", "baker"]).expect("a user");
    assert_eq!(made["username"], "baker");
    let made = offline(&["token", "create", "--user", "baker", "--name", "ci"]).expect("a token");
    let (token, id) = (made["token"].as_str().expect("it is shown"), made["id"].as_str().expect("an id"));
    let listed = offline(&["token", "list", "--user", "baker"]).expect("a list");
    assert!(listed["id"] == id && listed.get("token").is_none(), "{listed}");

    let mut serve = command(folder.path(), &["serve", "--listen", "127.0.0.1:0"]);
    serve.env("LARDER_LOG", "trace");
    let program = Program::start(serve);
    assert_eq!(status(&program, "GET", "/v2/users/me", token), 200);
    assert_eq!(status(&program, "POST", "/v2/key-value-stores?name=shop", token), 201);
    assert_eq!(status(&program, "PUT", "/v2/key-value-stores/~shop/records/a", token), 201);
    let url = format!("http://{}", program.address);
    let online = |arguments: &[&str]| administer(folder.path(), arguments, Some(&url), None);
    let shared = online(&["store", "share", "baker~shop", "admin", "read"]).expect("a share");
    assert_eq!(shared["users"][0]["right"], "read");
    for arguments in
        [&["sign", "baker~shop", "a"][..], &["sign", "baker~shop"], &["sign", "baker~shop", "--lifetime", "60"]]
    {
        let link = online(arguments).expect("a link");
        let link = link.as_str().expect("a text");
        let path = link.strip_prefix(&url).expect("it is of this server");
        assert_eq!(status(&program, "GET", path, "").max(200), 401, "an empty token is a wrong one");
        let mut anonymous = std::net::TcpStream::connect(program.address).expect("it listens");
        std::io::Write::write_all(&mut anonymous, format!("GET {path} HTTP/1.0\r\n\r\n").as_bytes())
            .expect("it is sent");
        let mut answer = String::new();
        std::io::Read::read_to_string(&mut anonymous, &mut answer).expect("it answers");
        assert!(answer.starts_with("HTTP/1.0 200") || answer.starts_with("HTTP/1.1 200"), "{link}: {answer}");
    }
    online(&["store", "rotate-links", "baker~shop"]).expect("they die");
    online(&["user", "disable", "baker"]).expect("the user is disabled");
    assert_eq!(status(&program, "GET", "/v2/users/me", token), 401);
    online(&["user", "enable", "baker"]).expect("the user is enabled");
    online(&["token", "revoke", id, "--user", "baker"]).expect("it is revoked");
    assert_eq!(status(&program, "GET", "/v2/users/me", token), 401);
    let error = online(&["token", "revoke", id, "--user", "baker"]).expect_err("it is gone");
    assert!(error.contains("Token was not found"), "{error}");
    let error =
        administer(folder.path(), &["user", "list"], Some(&url), Some("larder_wrong")).expect_err("it is wrong");
    assert!(error.contains("not valid") && !error.contains("larder_wrong"), "{error}");
    // A process serves from the folder, but not at the address of the command.
    let error = offline(&["user", "list"]).expect_err("the folder is taken");
    assert!(error.contains("the command cannot open the data itself"), "{error}");
    let logged = program.stop().stderr;
    assert!(logged.contains("larder::audit") && logged.contains("user.update"), "{logged}");
    assert!(!logged.contains(token), "a token is in the log");
    assert_eq!(offline(&["user", "list"]).expect("a list").as_str().expect("lines").lines().count(), 2);
    let admins = std::fs::read_to_string(folder.path().join("larder-data/admin-token")).expect("it is there");
    assert_eq!(files_with(folder.path(), admins.trim()), ["admin-token"], "the admin's token is in its file alone");
    assert_eq!(files_with(folder.path(), token), Vec::<String>::new(), "a token is kept as a hash");
}

/// Returns the names of all files below a folder that contain a text.
fn files_with(folder: &Path, text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            found.extend(files_with(&path, text));
        } else if std::fs::read(&path).expect("a file").windows(text.len()).any(|bytes| bytes == text.as_bytes()) {
            found.push(path.file_name().expect("a name").to_string_lossy().into_owned());
        }
    }
    found
}

#[test]
fn people_are_shown_tables_and_a_new_token_alone() {
    let folder = tempfile::tempdir().expect("a folder");
    let program = Program::serve(folder.path(), &[]);
    let shown = |arguments: &[&str]| {
        let mut command = command(folder.path(), arguments);
        let url = format!("http://{}", program.address);
        command.envs([("LARDER_URL", url.as_str()), ("LARDER_TOKEN", crate::program::TOKEN)]);
        let ended = run(command);
        assert!(ended.status.success(), "{arguments:?}: {}", ended.stderr);
        ended.stdout
    };
    assert!(shown(&["user", "create", "baker"]).contains(&"username       baker".to_owned()));
    let token = shown(&["token", "create", "--user", "baker", "--name", "laptop"]);
    assert!(token.len() == 1 && status(&program, "GET", "/v2/users/me", &token[0]) == 200, "{token:?}");
    let users = shown(&["user", "list"]);
    assert!(users[0].starts_with("ID ") && users.len() == 3 && users[2].ends_with("enabled   baker"), "{users:?}");
    let tokens = shown(&["token", "list", "--user", "baker"]);
    assert!(tokens.len() == 2 && tokens[1].ends_with("  laptop") && !tokens[1].contains(&token[0]), "{tokens:?}");
    shown(&["store", "create", "pantry"]);
    let access = shown(&["store", "share", "pantry", "baker", "read"]);
    assert!(access[0].starts_with("general access: ") && access[2].ends_with("read    baker"), "{access:?}");
    program.stop();
}

#[test]
fn a_start_before_the_recorded_time_suspends_deletions_until_the_time_is_accepted() {
    let folder = tempfile::tempdir().expect("a folder");
    let clock = |arguments: &[&str]| administer(folder.path(), arguments, None, None).expect("the state of the clock");
    administer(folder.path(), &["user", "create", "baker"], None, None).expect("the folder is made");
    assert!(clock(&["clock"])["deletionSuspended"].is_null());
    write_clock_record(
        folder.path(),
        &json!({ "wallTime": "2099-01-01T00:00:00.000Z", "uptimeMillis": 1, "confirmations": 0 }),
    );
    let suspended = clock(&["clock"]);
    let reason = suspended["deletionSuspended"]["reason"].as_str().expect("a reason");
    assert!(reason.contains("before the latest recorded time"), "{reason}");
    assert!(!clock(&["clock"])["deletionSuspended"].is_null(), "a restart does not end it");
    assert!(clock(&["clock", "accept"])["deletionSuspended"].is_null());
    assert!(clock(&["clock"])["deletionSuspended"].is_null());
}

/// Writes the record of the installation's time into a data folder that no gateway serves from.
fn write_clock_record(folder: &Path, record: &Value) {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(async {
        let options = EmbeddedOptions::new(folder.join("larder-data"));
        let store = EmbeddedStore::open(&options, Arc::new(SystemClock)).expect("the folder opens");
        let seen = read_json::<Value>(&store, "larder/clock").await.expect("it is read");
        let written = match seen {
            Some((_, etag)) => replace_json(&store, "larder/clock", record, etag).await,
            None => create_json(&store, "larder/clock", record).await,
        };
        assert!(written.expect("it is written"));
        store.close().await;
    });
}
