//! Storage folders of Crawlee and the Apify SDKs, as they write them locally: `storage/key_value_stores/STORE/...`.
//!
//! Any other folder is rejected: its files are not meant to be records. Every version of Crawlee and the SDKs names
//! files differently. A file name is a key with an extension for its type (JavaScript), or a percent-encoded key
//! (Python), and `{file}.__metadata__.json` or `{key}.__metadata__.json` may describe it.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::Read,
    path::Path,
};

use percent_encoding::percent_decode_str;
use serde::{Deserialize, de::DeserializeOwned};

use crate::kv::RecordKey;

use super::{
    directory::{Directory, FileName},
    error::{Error, Finding, Report, Result},
    record::{Attributes, Record, Snapshot, StoreManifest},
    source::{Contents, Naming, Size, Source, SourceEntries, SourceEntry, SourceRecord, SourceStore},
};

/// Name of the folder of stores in a storage folder.
const STORES: FileName = FileName::fixed("key_value_stores");

/// Name of the file that describes a store.
const STORE_METADATA: FileName = FileName::fixed(METADATA_SUFFIX);

/// Folders of other kinds of storages, beside the stores.
const OTHER_STORAGES: [FileName; 2] = [FileName::fixed("datasets"), FileName::fixed("request_queues")];

/// Usual names of storage folders in projects.
const COMMON_FOLDER_NAMES: [FileName; 2] = [FileName::fixed("storage"), FileName::fixed("apify_storage")];

/// A folder of stores, or one of them.
pub struct CrawleeFolder {
    identity: String,
    stores: Vec<Store>,
    report: Report,
}

/// The folder of a store.
struct Store {
    id: String,
    content: StoreFolder,
}

impl CrawleeFolder {
    /// Opens the folder at `path`, which is absolute.
    pub fn open(path: &Path, naming: Naming) -> Result<Self> {
        let folder = Directory::open(path)?;
        let is_named = |path: Option<&Path>| path.and_then(Path::file_name).is_some_and(|name| name == STORES.as_str());
        let identity = match naming {
            Naming::Keep => path.display().to_string(),
            Naming::Map => format!("{} with mapped names", path.display()),
        };
        let mut opened = Self { identity, stores: Vec::new(), report: Report::default() };
        if folder.has(&STORES) {
            opened.add_stores(&folder.folder(&STORES)?, naming)?;
            opened.report_other_storages(&folder);
        } else if is_named(Some(path)) {
            opened.add_stores(&folder, naming)?;
        } else if is_named(path.parent()) || folder.has_file(&STORE_METADATA) {
            opened.add(folder, path.file_name().map(|name| name.to_string_lossy().into_owned()), naming);
        } else {
            return Err(unsupported_folder(path, &folder));
        }
        if opened.stores.is_empty() && opened.report.left_out.is_empty() {
            return Err(Error::Invalid(format!("there is no store in {}", path.display())));
        }
        Ok(opened)
    }

    /// Opens all stores in the folder of stores. A store that cannot be opened does not affect the others.
    fn add_stores(&mut self, folder: &Directory, naming: Naming) -> Result<()> {
        for name in folder.names()? {
            let path = folder.path().join(&name);
            let text = name.to_string_lossy().into_owned();
            let Some(name) = name.into_string().ok().and_then(|name| FileName::try_from(name).ok()) else {
                self.report.leave_out(Finding::at_path(&path, "its name is not a valid name of a store folder"));
                continue;
            };
            if folder.has_file(&name) {
                self.report.note(Finding::at_path(&path, "is not a folder, so it is not a store"));
                continue;
            }
            match folder.folder(&name) {
                Ok(folder) => self.add(folder, Some(text), naming),
                Err(error) => self.report.leave_out(Finding::from_error(path.display().to_string(), &error)),
            }
        }
        Ok(())
    }

