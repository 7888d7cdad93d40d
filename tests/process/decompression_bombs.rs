//! Small bodies that decode to large ones, and exports that are not what they seem: each costs little memory, and ends.

use std::{
    fs::{self, File},
    io::{self, Read},
    path::Path,
};

use async_compression::{
    Level,
    tokio::write::{BrotliEncoder, DeflateEncoder, GzipEncoder, ZlibEncoder},
};
use base64::{Engine, prelude::BASE64_STANDARD};
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;

use crate::{
    client::Upload,
    program::{Program, TOKEN, behind, command, now, run},
};

/// Bytes that a bomb decodes to.
const LARGE: u64 = 256 << 20;

/// Maximum growth of the program by any bomb, in bytes: a decoder's window, and the bytes in flight.
const MAX_GROWTH: u64 = 64 << 20;

/// Maximum growth where decoded bytes have to be in memory: at most 9 MiB of them, in a buffer that doubles, some of
/// whose earlier sizes the allocator keeps.
const MAX_GATHERED_GROWTH: u64 = 128 << 20;

/// All the memory that an import may ask the system for, in KiB. It asks for far less, but stacks of threads count whole.
const IMPORT_KIB: u64 = 768 << 10;

/// A gigabyte of nothing in Brotli with a window of a gigabyte, as `brotli --large_window=30` makes it.
const LARGE_WINDOW: &str = "\
    ER7///8BkACIxwIh9/6f////AEgAxGEBoHv/z///fwAkAOKwANC9/+f//z8AEgBxWADo3v/z//8fAAmAOCwAdO//+f//D4AEQBwWALr3//z//w\
    dAAiAOCwDd+3/+//8DIAEQhwWA7v0/////AZAAiMMCQPf+n////wBIAMRhAaB7/8///38AJADisADQvf/n//8/ABIAcVgA6N7/8///HwAJgDgs\
    AHTv//n//w+ABEAcFgC69//8//8HQAIgDgsA3ft//v//AyABEIcFgO79P////wGQAIjDAkD3/p////8ASADEYQGge//P//9/ACQA4rAA0L3/5/\
    //PwASAHFYAOje//P//x8ACYA4LAB07//5//8PgARAHBYAuvf//P//B0ACIA4LAN37f/7//wMgARCHBYDu/T////8BkACIwwJA9/6f////AEgA\
    xGEBoHv/z///fwAkAOKwANC9/+f//z8AEgBxWADo3v/z//8fAAmAOCwAdO//+f//D4AEQBwWALr3//z//wdAAiAOCwDd+3/+//8DIAEQhwWA7v\
    0/////AZAAiMMCQPf+n////wBIAMRhAaB7/8///38AJADisADQvf/n//8/ABIAcVgA6N7/8///HwAJgDgsAHTv//n//w+ABEAcFgC69//8//8H\
    QAIgDgsA3ft//v//AyABEIcFgO79P////wGQAIjDAkD3/p////8ASADEYQGge//P//9/ACQA4rAA0L3/5///PwASAHFYAOje//P//x8ACYA4LA\
    B07//5//8PgARAHBYAuvf//P//B0ACIA4LAN37f/7//wMgARCHBYDu/T////8BkACIwwJA9/6f////AEgAxGEBoHv/z///fwAkAOKwANC9/+f/\
    /z8AEgBxWADo3v/z//8fAAmAOCwAdO//+f//D4AEQBwWALr3//z//wdAAiAOCwDd+3/+//8DIAEQhwWA7v0/////AZAAiMMCQPf+n////wBIAM\
    RhAaB7/8///38AJADisADQvf/n//8/ABIAcVgA6N7/8///HwAJgDgsAHTv//n//w+ABEAcFgC69//8//8HQAIgDgsA3ft//v//AyABEIcFgO79\
    /w==";

/// So many bytes of nothing, in a coding.
async fn nothing(coding: &str, length: u64) -> Vec<u8> {
    macro_rules! encoded {
        ($encoder:ident) => {{
            let mut encoder = $encoder::with_quality(Vec::new(), Level::Precise(5));
            let piece = vec![0; 1 << 20];
            for _ in 0..length >> 20 {
                encoder.write_all(&piece).await.expect("memory takes all");
            }
            encoder.shutdown().await.expect("memory takes all");
            encoder.into_inner()
        }};
    }
    match coding {
        "gzip" => encoded!(GzipEncoder),
        "br" => encoded!(BrotliEncoder),
        "deflate" => encoded!(ZlibEncoder),
        "bare deflate" => encoded!(DeflateEncoder),
        other => panic!("no coding {other}"),
    }
}

/// Returns every bomb, with its declared coding, and its decoded size in bytes.
async fn bombs() -> Vec<(&'static str, Vec<u8>, u64)> {
    let small = 16 << 20;
    let member = nothing("gzip", small).await;
    vec![
        ("gzip", nothing("gzip", LARGE).await, LARGE),
        // Of many members, each small.
        ("gzip", member.repeat(16), 16 * small),
        ("deflate", nothing("deflate", LARGE).await, LARGE),
        ("deflate", nothing("bare deflate", LARGE).await, LARGE),
        ("br", nothing("br", LARGE).await, LARGE),
    ]
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().build().expect("a runtime")
}

