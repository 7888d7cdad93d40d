//! `larder ls`, `get`, `put` and `rm`: the records of a store, streamed from and to files. A file is written atomically.

use std::{
    fs::{self, File},
    io::{self, BufRead, IsTerminal, Read, Write as _},
    path::{Path, PathBuf},
    thread,
};

use serde_json::{Value, json};

use crate::{
    import_export,
    kv::{InvalidKey, RecordKey},
};

use super::{
    api_connection::{ApiConnection, Download, FoundStore, Upload, path_segment},
    exit::CommandError,
    output::{self, Column, Format, Lines},
};

/// Number of keys on a page.
const PAGE_SIZE: usize = 1000;

/// Maximum number of concurrent requests for the types of records.
const MAX_CONCURRENT_REQUESTS: usize = 8;

/// Columns of the list of records.
const RECORD_COLUMNS: [Column; 4] =
    [Column::text("MODIFIED", 19), Column::number("SIZE", 10), Column::text("TYPE", 31), Column::text("KEY", 0)];

/// Arguments of `larder ls`.
#[derive(Debug, clap::Args)]
pub(super) struct ListArguments {
    /// Store: name, user~name or id
    store: String,
    /// List only keys with this prefix
    #[arg(long, value_name = "TEXT")]
    prefix: Option<String>,
    /// Print only the keys, one per line, with one request per 1,000 records
    #[arg(long, conflicts_with = "json")]
    keys: bool,
    /// Print one JSON object per line
    #[arg(long)]
    json: bool,
}

/// Arguments of `larder get`.
#[derive(Debug, clap::Args)]
pub(super) struct GetArguments {
    /// Store: name, user~name or id
    store: String,
    /// Key of the record
    key: String,
    /// Output file, written atomically; - is standard output
    #[arg(default_value = STANDARD_STREAM)]
    file: PathBuf,
}

/// Arguments of `larder put`.
#[derive(Debug, clap::Args)]
pub(super) struct PutArguments {
    /// Store: name, user~name or id
    store: String,
    /// Key of the record
    key: String,
    /// Input file; - is standard input
    #[arg(default_value = STANDARD_STREAM)]
    file: PathBuf,
    /// Media type [default: from the extension of the file or the key, else application/octet-stream]
    #[arg(long = "type", value_name = "TYPE")]
    content_type: Option<String>,
}

/// Arguments of `larder rm`.
#[derive(Debug, clap::Args)]
pub(super) struct RemoveArguments {
    /// Store: name, user~name or id
    store: String,
    /// Keys of the records; - reads them from standard input, one per line
    #[arg(required = true, value_name = "KEY")]
    keys: Vec<String>,
}

/// Lists records in the order of their keys.
pub(super) fn list(api: &ApiConnection, arguments: &ListArguments) -> Result<(), CommandError> {
    let ListArguments { store, prefix, keys: only_keys, json } = arguments;
    let store = api.find_store(store)?;
    let prefix = prefix.as_ref().map(|prefix| format!("&prefix={}", path_segment(prefix))).unwrap_or_default();
    let mut lines = Lines::new(Format::new(*json), &RECORD_COLUMNS);
    let mut after = String::new();
    loop {
        let page = api.call("GET", &format!("{}/keys?limit={PAGE_SIZE}{prefix}{after}", store.path), None)?;
        let items = page["items"].as_array().map(Vec::as_slice).unwrap_or_default();
        let written = if *only_keys { Ok(write_keys(items)) } else { write_records(api, &store, items, &mut lines) };
        // The reader has gone.
        if written?.is_err() {
            return Ok(());
        }
        match page["nextExclusiveStartKey"].as_str() {
            Some(next) => after = format!("&exclusiveStartKey={}", path_segment(next)),
            None => return Ok(()),
        }
    }
}

fn write_keys(items: &[Value]) -> io::Result<()> {
    items.iter().try_for_each(|item| output::try_print_line(item["key"].as_str().unwrap_or_default()))
}

/// Writes a line for each record of a page; the inner result fails if the reader has gone.
fn write_records(
    api: &ApiConnection,
    store: &FoundStore,
    items: &[Value],
    lines: &mut Lines<'_>,
) -> Result<io::Result<()>, CommandError> {
    for group in items.chunks(MAX_CONCURRENT_REQUESTS) {
        let heads = thread::scope(|scope| {
            let ask = |item: &Value| api.head(&store.record(item["key"].as_str().unwrap_or_default()));
            let requests: Vec<_> = group.iter().map(|item| scope.spawn(move || ask(item))).collect();
            let responses = requests
                .into_iter()
                .map(|request| request.join().unwrap_or_else(|_| Err("a request failed".to_owned())));
            responses.collect::<Result<Vec<_>, String>>()
        })?;
        for (item, head) in group.iter().zip(heads) {
            // A record without a response was deleted meanwhile.
            let Some(Download { content_type, modified_at, .. }) = head else { continue };
            let modified = modified_at.map(|time| Value::from(time.to_string())).unwrap_or_default();
            let object = json!({ "key": item["key"], "size": item["size"], "contentType": content_type, "modifiedAt": modified });
            let cells =
                || vec![output::time(&modified), output::size(&item["size"]), content_type, output::text(&item["key"])];
            if let Err(gone) = lines.put(&object, cells) {
                return Ok(Err(gone));
            }
        }
    }
    Ok(Ok(()))
}

