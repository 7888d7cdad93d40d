//! Folders that Crawlee and the SDKs store things in, without a platform: `storage/key_value_stores/{name}/...`.
//!
//! Every version of them names files in a way of its own: a file is a key with an ending for its type (JavaScript), or a key in
//! percent-encoding (Python), and what is known besides stands in `{file}.__metadata__.json` or `{key}.__metadata__.json`.

use std::{io::Read, path::Path};

use percent_encoding::percent_decode_str;
use serde::{Deserialize, de::DeserializeOwned};

use crate::kv::RecordKey;

use super::{
    directory::{Directory, FileName},
    error::{Error, Result},
    record::{Attributes, LeftOut, Record, StoreSheet, WrittenKey},
    source::{Source, SourceEntries, SourceEntry, SourceRecord, SourceStore, checked},
};

/// Where stores are in a folder of storages.
const STORES: FileName = FileName::fixed("key_value_stores");

/// Ends the names of files that say something about others.
const METADATA: &str = "__metadata__.json";

/// The file that says something about the store.
const STORE_METADATA: FileName = FileName::fixed(METADATA);

/// The most bytes of a file that says something about others.
const MAX_METADATA_BYTES: u64 = 1024 * 1024;

/// A type for what has none.
const UNKNOWN_TYPE: &str = "application/octet-stream";

/// A folder of stores, or one of them.
pub struct CrawleeFolder {
    identity: String,
    stores: Vec<Store>,
}

/// The folder of a store.
struct Store {
    id: String,
    name: Option<String>,
    folder: Directory,
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
    /// Opens the folder at `path`.
    pub fn open(path: &Path) -> Result<Self> {
        let (folder, name) = (Directory::open(path)?, path.file_name().map(|name| name.to_string_lossy().into_owned()));
        let mut stores = if folder.has(&STORES) {
            stores_in(&folder.folder(&STORES)?)?
        } else if name.as_deref() == Some(STORES.as_str()) {
            stores_in(&folder)?
        } else {
            vec![Store { id: path.display().to_string(), name, folder }]
        };
        stores.sort_by(|one, other| one.id.cmp(&other.id));
        if !stores.iter().any(|store| store.folder.names().is_ok_and(|names| !names.is_empty())) {
            let message = format!("{} holds neither an exported store nor {STORES} of Crawlee's", path.display());
            return Err(Error::Unusable(message));
        }
        Ok(Self { identity: path.display().to_string(), stores })
    }

    fn folder(&self, store: &SourceStore) -> Result<&Directory> {
        let found = self.stores.iter().find(|known| known.id == store.id);
        found.map(|store| &store.folder).ok_or_else(|| Error::Unusable(format!("there is no store {}", store.id)))
    }
}

impl Source for CrawleeFolder {
    fn identity(&self) -> String {
        self.identity.clone()
    }

    fn stores(&self) -> Result<Vec<SourceStore>> {
        let store = |store: &Store| {
            let known: StoreMetadata = read_metadata(&store.folder, &STORE_METADATA).unwrap_or_default();
            let sheet = StoreSheet { name: known.name.or_else(|| store.name.clone()), ..StoreSheet::default() };
            let records = names_of_records(&store.folder)?.len() as u64;
            Ok(SourceStore { id: store.id.clone(), sheet, records: Some(records) })
        };
        self.stores.iter().map(store).collect()
    }

    fn records<'a>(&'a self, store: &SourceStore, after: Option<&RecordKey>) -> Result<SourceEntries<'a>> {
        let folder = self.folder(store)?;
        let entries = names_of_records(folder)?.into_iter().map(|name| entry(folder, name));
        let mut entries = entries.filter_map(Result::transpose).collect::<Result<Vec<_>>>()?;
        entries.retain(|entry| after.is_none_or(|after| text_of(entry) > after.as_str()));
        entries.sort_by(|one, other| text_of(one).cmp(text_of(other)));
        Ok(Box::new(entries.into_iter().map(Ok)))
    }

    fn open(&self, store: &SourceStore, record: &SourceRecord) -> Result<Option<Record>> {
        let Some(name) = &record.file else { return Ok(None) };
        Ok(Some(checked(self.folder(store)?.read(name)?, record)))
    }
}

fn text_of(entry: &SourceEntry) -> &str {
    match entry {
        SourceEntry::Record(record) => record.key.as_str(),
        SourceEntry::LeftOut(left_out) => &left_out.name,
    }
}

