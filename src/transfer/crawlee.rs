//! Folders that Crawlee and the SDKs store things in, without a platform: `storage/key_value_stores/{name}/...`.
//!
//! Every version of them names files in a way of its own: a file is a key with an ending for its type (JavaScript), or a key in
//! percent-encoding (Python), and what is known besides stands in `{file}.__metadata__.json` or `{key}.__metadata__.json`.

use std::{
    fs::{self, DirEntry, File},
    path::{Path, PathBuf},
};

use percent_encoding::percent_decode_str;
use serde::Deserialize;

use super::{
    error::{Error, Result},
    record::{Attributes, Record, StoreSheet},
    source::{Source, SourceRecord, SourceRecords, SourceStore, checked},
};

/// Where stores are in a folder of storages.
const STORES: &str = "key_value_stores";

/// Ends the names of files that say something about others.
const METADATA: &str = "__metadata__.json";

/// A type for what has none.
const UNKNOWN_TYPE: &str = "application/octet-stream";

/// A folder of stores, or one of them.
pub struct CrawleeFolder {
    path: PathBuf,
    stores: Vec<PathBuf>,
}

/// What is known of a record.
#[derive(Debug, Default, Deserialize)]
struct Metadata {
    key: Option<String>,
    #[serde(alias = "contentType")]
    content_type: Option<String>,
}

/// What is known of a store.
#[derive(Debug, Default, Deserialize)]
struct StoreMetadata {
    name: Option<String>,
}

impl CrawleeFolder {
    /// The folder at `path`.
    pub fn open(path: PathBuf) -> Result<Self> {
        let below = path.join(STORES);
        let all = if below.is_dir() { below } else { path.clone() };
        let is_folder_of_stores = all.file_name().is_some_and(|name| name == STORES);
        let mut stores = if is_folder_of_stores { folders(&all)? } else { vec![all] };
        stores.sort();
        let has_any = stores.iter().any(|store| fs::read_dir(store).is_ok_and(|mut entries| entries.next().is_some()));
        if !has_any {
            let message = format!("{} holds neither an exported store nor {STORES} of Crawlee's", path.display());
            return Err(Error::Unusable(message));
        }
        Ok(Self { path, stores })
    }
}

impl Source for CrawleeFolder {
    fn identity(&self) -> String {
        self.path.display().to_string()
    }

    fn stores(&self) -> Result<Vec<SourceStore>> {
        let store = |path: &PathBuf| {
            let folder = path.file_name().map(|name| name.to_string_lossy().into_owned());
            let known: StoreMetadata = read_metadata(&path.join(METADATA)).unwrap_or_default();
            let sheet = StoreSheet { name: known.name.or(folder), ..StoreSheet::default() };
            let records = files(path)?.len() as u64;
            Ok(SourceStore { id: path.display().to_string(), sheet, records: Some(records) })
        };
        self.stores.iter().map(store).collect()
    }

    fn records<'a>(&'a self, store: &SourceStore, after: Option<&str>) -> Result<SourceRecords<'a>> {
        let folder = Path::new(&store.id);
        let records: Result<Vec<_>> = files(folder)?.iter().map(|entry| record(folder, entry)).collect();
        let mut records = records?;
        records.retain(|record| after.is_none_or(|after| record.key.as_str() > after));
        records.sort_by(|one, other| one.key.cmp(&other.key));
        Ok(Box::new(records.into_iter().map(Ok)))
    }

    fn open(&self, store: &SourceStore, record: &SourceRecord) -> Result<Option<Record>> {
        let path = Path::new(&store.id).join(&record.file);
        let file = File::open(&path).map_err(Error::of(&path))?;
        Ok(Some(checked(file, record)))
    }
}

