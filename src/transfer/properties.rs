//! What holds of exports, whatever is in them: run over chosen bytes by the fuzz targets, and by the tests of the room
//! `fuzzing`. Nothing here is part of the program.
#![expect(clippy::missing_panics_doc, reason = "to panic is how a property is said not to hold")]

use std::{fs, io::Read, path::Path};

use crate::kv::{RecordKey, properties::json};

use super::{
    archive::{IndexLine, file_name},
    record::StoreSheet,
    source::{Source, read_sheet},
    zipped::ZipFile,
};

/// The most bytes that are read of a record here.
const READ_LIMIT: u64 = 64 * 1024;

/// A line of an index names a file that is in the folder, and what is written for a key is such a line.
pub fn index_line(bytes: &[u8]) {
    json::<StoreSheet>(bytes);
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let _ = read_sheet(bytes, Path::new("store.json"));
    if let Ok(line) = IndexLine::parse(text) {
        assert_is_inside(&line.file);
        json::<IndexLine>(bytes);
    }
    let Ok(key) = text.parse::<RecordKey>() else { return };
    for tells_case in [true, false] {
        let file = file_name(key.as_str(), tells_case);
        assert!(file.len() + "~part".len() <= 255, "{file}");
        let line = IndexLine {
            key: key.to_string(),
            file,
            content_type: String::new(),
            content_encoding: None,
            size: 0,
            sha256: String::new(),
        };
        let written = serde_json::to_string(&line).expect("it can be written");
        assert_eq!(IndexLine::parse(&written).expect("it can be read"), line);
        assert_is_inside(&line.file);
    }
}

/// Two keys never share a file, also where letter case is not told apart. Two lines: both.
pub fn file_names(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let Some((one, other)) = text.split_once('\n') else { return };
    if one == other || one.parse::<RecordKey>().is_err() || other.parse::<RecordKey>().is_err() {
        return;
    }
    assert_ne!(file_name(one, true), file_name(other, true));
    assert_ne!(file_name(one, false).to_lowercase(), file_name(other, false).to_lowercase());
}

/// A ZIP file is read as an export, or refused; what it names is in it.
pub fn zip(bytes: &[u8]) {
    let name = format!("larder-zip-{}-{:?}", std::process::id(), std::thread::current().id());
    let path = std::env::temp_dir().join(name);
    fs::write(&path, bytes).expect("there is room");
    read_zip(&path);
    fs::remove_file(&path).expect("it is there");
}

fn read_zip(path: &Path) {
    let Ok(file) = ZipFile::open(path.to_owned()) else { return };
    let Ok(stores) = file.stores() else { return };
    for store in &stores {
        let Ok(records) = file.records(store, None) else { continue };
        for record in records.filter_map(Result::ok) {
            assert_is_inside(&record.file);
            let Ok(Some(opened)) = file.open(store, &record) else { continue };
            let mut text = Vec::new();
            let read = opened.bytes.take(READ_LIMIT).read_to_end(&mut text);
            assert!(read.is_err() || text.len() as u64 <= record.size || record.size > READ_LIMIT);
        }
    }
}

fn assert_is_inside(file: &str) {
    let mut parts = Path::new(file).components();
    let is_plain = matches!(parts.next(), Some(std::path::Component::Normal(_))) && parts.next().is_none();
    assert!(is_plain && !file.contains(['/', '\\', '\0']), "{file:?}");
}
