//! Imports of folders in which something is wrong: all else arrives, and one report names each trouble with its path.

use std::{
    ffi::OsStr,
    fs::{self, OpenOptions},
    io::{BufRead, BufReader, Read, Write},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    os::unix::{ffi::OsStrExt, fs::symlink},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::{Arc, Mutex, mpsc},
    thread,
};

use serde_json::Value;

use crate::{
    client::Upload,
    folder::files_below,
    program::{Ended, Program, TOKEN, WAIT_TIMEOUT, command, run},
};

/// Records in each of the two stores that have nothing wrong with them.
const GOOD_RECORDS: usize = 150;

/// Length of files that are sent only once the gateway asks for them.
const LARGE_BYTES: usize = 300_000;

/// Relays connections to a gateway, and calls `met` with the key of each record that is sent before the gateway sees its head.
fn relay(gateway: SocketAddr, met: impl Fn(&str) + Send + Sync + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    let met = Arc::new(met);
    thread::spawn(move || {
        for client in listener.incoming().map_while(Result::ok) {
            let Ok(server) = TcpStream::connect(gateway) else { return };
            let (mut up, mut down) = (client.try_clone().expect("a handle"), server.try_clone().expect("a handle"));
            let met = Arc::clone(&met);
            thread::spawn(move || {
                let (mut server, mut piece) = (server, vec![0; 1 << 16]);
                while let Ok(read @ 1..) = up.read(&mut piece) {
                    if let Some(key) = written_key(&piece[..read]) {
                        met(&key);
                    }
                    if server.write_all(&piece[..read]).is_err() {
                        break;
                    }
                }
                let _ = server.shutdown(Shutdown::Both);
            });
            thread::spawn(move || {
                let mut client = client;
                let _ = std::io::copy(&mut down, &mut client);
                let _ = client.shutdown(Shutdown::Both);
            });
        }
    });
    address
}

/// Returns the key of the record that a head is about to write.
fn written_key(piece: &[u8]) -> Option<String> {
    let head = String::from_utf8_lossy(piece.get(..piece.len().min(1024))?).into_owned();
    let path = head.strip_prefix("PUT ")?.split(' ').next()?.to_owned();
    path.split_once("/records/").map(|(_, key)| key.to_owned())
}

fn import(folder: &Path, server: SocketAddr, arguments: &[&str]) -> Command {
    let mut command = command(folder, &["import"]);
    command.args(arguments).env("LARDER_URL", format!("http://{server}")).env("LARDER_TOKEN", TOKEN);
    command
}

fn write(path: PathBuf, bytes: impl AsRef<[u8]>) {
    fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
    fs::write(path, bytes).expect("it is written");
}

/// Makes a store of sound records.
fn make_store(stores: &Path, name: &str) -> PathBuf {
    for number in 0..GOOD_RECORDS {
        write(stores.join(name).join(format!("item-{number:03}.json")), format!("{{\"number\":{number}}}"));
    }
    stores.join(name)
}