    fn add(&mut self, folder: Directory, name: Option<String>, naming: Naming) {
        let id = folder.path().display().to_string();
        match StoreFolder::read(folder, name, naming) {
            Ok(content) => self.stores.push(Store { id, content }),
            Err(error) => self.report.leave_out(Finding::from_error(id, &error)),
        }
    }

    fn report_other_storages(&mut self, folder: &Directory) {
        for name in OTHER_STORAGES.iter().filter(|name| folder.has_folder(name)) {
            self.report.note(Finding::at_path(&folder.path_of(name), "contains no key-value stores; not imported"));
        }
    }

    fn content(&self, store: &SourceStore) -> Result<&StoreFolder> {
        let found = self.stores.iter().find(|known| known.id == store.id);
        found.map(|store| &store.content).ok_or_else(|| Error::Invalid(format!("there is no store {}", store.id)))
    }
}

/// Returns the error for a folder that is no storage folder.
fn unsupported_folder(path: &Path, folder: &Directory) -> Error {
    let holds_stores = |name: &&FileName| folder.folder(name).is_ok_and(|folder| folder.has(&STORES));
    let hint = COMMON_FOLDER_NAMES.iter().find(holds_stores).map(|name| folder.path_of(name));
    let hint = hint.map_or_else(String::new, |path| format!("; {} is one", path.display()));
    Error::Invalid(format!(
        "cannot import {path}: expected a Larder export (with records.ndjson), a storage folder of Crawlee or the Apify SDKs \
         (with {STORES}/STORE/), its folder {STORES}, or one store in that{hint}",
        path = path.display()
    ))
}

impl Source for CrawleeFolder {
    fn identity(&self) -> String {
        self.identity.clone()
    }

    fn contents(&self) -> Result<Contents> {
        let mut report = self.report.clone();
        let store = |store: &Store| {
            let StoreFolder { name, size, .. } = &store.content;
            let manifest = StoreManifest { name: name.clone(), ..StoreManifest::default() };
            SourceStore { id: store.id.clone(), place: store.id.clone(), manifest, size: *size }
        };
        self.stores.iter().for_each(|store| report.merge(store.content.report.clone()));
        Ok(Contents { stores: self.stores.iter().map(store).collect(), report })
    }

    fn records<'a>(&'a self, store: &SourceStore, after: Option<&RecordKey>) -> Result<SourceEntries<'a>> {
        let records = &self.content(store)?.records;
        let begun = after.map_or(0, |after| records.partition_point(|record| record.key <= *after));
        Ok(Box::new(records[begun..].iter().cloned().map(|record| Ok(SourceEntry::Record(record)))))
    }

    fn open(&self, store: &SourceStore, record: &SourceRecord) -> Result<Option<Record>> {
        let (Some(name), Some(attributes)) = (&record.file, &record.attributes) else { return Ok(None) };
        let folder = &self.content(store)?.folder;
        let file = match folder.read(name) {
            Err(Error::File { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            file => file?,
        };
        let bytes = Snapshot::new(file, folder.path_of(name))?;
        Ok(Some(Record { attributes: attributes.clone(), length: Some(bytes.length()), bytes: Box::new(bytes) }))
    }

    fn place_of(&self, store: &SourceStore, record: &SourceRecord) -> String {
        let name = record.file.as_ref().map_or(record.key.as_str(), FileName::as_str);
        Path::new(&store.place).join(name).display().to_string()
    }
}

/// Suffix of the names of description files; by itself, the name of the file that describes the store.
pub const METADATA_SUFFIX: &str = "__metadata__.json";

/// Maximum length of a description file, in bytes.
const MAX_METADATA_BYTES: u64 = 1024 * 1024;

/// Type of files with an unknown extension.
const UNKNOWN_TYPE: &str = "application/octet-stream";

/// Records in the folder of a store, with the findings.
pub struct StoreFolder {
    /// The folder.
    pub folder: Directory,
    /// Name of the store.
    pub name: Option<String>,
    /// Its records, sorted by their keys.
    pub records: Vec<SourceRecord>,
    /// Number and size of the records.
    pub size: Size,
    /// Findings about its files.
    pub report: Report,
}

/// Description of a record.
#[derive(Debug, Default, Deserialize)]
struct Metadata {
    key: Option<String>,
    #[serde(alias = "contentType")]
    content_type: Option<String>,
}

/// Description of a store.
#[derive(Debug, Default, Deserialize)]
struct StoreMetadata {
    name: Option<String>,
}

/// Reader of the folder of a store.
struct Reader<'a> {
    folder: &'a Directory,
    /// Names of description files, until the described file is found.
    descriptions: BTreeMap<String, bool>,
    report: Report,
}

