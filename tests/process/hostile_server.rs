//! Exports from a server, and imports of folders, that an attacker made to have files written or read elsewhere.

use std::{
    fs,
    io::{BufRead, BufReader, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    os::unix::fs::{MetadataExt, symlink},
    path::Path,
    thread,
};

use serde_json::json;

use crate::program::{Ended, Program, command, run};

/// Bytes that the server gives for every record.
const BYTES: &str = "ssh-ed25519 AAAA attacker";

/// Serves a store that lists `keys` and has [`BYTES`] under all of them, until the test ends.
fn serve(keys: Vec<String>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    thread::spawn(move || {
        for stream in listener.incoming() {
            let keys = keys.clone();
            thread::spawn(move || answer(&stream.expect("a connection"), &keys));
        }
    });
    address
}

fn answer(stream: &TcpStream, keys: &[String]) {
    let mut writer = stream;
    let mut reader = BufReader::new(stream.try_clone().expect("a handle"));
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).unwrap_or(0) == 0 {
            return;
        }
        let path = line.split(' ').nth(1).unwrap_or_default().to_owned();
        while reader.read_line(&mut line).is_ok_and(|read| read > 2) {}
        let body = if path.contains("/records/") {
            BYTES.to_owned()
        } else if path.contains("/keys") {
            let items: Vec<_> = keys.iter().map(|key| json!({ "key": key, "size": BYTES.len() })).collect();
            json!({ "data": { "items": items, "nextExclusiveStartKey": null } }).to_string()
        } else {
            json!({ "data": { "id": "AbCdEfGhIjKlMnOpQ", "name": "shop" } }).to_string()
        };
        let head = format!("HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: {}\r\n\r\n", body.len());
        if writer.write_all(format!("{head}{body}").as_bytes()).is_err() {
            return;
        }
    }
}

fn export(folder: &Path, server: SocketAddr, to: &str) -> Ended {
    let mut command = command(folder, &["export", "~shop", to, "--url", &format!("http://{server}")]);
    command.env("LARDER_TOKEN", "any");
    run(command)
}

/// Returns the names of all files beneath `folder`, sorted.
fn files(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(next).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.symlink_metadata().expect("it is there").is_dir() {
                folders.push(path);
            } else {
                found.push(path.strip_prefix(folder).expect("it is beneath").display().to_string());
            }
        }
    }
    found.sort();
    found
}

#[test]
fn an_export_writes_nothing_outside_its_folder_whatever_keys_the_server_lists() {
    let work = tempfile::tempdir().expect("a folder");
    let home = work.path().join("home/x/.ssh");
    fs::create_dir_all(&home).expect("a folder");
    let absolute = home.join("authorized_keys").display().to_string();
    let long = "k".repeat(5000);
    let evil =
        [&absolute, "../up", "../../up", "a/../../up", "a\0b", "a\\b", "", &long, "key~partial", "\u{1b}[2J", "é"];
    let keys = evil.iter().map(|key| (*key).to_owned()).chain(["fine".to_owned(), "..".to_owned()]).collect();
    let ended = export(work.path(), serve(keys), "into/out");
    assert!(!ended.status.success(), "it says that it left something out");
    assert_eq!(ended.stderr.matches("left out: ").count(), evil.len(), "{}", ended.stderr);
    assert!(!ended.stderr.contains('\u{1b}'), "what a server says is no command of the terminal");
    let written = files(work.path());
    assert!(written.iter().all(|file| file.starts_with("into/out/")), "{written:?}");
    assert_eq!(written.iter().filter(|file| file.starts_with("into/out/records/")).count(), 2, "{written:?}");
    assert_eq!(fs::read_to_string(work.path().join("into/out/records/fine")).expect("a file"), BYTES);
}

