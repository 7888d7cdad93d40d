//! Import and export: what goes out and in again is the same to the byte, also if it was cut off on the way.

use std::{
    fs::{self, File},
    io::{BufRead, BufReader, Write},
    path::Path,
    process::Stdio,
    time::Duration,
};

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::{
    client::Upload,
    program::{Ended, Program, TOKEN, WAIT_TIMEOUT, command, now, pause, run},
    scale,
    watcher::Watched,
};

/// Keys that are hard to carry.
const ODD_KEYS: [&str; 7] = [".", "..", "..a", "a'(b)!", "A", "a", "_-.b"];

/// Types and codings of records, in turn.
const KINDS: [(&str, Option<&str>); 7] = [
    ("application/json; charset=utf-8", None),
    ("text/plain; charset=utf-8", Some("gzip")),
    ("text/html", Some("br")),
    ("image/png", None),
    ("application/octet-stream", Some("deflate")),
    ("application/x-anything; a=\"b c\"", None),
    ("application/json", Some("gzip")),
];

/// Runs a command of transfer against a program.
fn transfer(folder: &Path, program: &Program, arguments: &[&str]) -> Ended {
    run(prepared(folder, program, arguments))
}

fn prepared(folder: &Path, program: &Program, arguments: &[&str]) -> std::process::Command {
    let mut command = command(folder, arguments);
    command.env("LARDER_URL", format!("http://{}", program.address)).env("LARDER_TOKEN", TOKEN);
    command
}

fn succeeds(ended: &Ended) {
    assert!(ended.status.success(), "{:?}: {}", ended.stdout, ended.stderr);
}

/// Runs it and kills it once it has made progress. Returns `true` if it was still running.
fn cut_off(mut command: std::process::Command, has_begun: impl Fn() -> bool) -> bool {
    let mut child = Watched::new(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("it starts"));
    let began = now();
    while !has_begun() && began.elapsed() < WAIT_TIMEOUT {
        pause(Duration::from_millis(2));
    }
    child.kill().expect("it is killed");
    !child.wait().expect("it ends").success()
}

/// Creates the export of a store with so many records, and an index entry for each.
fn make_export(folder: &Path, records: usize) {
    fs::create_dir_all(folder.join("records")).expect("a folder");
    let sheet = json!({ "name": "shop", "title": "The shop", "generalAccess": "ANYONE_WITH_ID_CAN_READ" });
    fs::write(folder.join("manifest.json"), sheet.to_string()).expect("it is written");
    let long = "k".repeat(256);
    let odd = ODD_KEYS.into_iter().chain([long.as_str()]).map(str::to_owned);
    let mut keys: Vec<String> = (0..records).map(|number| format!("page-{number:06}.html")).chain(odd).collect();
    keys.sort();
    let mut index = File::create(folder.join("records.ndjson")).expect("a file");
    for (number, key) in keys.iter().enumerate() {
        let (content_type, coding) = KINDS[number % KINDS.len()];
        // From nothing to some hundred kilobytes, most of them small.
        let length = if number % 500 == 7 { 300_000 } else { number % 700 };
        let bytes: Vec<u8> = (0..length).map(|at| u8::try_from((at * 31 + number) % 256).unwrap_or(0)).collect();
        let sum = Sha256::digest(&bytes).iter().fold(String::new(), |text, byte| format!("{text}{byte:02x}"));
        let file = format!("{number}.bytes");
        fs::write(folder.join("records").join(&file), &bytes).expect("it is written");
        let mut line = json!({ "key": key, "file": file, "contentType": content_type, "size": length, "sha256": sum });
        if let Some(coding) = coding {
            line["contentEncoding"] = coding.into();
        }
        writeln!(index, "{line}").expect("it is written");
    }
}

/// Returns the metadata of each record of an export, without the name of its file, and checks its bytes.
fn contents(folder: &Path) -> Vec<Value> {
    let lines = BufReader::new(File::open(folder.join("records.ndjson")).expect("a file")).lines();
    let record = |line: std::io::Result<String>| {
        let mut line: Value = serde_json::from_str(&line.expect("a line")).expect("JSON");
        let file = line.as_object_mut().expect("an object").remove("file").expect("a file");
        let bytes = fs::read(folder.join("records").join(file.as_str().expect("a text"))).expect("a file");
        let sum = Sha256::digest(&bytes).iter().fold(String::new(), |text, byte| format!("{text}{byte:02x}"));
        assert_eq!(line["sha256"], sum, "{line}");
        line
    };
    lines.map(record).collect()
}

fn count(program: &Program, store: &str) -> usize {
    let path = format!("/v2/key-value-stores/{store}/keys?limit=1000");
    let mut client = program.client();
    let Ok(answer) = client.send("GET", &path, "", Upload::None) else { return 0 };
    let page: Value = answer.text().ok().and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default();
    page["data"]["count"].as_u64().and_then(|count| usize::try_from(count).ok()).unwrap_or(0)
}