impl StoreFolder {
    /// Reads the names and descriptions in `folder`. The store is called `name` unless its own description has another
    /// name.
    pub fn read(folder: Directory, name: Option<String>, naming: Naming) -> Result<Self> {
        let (mut candidates, mut texts) = (Vec::new(), Vec::new());
        let mut reader = Reader { folder: &folder, descriptions: BTreeMap::new(), report: Report::default() };
        for name in folder.names()? {
            match name.into_string() {
                Ok(text) if text.ends_with(METADATA_SUFFIX) => drop(reader.descriptions.insert(text, false)),
                Ok(text) => texts.push(text),
                Err(name) => {
                    let finding =
                        Finding::at_path(&folder.path().join(name), "its name is not UTF-8, so it is not a key");
                    reader.report.leave_out(finding);
                }
            }
        }
        let store: StoreMetadata = reader.describe(METADATA_SUFFIX).unwrap_or_default();
        for text in texts {
            candidates.extend(reader.candidate(&text));
        }
        let Reader { descriptions, mut report, .. } = reader;
        for (name, _) in descriptions.iter().filter(|(_, is_used)| !**is_used) {
            let path = folder.path().join(name);
            report.leave_out(Finding::at_path(&path, "describes a record whose file does not exist"));
        }
        let records = resolve(candidates, folder.path(), naming, &mut report);
        let mut size = Size::default();
        for record in &records {
            size.add(record.size);
        }
        Ok(Self { name: store.name.or(name), records, size, report, folder })
    }
}

impl Reader<'_> {
    /// Returns the record for a file; reports a file that cannot be a record.
    fn candidate(&mut self, text: &str) -> Option<Candidate> {
        let path = self.folder.path().join(text);
        let (stem, ending) = text.rsplit_once('.').map_or((text, None), |(stem, ending)| (stem, Some(ending)));
        let of_file: Option<Metadata> = self.describe(&format!("{text}.{METADATA_SUFFIX}"));
        let is_in_full = of_file.is_some();
        if text.starts_with('.') && !is_in_full {
            self.report.note(Finding::at_path(&path, "is a hidden file, so it is not a record"));
            return None;
        }
        let of_key: Option<Metadata> = self.describe(&format!("{stem}.{METADATA_SUFFIX}"));
        let found = match FileName::try_from(text.to_owned()) {
            Ok(file) => self.folder.file_length(&file).map(|size| (file, size)),
            Err(invalid) => Err(Error::Invalid(invalid.to_string())),
        };
        let (file, size) = match found {
            Ok(found) => found,
            Err(error) => {
                self.report.leave_out(Finding::from_error(path.display().to_string(), &error));
                return None;
            }
        };
        let guessed = ending.and_then(|ending| mime_guess::from_ext(ending).first_raw());
        // An unknown extension belongs to the key, unless it is the fallback that Crawlee adds.
        let is_ending = guessed.is_some() || ending == Some("bin");
        let own_key = if is_ending && !is_in_full { stem } else { text };
        let own_key = percent_decode_str(own_key).decode_utf8_lossy().into_owned();
        let guessed = guessed.unwrap_or(UNKNOWN_TYPE);
        let known = of_file.or(of_key).unwrap_or_default();
        let is_described = known.content_type.as_deref().is_some_and(|known| is_in_full || essence(known) == guessed);
        Some(Candidate {
            file,
            size,
            key: known.key.unwrap_or(own_key),
            content_type: known.content_type.unwrap_or_else(|| with_charset(guessed)),
            guessed_type: with_charset(guessed),
            is_described,
        })
    }

    /// Reads the description in the file called `name`, if there is one. An unreadable one is reported.
    fn describe<T: DeserializeOwned>(&mut self, name: &str) -> Option<T> {
        *self.descriptions.get_mut(name)? = true;
        let file_name = FileName::try_from(name.to_owned()).ok()?;
        match read_json(self.folder, &file_name) {
            Ok(description) => Some(description),
            Err(error) => {
                let reason = format!("{}; the file that it describes is imported under its file name", error.reason());
                self.report.note(Finding::at_path(&self.folder.path().join(name), reason));
                None
            }
        }
    }
}

