//! Import of stores into a server.
//!
//! (1) The plan is made before anything is written: the stores that the import would create, and the findings. (2) The
//! records are copied. (3) The progress is saved in a file, so that an interrupted import resumes from there.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use crate::kv::{InvalidName, RecordKey, StoreName};

use super::{
    api::Api,
    directory::Directory,
    error::{Error, Finding, Report, Result},
    pipeline::{CHANGED_WHILE_READ, DELETED, TransferOutcome, ordered_parallel_map, transfer_record},
    progress_bar::ProgressDisplay,
    record::StoreManifest,
    source::{Contents, Naming, Size, Source, SourceEntry, SourceStore},
};

/// Stores that an import creates or extends, and findings about the source.
#[derive(Debug)]
pub struct Plan {
    /// The stores, each with its target name.
    pub stores: Vec<SourceStore>,
    /// Findings so far.
    pub report: Report,
}

impl Plan {
    /// Examines a source. `name` is the name for its only store; `naming` is the treatment of names that the server
    /// rejects.
    pub fn new(source: &dyn Source, name: Option<&str>, naming: Naming) -> Result<Self> {
        let Contents { mut stores, report } = source.contents()?;
        if let Some(name) = name {
            let [store] = stores.as_mut_slice() else {
                return Err(Error::Invalid(format!(
                    "cannot give {} stores the name {name}: --name requires a single store",
                    stores.len()
                )));
            };
            name.parse::<StoreName>().map_err(|error| Error::Invalid(format!("{name:?}: {error}")))?;
            store.manifest.name = Some(name.to_owned());
        }
        let mut plan = Self { stores: Vec::new(), report };
        plan.add(stores, naming);
        Ok(plan)
    }

    /// Returns the number and size of all records.
    pub fn size(&self) -> Size {
        self.stores.iter().map(|store| store.size).sum()
    }

    /// Adds the stores with allowed names, and then those that are mapped to names that are still free.
    fn add(&mut self, stores: Vec<SourceStore>, naming: Naming) {
        let mut names = BTreeMap::new();
        let mut refused = Vec::new();
        for store in stores {
            match store.manifest.name.as_deref().map(str::parse::<StoreName>) {
                None => self.stores.push(store),
                Some(Ok(name)) => self.assign(store, &name, &mut names),
                Some(Err(error)) => refused.push((store, error)),
            }
        }
        for (store, error) in refused {
            self.map(store, error, naming, &mut names);
        }
        self.stores.sort_by(|one, other| one.id.cmp(&other.id));
    }

    fn map(&mut self, store: SourceStore, error: InvalidName, naming: Naming, names: &mut BTreeMap<String, String>) {
        let own = store.manifest.name.clone().unwrap_or_default();
        if let Some(name) = naming.store(&own) {
            let note = format!("its name {own} is invalid: imported as {name}");
            self.report.note(Finding::new(store.place.as_str(), note));
            self.assign(store, &name, names);
        } else {
            let hint = Naming::Map.store(&own).filter(|_| naming == Naming::Keep);
            let hint = hint.map_or_else(String::new, |name| format!(" (--map-names imports it as {name})"));
            let reason = format!("its name {own} is invalid: {error}{hint}");
            self.report.leave_out(Finding::new(store.place, reason));
        }
    }

    /// Adds a store, unless another already has its name: their records would be mixed.
    fn assign(&mut self, mut store: SourceStore, name: &StoreName, names: &mut BTreeMap<String, String>) {
        if let Some(other) = names.get(&name.folded()) {
            self.report.leave_out(Finding::new(store.place, format!("its name {name} is also the name of {other}")));
            return;
        }
        names.insert(name.folded(), store.place.clone());
        store.manifest.name = Some(name.to_string());
        self.stores.push(store);
    }
}

/// Result of an import.
#[derive(Debug)]
pub struct ImportResult {
    /// Number of stores that are complete, with all records that could be imported.
    pub stores: u64,
    /// Number and size of the imported records, including those of earlier runs.
    pub size: Size,
    /// Everything that was not imported unchanged.
    pub report: Report,
    /// Reason why the import ended early.
    pub outcome: Result<()>,
}

