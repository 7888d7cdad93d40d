//! Invariants of exports: manifests, indexes, file names and ZIP files.

use std::{fs, io::Read, path::Path};

use larder::{
    import_export::{
        Source,
        internals::{
            FileName, IndexLine, SourceEntry, StoreManifest, ZipFile, file_name as name_of_key, read_manifest,
        },
    },
    kv::RecordKey,
};

use super::round_trip::json;

/// Maximum number of bytes read from a record here.
const READ_LIMIT: u64 = 64 * 1024;

/// Checks that a line of an index names a file in the folder, and that the line written for a key round-trips.
pub fn index_line(bytes: &[u8]) {
    json::<StoreManifest>(bytes);
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let _ = read_manifest(bytes, Path::new("manifest.json"));
    if let Ok(Ok(line)) = IndexLine::parse(text) {
        assert_is_inside(&line.file);
        json::<IndexLine>(bytes);
    }
    let Ok(key) = text.parse::<RecordKey>() else { return };
    for tells_case in [true, false] {
        let file = name_of(&key, tells_case);
        assert!(file.as_str().len() + "~partial".len() <= 255, "{file}");
        let line = IndexLine {
            key: key.clone(),
            file,
            content_type: String::new(),
            content_encoding: None,
            size: 0,
            sha256: String::new(),
        };
        let written = serde_json::to_string(&line).expect("it can be written");
        assert_eq!(IndexLine::parse(&written).expect("it can be read"), Ok(line.clone()));
        assert_is_inside(&line.file);
    }
}

/// Checks that a file name from a server or an archive is rejected, or names a file beneath the folder and nowhere
/// else.
pub fn file_name(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let Ok(name) = FileName::try_from(text.to_owned()) else { return };
    assert_eq!(name.as_str(), text);
    assert_is_inside(&name);
    json::<FileName>(serde_json::to_string(&name).expect("it can be written").as_bytes());
}

/// Checks that two keys never share a file, also on case-insensitive file systems. Input of two lines: both keys.
pub fn file_names(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let Some((one, other)) = text.split_once('\n') else { return };
    let (Ok(one), Ok(other)) = (one.parse::<RecordKey>(), other.parse::<RecordKey>()) else { return };
    if one == other {
        return;
    }
    assert_ne!(name_of(&one, true), name_of(&other, true));
    let lower = |key: &RecordKey| name_of(key, false).as_str().to_lowercase();
    assert_ne!(lower(&one), lower(&other));
}

fn name_of(key: &RecordKey, tells_case: bool) -> FileName {
    name_of_key(key, tells_case).expect("every key has a file")
}

/// Checks that a ZIP file is read as an export, or rejected, and that it contains the files that it names.
pub fn zip(bytes: &[u8]) {
    let name = format!("larder-zip-{}-{:?}", std::process::id(), std::thread::current().id());
    let path = std::env::temp_dir().join(name);
    fs::write(&path, bytes).expect("there is room");
    read_zip(&path);
    fs::remove_file(&path).expect("it is there");
}

fn read_zip(path: &Path) {
    let Ok(file) = ZipFile::open(path.to_owned()) else { return };
    let Ok(contents) = file.contents() else { return };
    for store in &contents.stores {
        let Ok(records) = file.records(store, None) else { continue };
        for entry in records.filter_map(Result::ok) {
            let SourceEntry::Record(record) = entry else { continue };
            record.file.iter().for_each(assert_is_inside);
            let Ok(Some(opened)) = file.open(store, &record) else { continue };
            let mut text = Vec::new();
            let read = opened.bytes.take(READ_LIMIT).read_to_end(&mut text);
            assert!(read.is_err() || text.len() as u64 <= record.size || record.size > READ_LIMIT);
        }
    }
}

fn assert_is_inside(file: &FileName) {
    let file = file.as_str();
    let mut parts = Path::new(file).components();
    let is_plain = matches!(parts.next(), Some(std::path::Component::Normal(_))) && parts.next().is_none();
    assert!(is_plain && !file.contains(['/', '\\', '\0']), "{file:?}");
}
