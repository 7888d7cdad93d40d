//! The everyday commands: `stores`, `ls`, `get`, `put`, `rm`, `status` and `version`, by the names that people use.

use std::{
    fs,
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Command, Output, Stdio},
    thread,
};

use serde_json::Value;

use crate::{
    client::Upload,
    program::{Program, TOKEN, command, run},
};

/// More keys than a page has.
const KEYS: usize = 1050;

/// A program and a folder to run commands in.
struct Scene {
    program: Program,
    folder: tempfile::TempDir,
}

impl Scene {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        Self { program: Program::serve(folder.path(), &[]), folder }
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = command(self.folder.path(), arguments);
        command.env("LARDER_URL", format!("http://{}", self.program.address)).env("LARDER_TOKEN", TOKEN);
        command
    }

    /// Runs a command that is given `input`.
    fn ask_with(&self, arguments: &[&str], input: &[u8]) -> Output {
        let mut command = self.command(arguments);
        let piped = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = piped.spawn().expect("it starts");
        let (mut stdin, input) = (child.stdin.take().expect("it is piped"), input.to_vec());
        let writer = thread::spawn(move || drop(stdin.write_all(&input)));
        let output = child.wait_with_output().expect("it ends");
        writer.join().expect("it is written");
        output
    }

    /// Runs a command that must succeed. Returns its standard output.
    fn ask(&self, arguments: &[&str]) -> String {
        let output = self.ask_with(arguments, b"");
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("a text")
    }

    /// Runs a command that must fail. Returns its exit code and its message.
    fn refused(&self, arguments: &[&str]) -> (Option<i32>, String) {
        let output = self.ask_with(arguments, b"");
        assert!(output.stdout.is_empty(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stdout));
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    }

    fn put(&self, arguments: &[&str], input: &[u8]) {
        let output = self.ask_with(arguments, input);
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    }
}

