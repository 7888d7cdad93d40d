//! Progress of an import, in a file: an interrupted import resumes from there.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use crate::kv::RecordKey;

use super::{
    directory::Directory,
    error::{Error, Result},
    report::{Finding, Report},
};

/// Interval in records between two saves: at most so many records are written twice, which is idempotent.
const GRAIN: u64 = 256;

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
                .map_err(|error| Error::Unusable(format!("{} is not understood: {error}", path.display())))?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                State { from: from.to_owned(), to: to.to_owned(), stores: BTreeMap::new(), report: Report::default() }
            }
            Err(error) => return Err(Error::of(path)(error)),
        };
        if state.from != from || state.to != to {
            let message = format!(
                "{} is about an unfinished import from {} to {}: finish that one, remove the file, or name another by --progress",
                path.display(),
                state.from,
                state.to
            );
            return Err(Error::Unusable(message));
        }
        Ok(Self { path: path.to_owned(), state, unwritten: 0 })
    }

    /// Returns the progress of a store, if it has begun.
    pub fn of(&self, store: &str) -> Option<StoreProgress> {
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
    pub fn step(&mut self, store: &str, key: RecordKey, bytes: Option<u64>) -> Result<()> {
        if let Some(progress) = self.state.stores.get_mut(store) {
            progress.after = Some(key);
            progress.records += u64::from(bytes.is_some());
            progress.bytes += bytes.unwrap_or(0);
        }
        self.unwritten += 1;
        if self.unwritten >= GRAIN { self.save() } else { Ok(()) }
    }

    /// Removes the file: the import has tried everything, and there is nothing to resume.
    pub fn finish(self) -> Result<()> {
        match fs::remove_file(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            outcome => outcome.map_err(Error::of(&self.path)),
        }
    }

    /// Saves the progress.
    pub fn save(&mut self) -> Result<()> {
        self.unwritten = 0;
        let bytes = serde_json::to_vec(&self.state).map_err(|error| Error::Unusable(error.to_string()))?;
        let (folder, name) = Directory::around(&self.path)?;
        folder.replace(&name, &bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_import_that_goes_on_knows_what_was_left_out_before() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("progress");
        let open = || Progress::open(&path, "a", "b").expect("it opens");
        let mut progress = open();
        progress.set("shop", StoreProgress::default()).expect("it is written");
        progress.leave_out(Finding::new("shop/page.html", "is a link"));
        progress.step("shop", "page".parse().expect("a key"), None).expect("it is noted");
        progress.save().expect("it is written");
        let resumed = open();
        assert_eq!(resumed.report().left_out.len(), 1);
        let shop = resumed.of("shop").expect("it was begun");
        assert_eq!((shop.after.map(|key| key.to_string()).as_deref(), shop.records), (Some("page"), 0));
        resumed.finish().expect("it is removed");
        assert!(!path.exists());
    }
}