/// Sends a body in a coding. Returns the status, and the message.
fn send(program: &Program, method: &str, path: &str, coding: &str, body: &[u8]) -> (u16, String) {
    let mut client = program.client();
    let length = body.len();
    let head = format!("content-type: application/json\r\ncontent-encoding: {coding}\r\ncontent-length: {length}\r\n");
    client.begin(method, path, &head).expect("it is sent");
    // A client that is rejected early need not send all.
    let _ = client.write(body);
    let answer = client.answer(false).expect("it answers");
    (answer.status, answer.text().expect("a body"))
}

/// Reads a record decoded. Returns the status, and the number of bytes until it ended or broke off.
fn read(program: &Program, path: &str) -> (u16, u64) {
    let mut client = program.client();
    let mut answer = client.send("GET", path, "text/plain", Upload::None).expect("it answers");
    let (mut length, mut buffer) = (0, vec![0; 1 << 18]);
    while let Ok(read @ 1..) = answer.body.read(&mut buffer) {
        length += read as u64;
    }
    (answer.status, length)
}

#[test]
fn a_record_that_decodes_to_a_large_one_is_read_in_flat_memory() {
    let folder = tempfile::tempdir().expect("a folder");
    let program = Program::serve(folder.path(), &[]);
    let path = program.records_of("bombs");
    let bombs = runtime().block_on(bombs());
    let before = program.peak_memory();
    for (number, (coding, bomb, length)) in bombs.iter().enumerate() {
        let record = format!("{path}/{number}");
        assert_eq!(send(&program, "PUT", &record, coding, bomb).0, 201);
        let began = now();
        assert_eq!(read(&program, &record), (200, *length), "{coding}");
        let growth = program.peak_memory() - before;
        println!("{coding}: {} bytes to {length} in {:?}, grown by {} KiB", bomb.len(), began.elapsed(), growth >> 10);
        assert!(growth <= MAX_GROWTH, "{coding}: grown by {growth} bytes");
    }
    assert!(program.stop().status.success());
}

#[test]
fn brotli_that_asks_for_a_gigabyte_of_memory_is_not_decoded() {
    let folder = tempfile::tempdir().expect("a folder");
    let program = Program::serve(folder.path(), &[]);
    let path = program.records_of("bombs");
    let bomb = BASE64_STANDARD.decode(LARGE_WINDOW).expect("base64");
    let before = program.peak_memory();
    assert_eq!(send(&program, "PUT", &format!("{path}/a"), "br", &bomb).0, 201, "as it is stored, it is anybody's");
    let (status, length) = read(&program, &format!("{path}/a"));
    let growth = program.peak_memory() - before;
    assert!(growth <= MAX_GROWTH, "grown by {growth} bytes");
    assert!(status == 500 && length < 1000, "{status}, and {length} bytes");
    // A client that accepts the stored coding gets it.
    let mut client = program.client();
    client.begin("GET", &format!("{path}/a"), "accept-encoding: br\r\n").expect("it is sent");
    let mut stored = Vec::new();
    client.answer(false).expect("it answers").body.read_to_end(&mut stored).expect("a body");
    assert_eq!(stored, bomb);
    assert!(program.stop().status.success());
}

#[test]
fn what_has_to_be_in_memory_is_refused_when_it_decodes_to_more_than_may_be() {
    let folder = tempfile::tempdir().expect("a folder");
    let program = Program::serve(folder.path(), &[]);
    let schema = json!({ "name": "checked", "schema": { "actorKeyValueStoreSchemaVersion": 1, "title": "T",
        "collections": { "c": { "title": "C", "keyPrefix": "c-", "jsonSchema": {} } } } });
    let stores = "/v2/key-value-stores";
    let (status, said) = send(&program, "POST", stores, "identity", schema.to_string().as_bytes());
    assert_eq!(status, 201, "{said}");
    let path = program.records_of("checked");
    let bombs = runtime().block_on(bombs());
    let nested = runtime().block_on(async {
        let mut encoder = GzipEncoder::new(Vec::new());
        encoder.write_all(&bombs[0].1).await.expect("memory takes all");
        encoder.shutdown().await.expect("memory takes all");
        encoder.into_inner()
    });
    let before = program.peak_memory();
    for (coding, bomb, _) in &bombs {
        let began = now();
        let (status, said) = send(&program, "PUT", &format!("{path}/c-a"), coding, bomb);
        assert!(status == 400 && said.contains("at most"), "{coding}: {status} {said}");
        let (status, said) = send(&program, "POST", stores, coding, bomb);
        assert_eq!(status, 413, "{coding}: {said}");
        let growth = program.peak_memory() - before;
        println!("{coding}: refused twice in {:?}, grown by {} KiB", began.elapsed(), growth >> 10);
        assert!(growth <= MAX_GATHERED_GROWTH, "{coding}: grown by {growth} bytes");
    }
    // Of a coding within a coding one is taken off, and what is inside is no JSON.
    let (status, said) = send(&program, "PUT", &format!("{path}/c-a"), "gzip", &nested);
    assert!(status == 400 && said.contains("not JSON"), "{status} {said}");
    assert_eq!(send(&program, "PUT", &format!("{path}/c-a"), "gzip, gzip", &nested).0, 415);
    assert_eq!(read(&program, &format!("{path}/c-a")).0, 404, "nothing of all that was stored");
    assert!(program.stop().status.success());
}