/// Creates a storage folder with every kind of trouble, and files outside it. Returns the expected findings: the path
/// of each trouble below the folder of stores, and a part of its line.
fn make_troubles(work: &Path) -> Vec<(&'static str, &'static str)> {
    let stores = work.join("storage/key_value_stores");
    make_store(&stores, "pantry");
    let shop = make_store(&stores, "shop");
    let outside = work.join("outside");
    write(outside.join("id_ed25519"), "private");
    write(shop.join("t.txt"), "text");
    write(shop.join("page.json"), "{}");
    write(shop.join("page.html"), "<p>");
    write(shop.join("it%27s"), "one");
    write(shop.join("it's"), "other");
    symlink("./././././t.txt", shop.join("z.txt")).expect("a link");
    symlink(outside.join("id_ed25519"), shop.join("secret.txt")).expect("a link");
    write(shop.join("folder/inner.txt"), "x");
    let pipe = Command::new("mkfifo").arg(shop.join("pipe")).status().expect("mkfifo runs");
    assert!(pipe.success());
    write(shop.join(OsStr::from_bytes(b"bad-\xff.txt")), "x");
    write(shop.join("no key.txt"), "x");
    write(shop.join(".DS_Store"), "x");
    write(shop.join("lost.__metadata__.json"), r#"{"key":"lost","contentType":"image/png"}"#);
    write(shop.join("broken.json"), "[]");
    write(shop.join("broken.json.__metadata__.json"), "{");
    write(shop.join("changing.txt"), vec![b'a'; LARGE_BYTES]);
    write(shop.join("restless.txt"), vec![b'a'; LARGE_BYTES]);
    write(shop.join("large.bin"), "");
    OpenOptions::new().write(true).open(shop.join("large.bin")).and_then(|file| file.set_len(8 << 20)).expect("large");
    write(shop.join("zzz-gone.txt"), "x");
    symlink(&outside, stores.join("linked")).expect("a link");
    write(stores.join("my_store/a.txt"), "x");
    write(stores.join("twin/a.txt"), "x");
    write(stores.join("twin/__metadata__.json"), r#"{"name":"Shop"}"#);
    write(stores.join("readme.txt"), "x");
    write(work.join("storage/datasets/default/1.json"), "{}");
    vec![
        ("shop/page.json", "its key page is also the key of page.html: imported under the key page.json"),
        ("shop/page.html", "its key page is also the key of page.json: imported under the key page.html"),
        ("shop/it%27s", "its key it's is also the key of it's, and its file name is not an unused valid key"),
        ("shop/it's", "imported under the key it's"),
        ("shop/z.txt", "is a symbolic link, which is not followed"),
        ("shop/secret.txt", "is a symbolic link, which is not followed"),
        ("shop/folder", "is not a file"),
        ("shop/pipe", "is not a file"),
        ("shop/bad-\u{fffd}.txt", "its name is not UTF-8"),
        ("shop/no key.txt", "its key no key is invalid"),
        ("shop/.DS_Store", "is a hidden file"),
        ("shop/lost.__metadata__.json", "describes a record whose file does not exist"),
        ("shop/broken.json.__metadata__.json", "is not a valid description"),
        ("linked", "is a symbolic link, which is not followed"),
        ("my_store", "--map-names imports it as my-store"),
        ("twin", "its name Shop is also the name of"),
        ("readme.txt", "is not a folder"),
        ("../datasets", "contains no key-value stores"),
    ]
}

/// Asserts that there is a line about the trouble at a path below the folder of stores.
fn assert_named(stderr: &str, path: &str, what: &str) {
    let path =
        path.strip_prefix("../").map_or_else(|| format!("/key_value_stores/{path}: "), |path| format!("/{path}: "));
    let named = stderr.lines().any(|line| line.contains(&path) && line.contains(what));
    assert!(named, "{path} {what}:\n{stderr}");
}

/// Asks for JSON.
fn ask(program: &Program, path: &str) -> Value {
    let mut client = program.client();
    let answer = client.send("GET", path, "", Upload::None).expect("it answers");
    serde_json::from_str(&answer.text().expect("a body")).expect("JSON")
}

/// Returns what an export has: the lines of its index, each with the sum of the record's bytes.
fn exported(program: &Program, store: &str) -> Vec<String> {
    let folder = tempfile::tempdir().expect("a folder");
    let mut export = command(folder.path(), &["export", store, "out"]);
    export.env("LARDER_URL", format!("http://{}", program.address)).env("LARDER_TOKEN", TOKEN);
    let ended = run(export);
    assert!(ended.status.success(), "{}", ended.stderr);
    let index = fs::read_to_string(folder.path().join("out/records.ndjson")).expect("an index");
    index.lines().map(str::to_owned).collect()
}

/// Returns the lines of a report about what was left out.
fn left_out(ended: &Ended) -> Vec<String> {
    let report = ended.stderr.lines().filter(|line| line.starts_with("left out: "));
    let mut lines: Vec<String> = report.map(str::to_owned).collect();
    lines.sort();
    lines.dedup();
    lines
}

#[test]
fn a_folder_with_every_kind_of_trouble_is_imported_with_one_report_that_names_each() {
    let (work, data) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
    let troubles = make_troubles(work.path());
    let shop = work.path().join("storage/key_value_stores/shop");

    // A dry run names all of it, and neither writes nor asks anywhere.
    let dry = tempfile::tempdir().expect("a folder");
    let ended = run(command(dry.path(), &["import", &work.path().join("storage").display().to_string(), "--dry-run"]));
    assert_eq!(ended.status.code(), Some(1), "{}", ended.stderr);
    for (path, what) in &troubles {
        assert_named(&ended.stderr, path, what);
    }
    let summary = ended.stdout.join("\n");
    assert!(
        summary.contains("would import 309 records of 2 stores") && summary.contains("\"pantry\": 150"),
        "{summary}"
    );
    assert_eq!(fs::read_dir(dry.path()).expect("a folder").count(), 0, "a dry run makes nothing");

    let program = Program::serve(data.path(), &["--max-record-size", "4MiB"]);
    let changes = {
        let (shop, is_first) = (shop.clone(), Mutex::new(true));
        move |key: &str| {
            let append = |file: &str| {
                let mut file = OpenOptions::new().append(true).open(shop.join(file)).expect("it opens");
                file.write_all(b"b").expect("it is written");
            };
            if key == "restless" {
                append("restless.txt");
            } else if key == "changing" && std::mem::replace(&mut *is_first.lock().expect("a lock"), false) {
                append("changing.txt");
                fs::remove_file(shop.join("zzz-gone.txt")).expect("it is there");
            }
        }
    };
    let relayed = relay(program.address, changes);
    let first = run(import(work.path(), relayed, &["storage"]));
    assert_eq!(first.status.code(), Some(1), "{}", first.stderr);
    assert!(first.stderr.starts_with("before the import: "), "{}", first.stderr);
    let met = [
        ("shop/changing.txt", "transferred as it was afterwards"),
        ("shop/restless.txt", "left out: "),
        ("shop/large.bin", "the server rejected the request (413)"),
        ("shop/zzz-gone.txt", "was deleted before it was read"),
    ];
    troubles.iter().chain(&met).for_each(|(path, what)| assert_named(&first.stderr, path, what));
    // Every record that is counted as imported is there.
    assert!(first.stdout.iter().any(|line| line.contains("imported 306 records of 2 stores")), "{:?}", first.stdout);
    let records = exported(&program, "~shop");
    assert_eq!(records.len(), 156);
    assert_eq!(exported(&program, "~pantry").len(), GOOD_RECORDS);
    let changing = records.iter().find(|line| line.contains("\"changing\"")).expect("it is there");
    assert!(changing.contains(&format!("\"size\":{}", LARGE_BYTES + 1)), "{changing}");
    assert_eq!(ask(&program, "/v2/key-value-stores")["data"]["total"], 2);
    assert!(!work.path().join("larder-import.progress").exists());

    // A second run says the same, and changes nothing.
    let changed_at = || {
        ["~shop", "~pantry"]
            .map(|store| ask(&program, &format!("/v2/key-value-stores/{store}"))["data"]["modifiedAt"].clone())
    };
    let changed_before = changed_at();
    let second = run(import(work.path(), relayed, &["storage"]));
    assert_eq!(left_out(&second), left_out(&first));
    assert_eq!(exported(&program, "~shop"), records);
    assert_eq!(changed_at(), changed_before);
    assert_eq!(ask(&program, "/v2/key-value-stores")["data"]["total"], 2);
    program.stop();
}

#[test]
fn a_second_import_replaces_records_that_differ_or_cannot_be_read() {
    let (work, data) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
    let program = Program::serve(data.path(), &[]);
    let shop = make_store(&work.path().join("storage/key_value_stores"), "shop");
    write(shop.join("large.bin"), vec![7; LARGE_BYTES]);
    write(shop.join("changed.txt"), "flour");
    let imported = || {
        let ended = run(import(work.path(), program.address, &["storage"]));
        assert!(ended.status.success(), "{}", ended.stderr);
        exported(&program, "~shop")
    };
    let first = imported();
    let blobs = files_below(&data.path().join("larder-data/blobs"));
    assert_eq!(blobs.len(), 1);
    fs::write(&blobs[0], vec![7; LARGE_BYTES / 2]).expect("it is damaged");
    write(shop.join("changed.txt"), "sugar");
    let second = imported();
    let about = |lines: &[String], key: &str| lines.iter().find(|line| line.contains(key)).cloned();
    assert_eq!(about(&second, "large").expect("it is there"), about(&first, "large").expect("it is there"));
    assert_ne!(about(&second, "changed").expect("it is there"), about(&first, "changed").expect("it is there"));
    program.stop();
}

#[test]
fn every_store_is_tried_and_refused_names_are_mapped_if_that_is_asked_for() {
    let (work, data) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
    let program = Program::serve(data.path(), &[]);
    for store in ["a", "my_store", "z"] {
        write(work.path().join("storage/key_value_stores").join(store).join("no key.txt"), "x");
        write(work.path().join("storage/key_value_stores").join(store).join("key.txt"), "x");
    }
    let ended = run(import(work.path(), program.address, &["storage"]));
    assert_eq!(ended.status.code(), Some(1));
    assert_named(&ended.stderr, "my_store", "its name my_store is invalid");
    assert_eq!((exported(&program, "~a").len(), exported(&program, "~z").len()), (1, 1));
    let mapped = run(import(work.path(), program.address, &["storage", "--map-names"]));
    assert!(mapped.status.success(), "{}", mapped.stderr);
    assert_named(&mapped.stderr, "my_store", "imported as my-store");
    let records = exported(&program, "~my-store");
    assert!(records.len() == 2 && records[1].contains("\"no-key\""), "{records:?}");
    program.stop();
}

#[test]
fn a_folder_that_is_no_storage_folder_is_refused_and_nothing_is_made() {
    let (work, data) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
    let program = Program::serve(data.path(), &[]);
    write(work.path().join("etc/passwd"), "root");
    for arguments in [&["etc"][..], &["etc", "--dry-run"], &["etc", "--map-names"]] {
        let ended = run(import(work.path(), program.address, arguments));
        assert_eq!(ended.status.code(), Some(1));
        assert!(ended.stderr.contains("expected") && ended.stderr.contains("key_value_stores"), "{}", ended.stderr);
    }
    assert_eq!(ask(&program, "/v2/key-value-stores")["data"]["total"], 0);
    program.stop();
}

#[test]
fn progress_is_steady_lines_without_control_characters_where_there_is_no_terminal() {
    let (work, data) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
    let program = Program::serve(data.path(), &[]);
    let store = work.path().join("storage/key_value_stores/shop");
    (0..20).for_each(|number| write(store.join(format!("item-{number:02}.txt")), vec![b'x'; 1 << 10]));
    write(store.join("slow.txt"), "x");
    let (release, held) = mpsc::channel::<()>();
    let held = Mutex::new(held);
    let relayed = relay(program.address, move |key| {
        if key == "slow" {
            let _ = held.lock().expect("a lock").recv_timeout(WAIT_TIMEOUT);
        }
    });
    let mut command = import(work.path(), relayed, &["storage"]);
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("it starts");
    let lines = BufReader::new(child.stderr.take().expect("it is piped")).lines().map_while(Result::ok);
    let (mut seen, mut all) = (0, Vec::new());
    for line in lines {
        // Both while nothing was finished.
        seen += usize::from(line.starts_with("store shop: 20 of 21 records, 20.00 KiB of 20.00 KiB, "));
        if seen == 2 {
            let _ = release.send(());
        }
        all.push(line);
    }
    assert!(child.wait().expect("it ends").success(), "{all:?}");
    assert!(seen >= 2 && all.iter().all(|line| line.contains(" records/s, ") && line.contains("left")), "{all:?}");
    assert!(!all.iter().any(|line| line.contains(char::is_control)), "{all:?}");
    program.stop();
}
