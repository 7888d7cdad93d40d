//! How far an import has come, in a file: one that was cut off goes on from there.

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

/// After how many records it is written down again: as many are written twice, at most, which does no harm.
const GRAIN: u64 = 256;

/// How far an import has come.
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
    /// Findings about records up to there: an import that goes on behind them does not meet them again.
    report: Report,
}

/// How far the import of a store has come.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StoreProgress {
    /// The id of the store it goes to.
    #[serde(rename = "storeId")]
    pub target: String,
    /// The key of the last record that was carried over or passed over, all before it included.
    #[serde(rename = "lastKey")]
    pub after: Option<RecordKey>,
    /// Number of records up to it that are there.
    pub records: u64,
    /// Number of their bytes.
    pub bytes: u64,
    /// Whether it is whole.
    pub is_done: bool,
}

impl Progress {
    /// What the file at `path` says of an import from here to there; nothing is done yet if it is not there.
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

    /// How far a store has come, if it was begun.
    pub fn of(&self, store: &str) -> Option<StoreProgress> {
        self.state.stores.get(store).cloned()
    }

    /// A store has come so far.
    pub fn set(&mut self, store: &str, progress: StoreProgress) -> Result<()> {
        self.state.stores.insert(store.to_owned(), progress);
        self.save()
    }

    /// Returns the findings of earlier runs.
    pub fn report(&self) -> &Report {
        &self.state.report
    }

    /// Adds a note, to be written down with the next record.
    pub fn note(&mut self, finding: Finding) {
        self.state.report.note(finding);
    }

    /// Adds something that was left out, to be written down with the next record.
    pub fn leave_out(&mut self, finding: Finding) {
        self.state.report.leave_out(finding);
    }

    /// Takes note of the next record of a store: of its bytes if it is there, or that it is passed over.
    pub fn step(&mut self, store: &str, key: RecordKey, bytes: Option<u64>) -> Result<()> {
        if let Some(progress) = self.state.stores.get_mut(store) {
            progress.after = Some(key);
            progress.records += u64::from(bytes.is_some());
            progress.bytes += bytes.unwrap_or(0);
        }
        self.unwritten += 1;
        if self.unwritten >= GRAIN { self.save() } else { Ok(()) }
    }

    /// Removes the file: everything was tried, and nothing is left to go on with.
    pub fn finish(self) -> Result<()> {
        match fs::remove_file(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            outcome => outcome.map_err(Error::of(&self.path)),
        }
    }

    /// Writes down how far it has come.
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