/// Imports a path with little memory. Returns the error message.
fn refused_import(program: &Program, folder: &Path, what: &str) -> String {
    // An import that was begun before must not be continued.
    let _ = fs::remove_file(folder.join("larder-import.progress"));
    let import = command(folder, &["import", what]);
    let mut limited = behind(&format!("ulimit -v {IMPORT_KIB} || exit 3"), &import);
    limited.env("LARDER_URL", format!("http://{}", program.address)).env("LARDER_TOKEN", TOKEN);
    let ended = run(limited);
    assert_eq!(ended.status.code(), Some(1), "{what}: {:?} {}", ended.status, ended.stderr);
    ended.stderr
}

/// Makes a file of so many bytes that takes no room.
fn make_large(path: &Path, length: u64) {
    File::create(path).and_then(|file| file.set_len(length)).expect("it is made");
}

#[test]
fn an_export_that_is_not_what_it_seems_is_not_imported() {
    let data = tempfile::tempdir().expect("a folder");
    let program = Program::serve(data.path(), &[]);
    let work = tempfile::tempdir().expect("a folder");
    let made = |name: &str| {
        let folder = work.path().join(name);
        fs::create_dir_all(folder.join("records")).expect("a folder");
        fs::write(folder.join("manifest.json"), "{\"name\":\"shop\"}").expect("it is written");
        fs::write(folder.join("records.ndjson"), "").expect("it is written");
        folder
    };
    let line = |file: &str| {
        let line: Value = json!({ "key": "a", "file": file, "contentType": "text/plain", "size": 5, "sha256": "0" });
        format!("{line}\n")
    };
    // More than the import may ask for, though not all of what is there.
    let large = 1 << 30;
    make_large(&made("sheet").join("manifest.json"), large);
    assert!(refused_import(&program, work.path(), "sheet").contains("manifest.json"));
    make_large(&made("line").join("records.ndjson"), large);
    assert!(refused_import(&program, work.path(), "line").contains("records.ndjson"));
    for (number, file) in ["../../outside", "/etc/hostname", "..", ".", "a/b", "a\\b"].into_iter().enumerate() {
        let name = format!("outside-{number}");
        fs::write(made(&name).join("records.ndjson"), line(file)).expect("it is written");
        assert!(refused_import(&program, work.path(), &name).contains("not a valid file name"), "{file}");
    }
    fs::write(work.path().join("secret"), "flour").expect("it is written");
    let linked = made("linked");
    std::os::unix::fs::symlink(work.path().join("secret"), linked.join("records/a")).expect("a link");
    fs::write(linked.join("records.ndjson"), line("a")).expect("it is written");
    assert!(refused_import(&program, work.path(), "linked").contains("is a symbolic link"));
    let deflated = runtime().block_on(nothing("bare deflate", LARGE));
    zipped(&work.path().join("bomb.zip"), &mut &deflated[..]);
    say_deflated(&work.path().join("bomb.zip"));
    assert!(refused_import(&program, work.path(), "bomb.zip").contains("unpack it"));
    zipped(&work.path().join("stored.zip"), &mut io::repeat(b' ').take(LARGE));
    assert!(refused_import(&program, work.path(), "stored.zip").contains("manifest.json"));
    assert!(program.stop().status.success());
}

/// Makes a ZIP file with a sheet of these bytes in it, and no records.
fn zipped(path: &Path, sheet: &mut dyn Read) {
    let mut archive = zip::ZipWriter::new(File::create(path).expect("a file"));
    let options = zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
    archive.start_file("records.ndjson", options).expect("it begins");
    archive.start_file("manifest.json", options).expect("it begins");
    io::copy(sheet, &mut archive).expect("it is written");
    archive.finish().expect("it ends");
}

/// Makes all files of an archive say that they are compressed by deflate.
fn say_deflated(path: &Path) {
    let mut bytes = fs::read(path).expect("it is there");
    // The method is this far behind the mark of a file's own head, and of its entry in the list of all (APPNOTE 4.3.7, 4.3.12).
    for (mark, offset) in [(b"PK\x03\x04", 8), (b"PK\x01\x02", 10)] {
        let places: Vec<_> = bytes.windows(mark.len()).enumerate().filter(|(_, part)| part == mark).collect();
        let places: Vec<usize> = places.into_iter().map(|(at, _)| at + offset).collect();
        for at in places {
            bytes[at] = 8;
        }
    }
    fs::write(path, bytes).expect("it is written");
}