fn read_json<T: DeserializeOwned>(folder: &Directory, name: &FileName) -> Result<T> {
    let mut text = Vec::new();
    let read = folder.read(name)?.take(MAX_METADATA_BYTES).read_to_end(&mut text);
    read.map_err(Error::at_path(&folder.path_of(name)))?;
    serde_json::from_slice(&text).map_err(|error| Error::Invalid(format!("is not a valid description ({error})")))
}

/// Returns a type without its parameters.
fn essence(content_type: &str) -> &str {
    content_type.split(';').next().unwrap_or(content_type).trim()
}

/// Returns a type as the clients store it, with UTF-8 as the charset of texts.
fn with_charset(content_type: &str) -> String {
    if content_type.starts_with("text/") || content_type == "application/json" {
        return format!("{content_type}; charset=utf-8");
    }
    content_type.to_owned()
}

/// File that may be a record.
#[derive(Debug)]
pub struct Candidate {
    /// The file.
    pub file: FileName,
    /// Its length.
    pub size: u64,
    /// Its key, from its description or its name.
    pub key: String,
    /// Its type, from its description or its name.
    pub content_type: String,
    /// Its type, from its name.
    pub guessed_type: String,
    /// True if a description is about this file, and not about another with the same name and another extension.
    pub is_described: bool,
}

/// Assigned keys, with their report.
struct Keys<'a> {
    folder: &'a Path,
    naming: Naming,
    taken: BTreeSet<RecordKey>,
    records: Vec<SourceRecord>,
    report: &'a mut Report,
}

/// Assigns each file its key, and returns the records sorted by their keys.
///
/// If several files have one key, the file with a description keeps it, and each other file gets its file name as its
/// key; if none or several are described, all get their file names. A key that the server rejects follows `naming`. A
/// file whose key is then already assigned is left out.
pub fn resolve(candidates: Vec<Candidate>, folder: &Path, naming: Naming, report: &mut Report) -> Vec<SourceRecord> {
    let mut keys = Keys { folder, naming, taken: BTreeSet::new(), records: Vec::new(), report };
    let (mut valid, mut refused) = (BTreeMap::<RecordKey, Vec<Candidate>>::new(), Vec::new());
    for candidate in candidates {
        match candidate.key.parse() {
            Ok(key) => valid.entry(key).or_default().push(candidate),
            Err(error) => refused.push((candidate, error)),
        }
    }
    let mut colliding = Vec::new();
    for (key, mut files) in valid {
        let described = files.iter().filter(|file| file.is_described).count();
        let own = if files.len() == 1 { Some(0) } else { files.iter().position(|file| file.is_described) };
        let own = own.filter(|_| files.len() == 1 || described == 1).map(|own| files.remove(own));
        let names: Vec<String> = own.iter().chain(&files).map(|file| file.file.to_string()).collect();
        colliding.extend(files.into_iter().map(|file| (key.clone(), names.clone(), file)));
        if let Some(own) = own {
            keys.assign(key, own);
        }
    }
    for (key, names, file) in colliding {
        keys.rename(&key, &names, file);
    }
    for (candidate, error) in refused {
        keys.map(candidate, &error.to_string());
    }
    let Keys { mut records, .. } = keys;
    records.sort_by(|one, other| one.key.cmp(&other.key));
    records
}