#[test]
fn an_export_follows_no_link_that_is_in_its_folder_already() {
    for planted in [
        "records",
        "records/fine~partial",
        "records/fine",
        "records.ndjson.partial",
        "manifest.json.partial",
        "records/~case",
    ] {
        let work = tempfile::tempdir().expect("a folder");
        let (out, outside) = (work.path().join("out"), work.path().join("outside"));
        fs::create_dir_all(&out).expect("a folder");
        fs::create_dir(&outside).expect("a folder");
        let victim = outside.join("victim");
        fs::write(&victim, "mine").expect("it is written");
        let server = serve(vec!["fine".to_owned()]);
        let marker = json!({ "server": format!("http://{server}"), "store": "AbCdEfGhIjKlMnOpQ" });
        fs::write(out.join("export.partial.json"), marker.to_string()).expect("it is written");
        if planted.starts_with("records/") {
            fs::create_dir(out.join("records")).expect("a folder");
        }
        let target = if planted == "records" { &outside } else { &victim };
        symlink(target, out.join(planted)).expect("a link");
        let ended = export(work.path(), server, "out");
        assert_eq!(fs::read_to_string(&victim).expect("it is there"), "mine", "{planted}");
        assert_eq!(files(&outside), ["victim"], "{planted}");
        // Either the link was replaced by what belongs there, or the export says what is wrong.
        let is_link = out.join(planted).symlink_metadata().is_ok_and(|found| found.is_symlink());
        assert_eq!(ended.status.success(), !is_link, "{planted}: {}", ended.stderr);
    }
}

#[test]
fn an_export_is_for_its_user_alone_and_breaks_a_second_name_of_what_it_replaces() {
    let work = tempfile::tempdir().expect("a folder");
    let out = work.path().join("out");
    fs::create_dir_all(out.join("records")).expect("a folder");
    let victim = work.path().join("victim");
    fs::write(&victim, "mine").expect("it is written");
    let server = serve(vec!["fine".to_owned()]);
    let marker = json!({ "server": format!("http://{server}"), "store": "AbCdEfGhIjKlMnOpQ" });
    fs::write(out.join("export.partial.json"), marker.to_string()).expect("it is written");
    fs::hard_link(&victim, out.join("records/fine~partial")).expect("a second name");
    let ended = export(work.path(), server, "out");
    assert!(ended.status.success(), "{}", ended.stderr);
    assert_eq!(fs::read_to_string(&victim).expect("it is there"), "mine");
    for file in ["records.ndjson", "manifest.json", "records/fine"] {
        assert_eq!(fs::metadata(out.join(file)).expect("it is there").mode() & 0o777, 0o600, "{file}");
    }
    assert!(export(work.path(), server, "one.zip").status.success());
    assert_eq!(fs::metadata(work.path().join("one.zip")).expect("it is there").mode() & 0o777, 0o600);
}

#[test]
fn an_import_reads_nothing_outside_its_folder_by_a_link() {
    let (work, data) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
    let program = Program::serve(data.path(), &[]);
    let secret = work.path().join("secret");
    fs::create_dir(&secret).expect("a folder");
    fs::write(secret.join("id_ed25519"), "private").expect("it is written");
    let made = |name: &str| {
        let folder = work.path().join(name);
        fs::create_dir_all(&folder).expect("a folder");
        folder
    };
    symlink(secret.join("id_ed25519"), made("file/key_value_stores/a").join("INPUT.json")).expect("a link");
    symlink(&secret, made("store/key_value_stores").join("a")).expect("a link");
    symlink(work.path(), made("stores").join("key_value_stores")).expect("a link");
    let line = json!({ "key": "a", "file": "a", "contentType": "text/plain", "size": 7, "sha256": "" });
    for name in ["record", "records"] {
        let folder = made(name);
        fs::write(folder.join("manifest.json"), "{\"name\":\"shop\"}").expect("it is written");
        fs::write(folder.join("records.ndjson"), line.to_string()).expect("it is written");
    }
    symlink(secret.join("id_ed25519"), made("record/records").join("a")).expect("a link");
    symlink(&secret, made("records").join("records")).expect("a link");
    for name in ["file", "store", "stores", "record", "records"] {
        let mut import = command(work.path(), &["import", name]);
        import.env("LARDER_URL", format!("http://{}", program.address)).env("LARDER_TOKEN", crate::program::TOKEN);
        let ended = run(import);
        assert!(!ended.status.success(), "{name}");
        assert!(ended.stderr.contains("is a symbolic link, which is not followed"), "{name}: {}", ended.stderr);
        let _ = fs::remove_file(work.path().join("larder-import.progress"));
    }
    program.stop();
}