/// The record in a file.
fn record(folder: &Path, entry: &DirEntry) -> Result<SourceRecord> {
    let path = entry.path();
    let file = entry.file_name().to_string_lossy().into_owned();
    let size = entry.metadata().map_err(Error::of(&path))?.len();
    let (stem, ending) = file.rsplit_once('.').map_or((file.as_str(), None), |(stem, ending)| (stem, Some(ending)));
    let of_file = read_metadata::<Metadata>(&folder.join(format!("{file}.{METADATA}")));
    let is_in_full = of_file.is_some();
    let known = of_file.or_else(|| read_metadata(&folder.join(format!("{stem}.{METADATA}")))).unwrap_or_default();
    let guessed = ending.and_then(|ending| mime_guess::from_ext(ending).first_raw());
    // An ending that means nothing belongs to the key, unless Crawlee put it there for want of a better one.
    let is_ending = guessed.is_some() || ending == Some("bin");
    let own_key = if is_ending && !is_in_full { stem } else { &file };
    let own_key = percent_decode_str(own_key).decode_utf8_lossy();
    let key = known.key.unwrap_or_else(|| own_key.into_owned());
    let content_type = known.content_type.unwrap_or_else(|| with_charset(guessed.unwrap_or(UNKNOWN_TYPE)));
    let attributes = Some(Attributes { content_type, content_encoding: None });
    Ok(SourceRecord { key, size, file, attributes, sha256: None })
}

/// A type as the clients store it: texts are UTF-8.
fn with_charset(content_type: &str) -> String {
    if content_type.starts_with("text/") || content_type == "application/json" {
        return format!("{content_type}; charset=utf-8");
    }
    content_type.to_owned()
}

/// The files of records in a folder.
fn files(folder: &Path) -> Result<Vec<DirEntry>> {
    let entries = fs::read_dir(folder).and_then(Iterator::collect::<std::io::Result<Vec<_>>>);
    let is_record = |entry: &DirEntry| {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        entry.path().is_file() && !name.ends_with(METADATA) && !name.starts_with('.')
    };
    Ok(entries.map_err(Error::of(folder))?.into_iter().filter(is_record).collect())
}

fn folders(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(folder).and_then(Iterator::collect::<std::io::Result<Vec<_>>>);
    let paths = entries.map_err(Error::of(folder))?.into_iter().map(|entry| entry.path());
    Ok(paths.filter(|path| path.is_dir()).collect())
}

fn read_metadata<T: for<'de> Deserialize<'de>>(path: &Path) -> Option<T> {
    serde_json::from_slice(&fs::read(path).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_every_version_are_the_records_they_were() {
        let storage = tempfile::tempdir().expect("a folder");
        let store = storage.path().join("key_value_stores/default");
        fs::create_dir_all(&store).expect("a folder");
        for (file, text) in [
            ("INPUT.json", "{}"),
            ("page.html", "<p>"),
            ("blob.bin", "x"),
            ("v1.2", "x"),
            ("__metadata__.json", r#"{"id":"x","name":"shop"}"#),
            // JavaScript, with metadata.
            ("shot.png", "png"),
            ("shot.__metadata__.json", r#"{"key":"shot","contentType":"image/x-png"}"#),
            // Python.
            ("it%27s", "text"),
            ("it%27s.__metadata__.json", r#"{"key":"it's","content_type":"text/plain; charset=utf-8","size":4}"#),
            ("a.json", "[]"),
            ("a.json.__metadata__.json", r#"{"key":"a.json","content_type":"application/json","size":2}"#),
        ] {
            fs::write(store.join(file), text).expect("it is written");
        }
        let folder = CrawleeFolder::open(storage.path().to_owned()).expect("it opens");
        let stores = folder.stores().expect("stores");
        assert_eq!(stores.len(), 1);
        assert_eq!(stores[0].sheet.name.as_deref(), Some("shop"));
        let records = |after: Option<&str>| -> Vec<(String, String)> {
            let records = folder.records(&stores[0], after).expect("records").map(|record| record.expect("a record"));
            records.map(|record| (record.key, record.attributes.expect("known").content_type)).collect()
        };
        let all = [
            ("INPUT", "application/json; charset=utf-8"),
            ("a.json", "application/json"),
            ("blob", "application/octet-stream"),
            ("it's", "text/plain; charset=utf-8"),
            ("page", "text/html; charset=utf-8"),
            ("shot", "image/x-png"),
            ("v1.2", "application/octet-stream"),
        ];
        assert_eq!(records(None), all.map(|(key, kind)| (key.to_owned(), kind.to_owned())));
        assert_eq!(records(Some("page")).len(), 2);
        assert!(CrawleeFolder::open(tempfile::tempdir().expect("a folder").path().to_owned()).is_err());
    }
}