impl Keys<'_> {
    fn assign(&mut self, key: RecordKey, candidate: Candidate) {
        let Candidate { file, size, content_type, .. } = candidate;
        self.taken.insert(key.clone());
        let attributes = Some(Attributes { content_type, content_encoding: None });
        self.records.push(SourceRecord { key, size, file: Some(file), attributes, sha256: None });
    }

    /// Replaces a conflicting key by the name of the file.
    fn rename(&mut self, key: &RecordKey, names: &[String], mut candidate: Candidate) {
        let path = self.folder.join(candidate.file.as_str());
        let others: Vec<&str> =
            names.iter().map(String::as_str).filter(|name| *name != candidate.file.as_str()).collect();
        let shared = format!("its key {key} is also the key of {}", others.join(", "));
        let own =
            candidate.file.as_str().parse::<RecordKey>().ok().or_else(|| self.naming.key(candidate.file.as_str()));
        match own.filter(|own| !self.taken.contains(own)) {
            Some(own) => {
                self.report.note(Finding::at_path(&path, format!("{shared}: imported under the key {own}")));
                if !candidate.is_described {
                    candidate.content_type = std::mem::take(&mut candidate.guessed_type);
                }
                self.assign(own, candidate);
            }
            None => self
                .report
                .leave_out(Finding::at_path(&path, format!("{shared}, and its file name is not an unused valid key"))),
        }
    }

    /// Replaces a rejected key, if `naming` asks for that.
    fn map(&mut self, candidate: Candidate, error: &str) {
        let path = self.folder.join(candidate.file.as_str());
        let refused = format!("its key {} is invalid: {error}", candidate.key);
        match self.naming.key(&candidate.key) {
            None => {
                self.report.leave_out(Finding::at_path(
                    &path,
                    format!("{refused} (--map-names imports it under a mapped key)"),
                ));
            }
            Some(key) if self.taken.contains(&key) => {
                self.report.leave_out(Finding::at_path(
                    &path,
                    format!("{refused}; the mapped key {key} belongs to another file"),
                ));
            }
            Some(key) => {
                self.report.note(Finding::at_path(&path, format!("{refused}: imported under the key {key}")));
                self.assign(key, candidate);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// Creates a storage folder with a store of these files.
    fn storage(files: &[(&str, &str)]) -> tempfile::TempDir {
        let storage = tempfile::tempdir().expect("a folder");
        let store = storage.path().join("key_value_stores/default");
        fs::create_dir_all(&store).expect("a folder");
        for (file, text) in files {
            fs::write(store.join(file), text).expect("it is written");
        }
        storage
    }

    /// Returns keys and types of the records after a key, and the numbers of notes and of files that are left out.
    fn found(storage: &Path, naming: Naming, after: Option<&str>) -> (Vec<(String, String)>, usize, usize) {
        let folder = CrawleeFolder::open(storage, naming).expect("it opens");
        let contents = folder.contents().expect("stores");
        let after = after.map(|after| after.parse::<RecordKey>().expect("a key"));
        let entries = folder.records(&contents.stores[0], after.as_ref()).expect("records");
        let record = |entry| match entry {
            Ok(SourceEntry::Record(record)) => record,
            other => panic!("no record: {other:?}"),
        };
        let records = entries.map(record);
        let records =
            records.map(|record| (record.key.to_string(), record.attributes.expect("known").content_type)).collect();
        (records, contents.report.notes.len(), contents.report.left_out.len())
    }

    fn owned(records: &[(&str, &str)]) -> Vec<(String, String)> {
        records.iter().map(|(key, kind)| ((*key).to_owned(), (*kind).to_owned())).collect()
    }

    #[test]
    fn files_of_every_version_are_the_records_they_were() {
        let storage = storage(&[
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
        ]);
        let folder = CrawleeFolder::open(storage.path(), Naming::Keep).expect("it opens");
        let contents = folder.contents().expect("stores");
        assert_eq!(contents.stores.len(), 1);
        assert_eq!(contents.stores[0].manifest.name.as_deref(), Some("shop"));
        let all = owned(&[
            ("INPUT", "application/json; charset=utf-8"),
            ("a.json", "application/json"),
            ("blob", "application/octet-stream"),
            ("it's", "text/plain; charset=utf-8"),
            ("page", "text/html; charset=utf-8"),
            ("shot", "image/x-png"),
            ("v1.2", "application/octet-stream"),
        ]);
        assert_eq!(found(storage.path(), Naming::Keep, None), (all, 0, 0));
        assert_eq!(found(storage.path(), Naming::Keep, Some("page")).0.len(), 2);
    }

    #[test]
    fn files_of_one_key_are_as_many_records() {
        let html = "text/html; charset=utf-8";
        let json = "application/json; charset=utf-8";
        let both = storage(&[("page.json", "{}"), ("page.html", "<p>")]);
        assert_eq!(found(both.path(), Naming::Keep, None), (owned(&[("page.html", html), ("page.json", json)]), 2, 0));
        // The described file gets the key.
        let description = ("page.__metadata__.json", r#"{"key":"page","contentType":"text/html; charset=utf-8"}"#);
        let described = storage(&[("page.json", "{}"), ("page.html", "<p>"), description]);
        assert_eq!(found(described.path(), Naming::Keep, None), (owned(&[("page", html), ("page.json", json)]), 1, 0));
        // The name of a file may be the key of another.
        let taken = storage(&[("page.json", "{}"), ("page.html", "<p>"), ("page.html.html", "<p>")]);
        let kept = owned(&[("page.html", html), ("page.json", json)]);
        assert_eq!(found(taken.path(), Naming::Keep, None), (kept, 1, 1));
    }

    #[test]
    fn a_refused_key_is_mapped_only_if_that_is_asked_for_and_never_to_that_of_another() {
        let plain = "text/plain; charset=utf-8";
        let storage = storage(&[("no key.txt", "x"), ("a b.txt", "x"), ("a-b.txt", "y")]);
        assert_eq!(found(storage.path(), Naming::Keep, None), (owned(&[("a-b", plain)]), 0, 2));
        assert_eq!(found(storage.path(), Naming::Map, None), (owned(&[("a-b", plain), ("no-key", plain)]), 1, 1));
    }

    #[test]
    fn other_folders_are_refused_with_what_was_expected() {
        let project = tempfile::tempdir().expect("a folder");
        fs::write(project.path().join("passwd"), "root").expect("it is written");
        fs::create_dir_all(project.path().join("storage/key_value_stores/default")).expect("folders");
        let refused = |path: &Path| match CrawleeFolder::open(path, Naming::Keep) {
            Ok(_) => panic!("it is imported"),
            Err(error) => error.to_string(),
        };
        let message = refused(project.path());
        assert!(message.contains("expected") && message.contains("/storage is one"), "{message}");
        let stores = project.path().join("storage/key_value_stores");
        for path in [project.path().join("storage"), stores.clone(), stores.join("default")] {
            assert!(CrawleeFolder::open(&path, Naming::Keep).is_ok(), "{}", path.display());
        }
        fs::remove_dir(stores.join("default")).expect("it is removed");
        assert!(refused(&stores).contains("no store"), "an empty folder of stores");
    }
}