/// Writes a record to a file or to standard output.
pub(super) fn get(api: &ApiConnection, arguments: &GetArguments) -> Result<(), CommandError> {
    let GetArguments { store, key, file } = arguments;
    check_key(key)?;
    let store = api.find_store(store)?;
    let record = api.download(&store.record(key))?.ok_or_else(|| store.absent_record(key))?;
    if file.as_os_str() != STANDARD_STREAM {
        let saved = save(record, file);
        return saved.map_err(|error| format!("cannot write {}: {error}", file.display()).into());
    }
    let mut stdout = io::stdout().lock();
    if stdout.is_terminal() && !is_text(&record.content_type) {
        return Err(format!(
            "cannot print record {key:?}: its type {} is not text; name an output file",
            record.content_type
        )
        .into());
    }
    let written = record.save(&mut stdout).and_then(|()| stdout.flush());
    written.map_err(|error| format!("cannot write record {key:?} to standard output: {error}").into())
}

/// Writes a record from a file or from standard input.
pub(super) fn put(api: &ApiConnection, arguments: &PutArguments) -> Result<(), CommandError> {
    let PutArguments { store, key, file, content_type } = arguments;
    check_key(key)?;
    let content_type = content_type
        .clone()
        .unwrap_or_else(|| media_type(if file.as_os_str() == STANDARD_STREAM { Path::new(key) } else { file }));
    let (mut source, length) = open(file)?;
    let store = api.find_store(store)?;
    let upload = Upload { content_type: &content_type, length, source: &mut source };
    api.upload("PUT", &store.record(key), Some(upload))?;
    Ok(())
}

/// Deletes records; reports those that do not exist, and fails if there are any.
pub(super) fn remove(api: &ApiConnection, arguments: &RemoveArguments) -> Result<(), CommandError> {
    let store = api.find_store(&arguments.store)?;
    let mut absent = 0;
    let mut remove = |key: &str| -> Result<(), CommandError> {
        check_key(key)?;
        let record = store.record(key);
        if api.head(&record)?.is_some() {
            api.call("DELETE", &record, None)?;
        } else {
            absent += 1;
            output::print_error(&format!("store {} has no record {key:?}", store.address));
        }
        Ok(())
    };
    for key in &arguments.keys {
        if key == STANDARD_STREAM {
            for line in io::stdin().lock().lines() {
                remove(&line.map_err(|error| format!("cannot read standard input: {error}"))?)?;
            }
        } else {
            remove(key)?;
        }
    }
    match absent {
        0 => Ok(()),
        1 => Err(CommandError::NotFound("1 record was not found".to_owned())),
        count => Err(CommandError::NotFound(format!("{count} records were not found"))),
    }
}

fn check_key(key: &str) -> Result<(), CommandError> {
    let parsed: Result<RecordKey, InvalidKey> = key.parse();
    parsed.map(drop).map_err(|error| format!("invalid key {key:?}: {error}").into())
}

/// Media type of a record of unknown type.
const UNKNOWN_TYPE: &str = "application/octet-stream";

/// Path that means standard input or output.
pub(super) const STANDARD_STREAM: &str = "-";

/// Returns the media type for a file name extension.
pub(super) fn media_type(name: &Path) -> String {
    let ending = name.extension().and_then(|ending| ending.to_str());
    ending.and_then(import_export::media_type).unwrap_or_else(|| UNKNOWN_TYPE.to_owned())
}

/// Returns whether a media type is that of a text.
pub(super) fn is_text(content_type: &str) -> bool {
    let essence = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    essence.starts_with("text/") || essence == "application/json" || essence.ends_with("+json")
}

/// Opens a file, or standard input; returns it with its length in bytes if known.
pub(super) fn open(path: &Path) -> Result<(Box<dyn Read>, Option<u64>), String> {
    if path.as_os_str() == STANDARD_STREAM {
        return Ok((Box::new(io::stdin().lock()), None));
    }
    let unreadable = |error: io::Error| format!("cannot read {}: {error}", path.display());
    let file = File::open(path).map_err(unreadable)?;
    let metadata = file.metadata().map_err(unreadable)?;
    if metadata.is_dir() {
        return Err(format!("cannot read {}: is a folder", path.display()));
    }
    // The length of a pipe or a device is unknown before its end.
    let length = metadata.is_file().then_some(metadata.len());
    Ok((Box::new(file), length))
}

/// Writes a record into a file atomically: after a failure the old file stays.
pub(super) fn save(record: Download, path: &Path) -> io::Result<()> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".partial");
    let unfinished = path.with_file_name(name);
    let mut file = File::create(&unfinished)?;
    let saved = record.save(&mut file).and_then(|()| file.sync_all()).and_then(|()| fs::rename(&unfinished, path));
    if saved.is_err() {
        let _ = fs::remove_file(&unfinished);
    }
    saved
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_tells_the_media_type_of_a_file() {
        for (name, expected) in [
            ("a.json", "application/json; charset=utf-8"),
            ("a.txt", "text/plain; charset=utf-8"),
            ("a.jpg", "image/jpeg"),
            ("page.html", "text/html; charset=utf-8"),
            ("a", UNKNOWN_TYPE),
            ("a.nothing-known", UNKNOWN_TYPE),
        ] {
            assert_eq!(media_type(Path::new(name)), expected, "{name}");
        }
    }

    #[test]
    fn texts_are_distinguished_from_bytes() {
        for text in ["application/json; charset=utf-8", "text/html", "application/ld+json"] {
            assert!(is_text(text), "{text}");
        }
        for other in ["image/jpeg", "application/octet-stream", ""] {
            assert!(!is_text(other), "{other}");
        }
    }
}
