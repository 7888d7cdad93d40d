//! Storage folders of Crawlee and the Apify SDKs, as they write them locally: `storage/key_value_stores/STORE/...`.
//!
//! Any other folder is rejected: its files are not meant to be records.

use std::path::Path;

use crate::kv::RecordKey;

use super::{
    crawlee_store::{METADATA, StoreFolder},
    directory::{Directory, FileName},
    error::{Error, Result},
    naming::Naming,
    record::{Record, StoreSheet},
    report::{Finding, Report},
    snapshot::Snapshot,
    source::{Contents, Source, SourceEntries, SourceEntry, SourceRecord, SourceStore},
};

/// Name of the folder of stores in a storage folder.
const STORES: FileName = FileName::fixed("key_value_stores");

/// Name of the file that describes a store.
const STORE_METADATA: FileName = FileName::fixed(METADATA);

/// Folders of other kinds of storages, beside the stores.
const OTHER_STORAGES: [FileName; 2] = [FileName::fixed("datasets"), FileName::fixed("request_queues")];

/// Usual names of storage folders in projects.
const USUAL_NAMES: [FileName; 2] = [FileName::fixed("storage"), FileName::fixed("apify_storage")];

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
            return Err(unexpected(path, &folder));
        }
        if opened.stores.is_empty() && opened.report.left_out.is_empty() {
            return Err(Error::Unusable(format!("there is no store in {}", path.display())));
        }
        Ok(opened)
    }

    /// Opens all stores in the folder of stores. A store that cannot be opened does not affect the others.
    fn add_stores(&mut self, folder: &Directory, naming: Naming) -> Result<()> {
        for name in folder.names()? {
            let path = folder.path().join(&name);
            let text = name.to_string_lossy().into_owned();
            let Some(name) = name.into_string().ok().and_then(|name| FileName::try_from(name).ok()) else {
                self.report.leave_out(Finding::at(&path, "its name cannot be that of a store"));
                continue;
            };
            if folder.has_file(&name) {
                self.report.note(Finding::at(&path, "is not a folder, and so is no store"));
                continue;
            }
            match folder.folder(&name) {
                Ok(folder) => self.add(folder, Some(text), naming),
                Err(error) => self.report.leave_out(Finding::of(path.display().to_string(), &error)),
            }
        }
        Ok(())
    }

    fn add(&mut self, folder: Directory, name: Option<String>, naming: Naming) {
        let id = folder.path().display().to_string();
        match StoreFolder::look(folder, name, naming) {
            Ok(content) => self.stores.push(Store { id, content }),
            Err(error) => self.report.leave_out(Finding::of(id, &error)),
        }
    }

    fn report_other_storages(&mut self, folder: &Directory) {
        for name in OTHER_STORAGES.iter().filter(|name| folder.has_folder(name)) {
            self.report.note(Finding::at(&folder.path_of(name), "has no key-value stores and is not imported"));
        }
    }

    fn content(&self, store: &SourceStore) -> Result<&StoreFolder> {
        let found = self.stores.iter().find(|known| known.id == store.id);
        found.map(|store| &store.content).ok_or_else(|| Error::Unusable(format!("there is no store {}", store.id)))
    }
}

/// Returns the error for a folder that is no storage folder.
fn unexpected(path: &Path, folder: &Directory) -> Error {
    let holds_stores = |name: &&FileName| folder.folder(name).is_ok_and(|folder| folder.has(&STORES));
    let hint = USUAL_NAMES.iter().find(holds_stores).map(|name| folder.path_of(name));
    let hint = hint.map_or_else(String::new, |path| format!("; {} is one", path.display()));
    Error::Unusable(format!(
        "{path} is not imported: expected an export of Larder's (with records.ndjson), a storage folder of Crawlee's or the Apify SDKs \
         (with {STORES}/STORE/ in it), its folder {STORES}, or one store in that{hint}",
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
            let sheet = StoreSheet { name: name.clone(), ..StoreSheet::default() };
            SourceStore { id: store.id.clone(), place: store.id.clone(), sheet, size: *size }
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
        assert_eq!(contents.stores[0].sheet.name.as_deref(), Some("shop"));
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