fn objects(lines: &str) -> Vec<Value> {
    lines.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

/// More than any buffer on the way, of all bytes.
fn large() -> Vec<u8> {
    (0..3_000_000_u32).map(|number| u8::try_from(number % 251 * 31 % 251).expect("a byte")).collect()
}

#[test]
fn records_go_in_and_out_by_files_and_streams_and_are_listed_with_size_and_type() {
    let scene = Scene::new();
    let id = scene.ask(&["store", "create", "pantry"]);
    assert_eq!(scene.ask(&["store", "create", "pantry"]), id, "there is one of that name");
    let file = |name: &str| scene.folder.path().join(name);
    fs::write(file("photo.jpg"), large()).expect("it is written");

    scene.put(&["put", "pantry", "salt.txt"], b"a pinch");
    scene.put(&["put", "pantry", "large", "-"], &large());
    scene.put(&["put", "pantry", "photo", "photo.jpg"], b"");
    scene.put(&["put", id.trim(), "bread", "--type", "application/x-bread"], b"{}");

    assert_eq!(scene.ask(&["get", "pantry", "salt.txt"]), "a pinch");
    assert!(scene.ask_with(&["get", "pantry", "large", "-"], b"").stdout == large(), "the bytes differ");
    scene.ask(&["get", "~pantry", "photo", "copy.jpg"]);
    assert!(fs::read(file("copy.jpg")).expect("it is saved") == large(), "the bytes differ");

    let listed = objects(&scene.ask(&["ls", "pantry", "--json"]));
    let shown: Vec<_> = listed
        .iter()
        .map(|record| ["key", "size", "contentType"].map(|member| record[member].to_string().replace('"', "")))
        .collect();
    assert_eq!(
        shown,
        [
            ["bread", "2", "application/x-bread"],
            ["large", "3000000", "application/octet-stream"],
            ["photo", "3000000", "image/jpeg"],
            ["salt.txt", "7", "text/plain; charset=utf-8"],
        ]
    );
    assert!(listed[0]["modifiedAt"].as_str().is_some_and(|time| time.ends_with('Z')), "{}", listed[0]);
    let table = scene.ask(&["ls", "pantry", "--prefix", "salt"]);
    let lines: Vec<&str> = table.lines().collect();
    assert!(lines.len() == 2 && lines[0].starts_with("MODIFIED") && lines[0].ends_with("KEY"), "{table}");
    assert!(lines[1].contains(" 7 B  text/plain; charset=utf-8 ") && lines[1].ends_with("  salt.txt"), "{table}");

    let stores = scene.ask(&["stores"]);
    assert!(
        stores.starts_with("ID ") && stores.contains(id.trim()) && stores.trim_end().ends_with("  pantry"),
        "{stores}"
    );
    assert_eq!(objects(&scene.ask(&["stores", "--json"]))[0]["name"], "pantry");
    scene.ask(&["store", "delete", "pantry"]);
    assert_eq!(scene.ask(&["stores"]), "");
    scene.program.stop();
}

#[test]
fn what_does_not_exist_is_named_and_distinguished_from_other_failures() {
    let scene = Scene::new();
    scene.ask(&["store", "create", "pantry"]);
    scene.put(&["put", "pantry", "salt"], b"a pinch");
    for (arguments, said) in [
        (&["ls", "larder"][..], "no store has the name \"larder\""),
        (&["get", "~larder", "salt"], "no store has the name \"larder\""),
        (&["put", "baker~larder", "salt"], "user \"baker\" has no store with the name \"larder\""),
        (&["sign", "A2345678901234567"], "no store has the id or the name \"A2345678901234567\""),
        (&["store", "share", "larder", "baker", "read"], "no store has the name \"larder\""),
        (&["export", "larder", "out.zip"], "no store has the name \"larder\""),
        (&["get", "pantry", "pepper"], "store ~pantry has no record \"pepper\""),
        (&["sign", "pantry", "pepper"], "store ~pantry has no record \"pepper\""),
        (&["rm", "pantry", "pepper", "salt"], "store ~pantry has no record \"pepper\""),
    ] {
        let (code, complaint) = scene.refused(arguments);
        assert!(code == Some(3) && complaint.contains(said), "{arguments:?}: {code:?} {complaint}");
    }
    assert_eq!(scene.ask(&["ls", "pantry"]), "", "what was there is gone");
    for (arguments, said) in [
        (&["put", "pantry", "no key"][..], "invalid key \"no key\""),
        (&["put", "pantry", "salt", "absent.txt"], "cannot read absent.txt"),
        (&["get", "pantry", "a/b"], "invalid key \"a/b\""),
    ] {
        let (code, complaint) = scene.refused(arguments);
        assert!(code == Some(1) && complaint.contains(said), "{arguments:?}: {code:?} {complaint}");
    }
    scene.program.stop();
}

#[test]
fn what_looks_like_an_id_is_one_before_it_is_a_name() {
    let scene = Scene::new();
    let first = scene.ask(&["store", "create", "pantry"]);
    let (first, name) = (first.trim(), "A2345678901234567");
    scene.ask(&["store", "create", name]);
    scene.put(&["put", name, "a"], b"by the name alone");
    assert_eq!(scene.ask(&["get", &format!("~{name}"), "a"]), "by the name alone");
    // A name that is the id of another store.
    scene.ask(&["store", "create", first]);
    scene.put(&["put", first, "a"], b"by the id");
    assert_eq!(scene.ask(&["get", "pantry", "a"]), "by the id");
    assert_eq!(scene.refused(&["get", &format!("~{first}"), "a"]).0, Some(3));
    scene.program.stop();
}

#[test]
fn a_list_longer_than_a_page_is_whole_and_ends_when_its_reader_does() {
    let scene = Scene::new();
    let records = scene.program.records_of("pantry");
    let mut client = scene.program.client();
    for number in 0..KEYS {
        let sent =
            client.send("PUT", &format!("{records}/key-{number:05}"), "text/plain", Upload::Known(1, &mut &b"x"[..]));
        assert_eq!(sent.expect("it answers").status, 201);
    }
    let keys = scene.ask(&["ls", "pantry", "--keys"]);
    let lines: Vec<&str> = keys.lines().collect();
    assert_eq!((lines.len(), lines.first(), lines.last()), (KEYS, Some(&"key-00000"), Some(&"key-01049")));
    // A reader that leaves after two lines, as `head` does.
    let mut list = scene.command(&["ls", "pantry"]);
    let mut child = list.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
    let read = BufReader::new(child.stdout.take().expect("it is piped")).lines().take(2).count();
    let output = child.wait_with_output().expect("it ends");
    assert_eq!(read, 2);
    assert!(output.status.success() && output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    scene.put(&["rm", "pantry", "-"], lines[..KEYS - 1][KEYS - 4..].join("\n").as_bytes());
    assert_eq!(scene.ask(&["ls", "pantry", "--keys", "--prefix", "key-0104"]).lines().count(), 10 - 3);
    scene.program.stop();
}

#[test]
fn status_says_where_the_server_is_and_who_asks() {
    let scene = Scene::new();
    scene.ask(&["store", "create", "pantry"]);
    let status: Value = serde_json::from_str(&scene.ask(&["status", "--json"])).expect("JSON");
    let version = env!("CARGO_PKG_VERSION");
    assert_eq!(
        (&status["state"], &status["version"], &status["user"]),
        (&"ready".into(), &version.into(), &"admin".into())
    );
    assert_eq!((&status["stores"], &status["isAdmin"]), (&1.into(), &true.into()));
    let table = scene.ask(&["status"]);
    assert!(table.contains("\nstate              ready\n") && !table.contains(TOKEN), "{table}");
    assert_eq!(scene.ask(&["version"]), format!("larder {version}\n"));
    assert_eq!(scene.ask(&["version", "--json"]), format!("{{\"version\":\"{version}\"}}\n"));
    scene.program.stop();
    let nowhere = tempfile::tempdir().expect("a folder");
    let mut status = command(nowhere.path(), &["status"]);
    status.env("LARDER_LISTEN", "127.0.0.1:1");
    let ended = run(status);
    assert_eq!(ended.status.code(), Some(1));
    assert!(ended.stderr.contains("no server is running at http://127.0.0.1:1"), "{}", ended.stderr);
    assert!(is_empty(nowhere.path()), "a look made something");
}

fn is_empty(folder: &Path) -> bool {
    fs::read_dir(folder).expect("a folder").next().is_none()
}

#[test]
fn the_token_of_the_data_folder_is_not_sent_to_other_machines() {
    let folder = tempfile::tempdir().expect("a folder");
    fs::create_dir(folder.path().join("larder-data")).expect("a folder");
    fs::write(folder.path().join("larder-data/admin-token"), "apify_api_secret").expect("it is written");
    // An address for documentation: nothing is there, and nothing is asked.
    let ended = run(command(folder.path(), &["stores", "--url", "http://192.0.2.1:8011"]));
    assert_eq!(ended.status.code(), Some(2), "{}", ended.stderr);
    assert!(ended.stderr.contains("no token: set LARDER_TOKEN"), "{}", ended.stderr);
}