fn lines(path: &Path) -> usize {
    fs::read(path).map_or(0, |bytes| bytes.split(|byte| *byte == b'\n').count())
}

#[test]
fn what_is_carried_out_and_in_again_is_the_same_also_if_it_was_cut_off() {
    let records = scale::transfer_records();
    let work = tempfile::tempdir().expect("a folder");
    let path = |name: &str| work.path().join(name).display().to_string();
    let (first_data, second_data) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
    let first = Program::serve(first_data.path(), &[]);
    let second = Program::serve(second_data.path(), &[]);
    make_export(&work.path().join("made"), records);
    let made = contents(&work.path().join("made"));

    // Cut off on the way in, and gone on with.
    let import = ["import", "made"];
    let was_cut = cut_off(prepared(work.path(), &first, &import), || count(&first, "~shop") > 300);
    assert!(was_cut, "it was too quick to be cut off");
    assert!(work.path().join("larder-import.progress").exists());
    succeeds(&transfer(work.path(), &first, &import));
    assert!(!work.path().join("larder-import.progress").exists());

    // Cut off on the way out, and gone on with.
    let export = ["export", "~shop", "out"];
    let unfinished = work.path().join("out/records.ndjson.partial");
    assert!(cut_off(prepared(work.path(), &first, &export), || lines(&unfinished) > 300));
    let refused = transfer(work.path(), &second, &["import", "out"]);
    assert!(!refused.status.success() && refused.stderr.contains("interrupted export"), "{}", refused.stderr);
    succeeds(&transfer(work.path(), &first, &export));
    assert!(contents(&work.path().join("out")) == made, "the records differ");
    let refused = transfer(work.path(), &first, &export);
    assert!(
        !refused.status.success() && refused.stderr.contains("already contains a complete export"),
        "{}",
        refused.stderr
    );

    // By one ZIP file to another server, and out again.
    succeeds(&transfer(work.path(), &first, &["export", "~shop", "one.zip"]));
    succeeds(&transfer(work.path(), &second, &["import", &path("one.zip")]));
    succeeds(&transfer(work.path(), &second, &["export", "~shop", "two.zip"]));
    let archive = |name: &str| fs::read(work.path().join(name)).expect("a file");
    assert!(archive("one.zip") == archive("two.zip"), "the archives differ");
    assert!(!work.path().join("one.zip.partial").exists());

    // From server to server.
    let url = format!("http://{}", first.address);
    let mut from = prepared(work.path(), &second, &["import", "--from", &url, "--store", "~shop", "--name", "copy"]);
    from.env("LARDER_FROM_TOKEN", TOKEN);
    succeeds(&run(from));
    succeeds(&transfer(work.path(), &second, &["export", "~copy", "copy"]));
    assert!(contents(&work.path().join("copy")) == made, "the records differ");
    first.stop();
    second.stop();
}

#[test]
fn what_has_changed_since_it_was_exported_is_refused_and_leaves_the_old_record() {
    let (work, data) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
    let program = Program::serve(data.path(), &[]);
    make_export(&work.path().join("made"), 20);
    succeeds(&transfer(work.path(), &program, &["import", "made"]));
    let before = contents(&work.path().join("made"));
    let large = work.path().join("made/records/7.bytes");
    let mut bytes = fs::read(&large).expect("a file");
    bytes[299_999] ^= 1;
    fs::write(&large, bytes).expect("it is written");
    let refused = transfer(work.path(), &program, &["import", "made"]);
    assert!(!refused.status.success() && refused.stderr.contains("checksum mismatch"), "{}", refused.stderr);
    succeeds(&transfer(work.path(), &program, &["export", "~shop", "out"]));
    assert!(contents(&work.path().join("out")) == before, "the records differ");
    program.stop();
}

#[test]
fn a_storage_folder_of_crawlees_is_brought_in_without_a_server_too() {
    let (work, data) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
    let store = work.path().join("storage/key_value_stores/my-crawl");
    fs::create_dir_all(&store).expect("a folder");
    fs::write(store.join("INPUT.json"), r#"{"a":1}"#).expect("it is written");
    fs::write(store.join("no key.txt"), "x").expect("it is written");
    let mut import = command(data.path(), &["import", &work.path().join("storage").display().to_string()]);
    import.env("LARDER_LISTEN", "127.0.0.1:1");
    let ended = run(import);
    assert!(!ended.status.success() && ended.stderr.contains("my-crawl/no key.txt: its key"), "{}", ended.stderr);
    let program = Program::serve(data.path(), &[]);
    let mut client = program.client();
    let answer =
        client.send("GET", "/v2/key-value-stores/~my-crawl/records/INPUT", "", Upload::None).expect("it answers");
    assert_eq!(answer.header("content-type"), Some("application/json; charset=utf-8"));
    assert_eq!(answer.text().expect("a body"), r#"{"a":1}"#);
    program.stop();
}