/// Imports the stores of a plan. An existing store of the same name gets the settings and the records, which replace
/// differing records of the same keys. Resumes an interrupted import, by the file at `progress`.
pub fn import(api: &Api, source: &dyn Source, plan: Plan, progress: &Path) -> ImportResult {
    let display = ProgressDisplay::start(plan.size());
    let Plan { stores, report } = plan;
    let imported = ImportResult { stores: 0, size: Size::default(), report, outcome: Ok(()) };
    let mut import = match Progress::open(progress, &source.identity(), api.origin()) {
        Ok(progress) => Import { api, source, display, progress, imported },
        Err(error) => return ImportResult { outcome: Err(error), ..imported },
    };
    import.imported.report.merge(import.progress.report().clone());
    let outcome = import.all(&stores);
    let Import { progress, imported, .. } = import;
    let outcome = outcome.and_then(|()| progress.finish());
    ImportResult { outcome, ..imported }
}

/// An import in progress.
struct Import<'a> {
    api: &'a Api,
    source: &'a dyn Source,
    display: ProgressDisplay,
    progress: Progress,
    imported: ImportResult,
}

impl Import<'_> {
    /// Imports every store.
    fn all(&mut self, stores: &[SourceStore]) -> Result<()> {
        for store in stores {
            match self.store(store) {
                Ok(()) => self.imported.stores += 1,
                Err(error) if error.is_fatal() => {
                    self.progress.save()?;
                    return Err(error);
                }
                Err(error) => self.imported.report.leave_out(Finding::from_error(store.place.as_str(), &error)),
            }
        }
        Ok(())
    }

    fn store(&mut self, store: &SourceStore) -> Result<()> {
        if self.progress.store(&store.id).is_none() {
            let target = self.create_store(store)?;
            self.progress.set(&store.id, StoreProgress { target, ..StoreProgress::default() })?;
        }
        let begun = self.progress.store(&store.id).unwrap_or_default();
        let done = Size { records: begun.records, bytes: begun.bytes };
        self.imported.size += done;
        self.display.begin(store.manifest.name.as_deref().unwrap_or(&store.id), done);
        if !begun.is_done {
            self.records(store, &begun)?;
        }
        let begun = self.progress.store(&store.id).unwrap_or(begun);
        self.progress.set(&store.id, StoreProgress { is_done: true, ..begun })
    }

    /// Imports the missing records of a store.
    fn records(&mut self, store: &SourceStore, begun: &StoreProgress) -> Result<()> {
        let Self { api, source, display, progress, imported } = self;
        let display = &*display;
        let check_reachable = || api.check_reachable(&begun.target).and_then(|()| source.check_reachable(store));
        // An identical record stays untouched. Most imports write into an empty store and need no check.
        let has_records = !api.keys(&begun.target, begun.after.as_ref().map(RecordKey::as_str))?.items.is_empty();
        let copy = |entry: SourceEntry| {
            let record = match entry {
                SourceEntry::Record(record) => record,
                SourceEntry::LeftOut(finding) => return Ok((None, Some(finding))),
            };
            let write = || {
                if has_records
                    && let Some(found) = source.open(store, &record)?
                    && let Some(bytes) = api.identical_bytes(&begun.target, &record.key, found)?
                {
                    display.add_bytes(bytes);
                    return Ok(Some(bytes));
                }
                let found = source.open(store, &record)?;
                found
                    .map(|found| display.count(found, |found| api.write(&begun.target, &record.key, found)))
                    .transpose()
            };
            let outcome = transfer_record(write, check_reachable)?;
            Ok((Some((source.place_of(store, &record), record.key, outcome)), None))
        };
        ordered_parallel_map(source.records(store, begun.after.as_ref())?, copy, |(carried, invalid)| {
            if let Some(finding) = invalid {
                imported.report.leave_out(finding);
            }
            let Some((place, key, outcome)) = carried else { return Ok(()) };
            let (bytes, note, reason) = match outcome {
                TransferOutcome::Done(bytes) => (Some(bytes), None, None),
                TransferOutcome::DoneAfterChange(bytes) => (Some(bytes), Some(CHANGED_WHILE_READ.to_owned()), None),
                TransferOutcome::Deleted => (None, Some(DELETED.to_owned()), None),
                TransferOutcome::LeftOut(reason) => (None, None, Some(reason)),
            };
            if let Some(note) = note {
                let finding = Finding::new(place.as_str(), note);
                progress.note(finding.clone());
                imported.report.note(finding);
            }
            if let Some(reason) = reason {
                let finding = Finding::new(place, reason);
                progress.leave_out(finding.clone());
                imported.report.leave_out(finding);
            }
            if let Some(bytes) = bytes {
                imported.size.add(bytes);
                display.step();
            }
            progress.advance(&store.id, key, bytes)
        })
    }

    /// Creates the target store, or finds it; returns its id. Rejected settings do not prevent the import of the
    /// records.
    fn create_store(&mut self, store: &SourceStore) -> Result<String> {
        let made = self.api.get_or_create_store(&store.manifest)?;
        let settings = StoreManifest { name: None, schema: None, ..store.manifest.clone() };
        if settings == StoreManifest::default() {
            return Ok(made.id);
        }
        match self.api.apply_settings(&made.id, &settings) {
            Err(error @ (Error::Rejected { .. } | Error::Invalid(_))) if !error.is_fatal() => {
                let finding = Finding::new(format!("{}, settings", store.place), error.reason());
                self.progress.leave_out(finding.clone());
                self.imported.report.leave_out(finding);
            }
            outcome => outcome?,
        }
        Ok(made.id)
    }
}