/// Returns the record in a file, or `None` if it is a folder.
fn entry(folder: &Directory, text: String) -> Result<Option<SourceEntry>> {
    let file = match FileName::try_from(text.clone()) {
        Ok(file) => file,
        Err(error) => return Ok(Some(SourceEntry::LeftOut(LeftOut { name: text, reason: error.to_string() }))),
    };
    if folder.has_folder(&file) {
        return Ok(None);
    }
    let size = folder.read(&file)?.metadata().map_err(Error::of(&folder.path_of(&file)))?.len();
    let (stem, ending) = text.rsplit_once('.').map_or((text.as_str(), None), |(stem, ending)| (stem, Some(ending)));
    let metadata_of = |what: &str| {
        let name = FileName::try_from(format!("{what}.{METADATA}")).ok()?;
        read_metadata::<Metadata>(folder, &name)
    };
    let of_file = metadata_of(&text);
    let is_in_full = of_file.is_some();
    let known = of_file.or_else(|| metadata_of(stem)).unwrap_or_default();
    let guessed = ending.and_then(|ending| mime_guess::from_ext(ending).first_raw());
    // An ending that means nothing belongs to the key, unless Crawlee put it there for want of a better one.
    let is_ending = guessed.is_some() || ending == Some("bin");
    let own_key = if is_ending && !is_in_full { stem } else { &text };
    let own_key = percent_decode_str(own_key).decode_utf8_lossy();
    let key = known.key.unwrap_or_else(|| own_key.into_owned());
    let content_type = known.content_type.unwrap_or_else(|| with_charset(guessed.unwrap_or(UNKNOWN_TYPE)));
    let attributes = Some(Attributes { content_type, content_encoding: None });
    Ok(Some(match WrittenKey::from(key) {
        WrittenKey::Valid(key) => {
            SourceEntry::Record(SourceRecord { key, size, file: Some(file), attributes, sha256: None })
        }
        WrittenKey::Invalid(left_out) => SourceEntry::LeftOut(left_out),
    }))
}

/// A type as the clients store it: texts are UTF-8.
fn with_charset(content_type: &str) -> String {
    if content_type.starts_with("text/") || content_type == "application/json" {
        return format!("{content_type}; charset=utf-8");
    }
    content_type.to_owned()
}

/// Returns the names in a folder that may be those of records.
fn names_of_records(folder: &Directory) -> Result<Vec<String>> {
    let mut names = folder.names()?;
    names.retain(|name| !name.ends_with(METADATA) && !name.starts_with('.'));
    Ok(names)
}

/// Opens the folders in a folder of stores. A link among them is refused: it would lead to files that are not part of it.
fn stores_in(folder: &Directory) -> Result<Vec<Store>> {
    let mut stores = Vec::new();
    for text in folder.names()? {
        let Ok(name) = FileName::try_from(text.clone()) else { continue };
        if folder.has_file(&name) {
            continue;
        }
        let id = folder.path_of(&name).display().to_string();
        stores.push(Store { id, name: Some(text), folder: folder.folder(&name)? });
    }
    Ok(stores)
}

fn read_metadata<T: DeserializeOwned>(folder: &Directory, name: &FileName) -> Option<T> {
    let mut text = Vec::new();
    folder.read(name).ok()?.take(MAX_METADATA_BYTES).read_to_end(&mut text).ok()?;
    serde_json::from_slice(&text).ok()
}

#[cfg(test)]
mod tests {
    use std::fs;

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
        let folder = CrawleeFolder::open(storage.path()).expect("it opens");
        let stores = folder.stores().expect("stores");
        assert_eq!(stores.len(), 1);
        assert_eq!(stores[0].sheet.name.as_deref(), Some("shop"));
        let records = |after: Option<&str>| -> Vec<(String, String)> {
            let after = after.map(|after| after.parse::<RecordKey>().expect("a key"));
            let entries = folder.records(&stores[0], after.as_ref()).expect("records");
            let record = |entry| match entry {
                Ok(SourceEntry::Record(record)) => record,
                other => panic!("no record: {other:?}"),
            };
            let records = entries.map(record);
            records.map(|record| (record.key.to_string(), record.attributes.expect("known").content_type)).collect()
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
        assert!(CrawleeFolder::open(tempfile::tempdir().expect("a folder").path()).is_err());
    }
}