/// Interval in records between two saves: at most so many records are written twice, which is idempotent.
const RECORDS_PER_SAVE: u64 = 256;

/// Progress of an import.
pub struct Progress {
    path: PathBuf,
    state: State,
    unwritten: u64,
}

#[derive(Debug, Serialize, Deserialize)]
struct State {
    from: String,
    to: String,
    stores: BTreeMap<String, StoreProgress>,
    /// Findings about the records so far: a resumed import does not meet these records again.
    report: Report,
}

/// Progress of the import of a store.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StoreProgress {
    /// Id of the target store.
    #[serde(rename = "storeId")]
    pub target: String,
    /// Key of the last record that was imported or skipped, like all before it.
    #[serde(rename = "lastKey")]
    pub after: Option<RecordKey>,
    /// Number of imported records up to it.
    pub records: u64,
    /// Number of their bytes.
    pub bytes: u64,
    /// True if the store is complete.
    pub is_done: bool,
}

impl Progress {
    /// Reads the progress of an import between these two in the file at `path`; empty if there is no file.
    pub fn open(path: &Path, from: &str, to: &str) -> Result<Self> {
        let state = match fs::read(path) {
            Ok(bytes) => serde_json::from_slice::<State>(&bytes)
                .map_err(|error| Error::Invalid(format!("cannot read {}: {error}", path.display())))?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                State { from: from.to_owned(), to: to.to_owned(), stores: BTreeMap::new(), report: Report::default() }
            }
            Err(error) => return Err(Error::at_path(path)(error)),
        };
        if state.from != from || state.to != to {
            let message = format!(
                "{} belongs to an interrupted import from {} to {}; resume that one, delete the file, or name another with --progress",
                path.display(),
                state.from,
                state.to
            );
            return Err(Error::Invalid(message));
        }
        Ok(Self { path: path.to_owned(), state, unwritten: 0 })
    }

    /// Returns the progress of a store, if it has begun.
    pub fn store(&self, store: &str) -> Option<StoreProgress> {
        self.state.stores.get(store).cloned()
    }

    /// Sets the progress of a store, and saves it.
    pub fn set(&mut self, store: &str, progress: StoreProgress) -> Result<()> {
        self.state.stores.insert(store.to_owned(), progress);
        self.save()
    }

    /// Returns the findings of earlier runs.
    pub fn report(&self) -> &Report {
        &self.state.report
    }

    /// Adds a note, which is saved with the next record.
    pub fn note(&mut self, finding: Finding) {
        self.state.report.note(finding);
    }

    /// Adds a left-out entry, which is saved with the next record.
    pub fn leave_out(&mut self, finding: Finding) {
        self.state.report.leave_out(finding);
    }

    /// Advances to the next record of a store: with its bytes if it was imported, without if it was skipped.
    pub fn advance(&mut self, store: &str, key: RecordKey, bytes: Option<u64>) -> Result<()> {
        if let Some(progress) = self.state.stores.get_mut(store) {
            progress.after = Some(key);
            progress.records += u64::from(bytes.is_some());
            progress.bytes += bytes.unwrap_or(0);
        }
        self.unwritten += 1;
        if self.unwritten >= RECORDS_PER_SAVE { self.save() } else { Ok(()) }
    }

    /// Removes the file: the import has tried everything, and there is nothing to resume.
    pub fn finish(self) -> Result<()> {
        match fs::remove_file(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            outcome => outcome.map_err(Error::at_path(&self.path)),
        }
    }

    /// Saves the progress.
    pub fn save(&mut self) -> Result<()> {
        self.unwritten = 0;
        let bytes = serde_json::to_vec(&self.state).map_err(|error| Error::Invalid(error.to_string()))?;
        let (folder, name) = Directory::parent_of(&self.path)?;
        folder.replace(&name, &bytes)
    }
}

#[cfg(test)]
mod tests {
    use crate::import_export::record::StoreManifest;

    use super::*;

    fn planned(names: &[&str], naming: Naming) -> Plan {
        let store = |name: &&str| SourceStore {
            id: (*name).to_owned(),
            place: format!("/s/{name}"),
            manifest: StoreManifest { name: Some((*name).to_owned()), ..StoreManifest::default() },
            size: Size::default(),
        };
        let mut plan = Plan { stores: Vec::new(), report: Report::default() };
        plan.add(names.iter().map(store).collect(), naming);
        plan
    }

    fn names(plan: &Plan) -> Vec<&str> {
        plan.stores.iter().filter_map(|store| store.manifest.name.as_deref()).collect()
    }

    #[test]
    fn a_name_that_is_refused_leaves_the_other_stores() {
        let plan = planned(&["a", "my_store", "z"], Naming::Keep);
        assert_eq!(names(&plan), ["a", "z"]);
        let finding = plan.report.left_out.first().expect("it is reported").to_string();
        assert!(finding.starts_with("/s/my_store: ") && finding.contains("imports it as my-store"), "{finding}");
    }

    #[test]
    fn a_mapped_name_is_never_that_of_another_store() {
        let plan = planned(&["My_store", "a_b", "a.b", "my-store"], Naming::Map);
        assert_eq!(names(&plan), ["a-b", "my-store"]);
        assert_eq!(plan.report.left_out.len(), 2, "{:?}", plan.report);
    }

    #[test]
    fn an_import_that_goes_on_knows_what_was_left_out_before() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("progress");
        let open = || Progress::open(&path, "a", "b").expect("it opens");
        let mut progress = open();
        progress.set("shop", StoreProgress::default()).expect("it is written");
        progress.leave_out(Finding::new("shop/page.html", "is a link"));
        progress.advance("shop", "page".parse().expect("a key"), None).expect("it is noted");
        progress.save().expect("it is written");
        let resumed = open();
        assert_eq!(resumed.report().left_out.len(), 1);
        let shop = resumed.store("shop").expect("it was begun");
        assert_eq!((shop.after.map(|key| key.to_string()).as_deref(), shop.records), (Some("page"), 0));
        resumed.finish().expect("it is removed");
        assert!(!path.exists());
    }
}
