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
}

/// How far the import of a store has come.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StoreProgress {
    /// The id of the store it goes to.
    pub target: String,
    /// The key of the last record that is there, all before it included.
    pub after: Option<RecordKey>,
    /// How many records that are.
    pub records: u64,
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
                State { from: from.to_owned(), to: to.to_owned(), stores: BTreeMap::new() }
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
        self.write()
    }

    /// One more record of a store is there.
    pub fn step(&mut self, store: &str, key: RecordKey) -> Result<()> {
        if let Some(progress) = self.state.stores.get_mut(store) {
            progress.after = Some(key);
            progress.records += 1;
        }
        self.unwritten += 1;
        if self.unwritten >= GRAIN { self.write() } else { Ok(()) }
    }

    /// Everything is there: nothing is left to go on with.
    pub fn finish(self) -> Result<()> {
        fs::remove_file(&self.path).map_err(Error::of(&self.path))
    }

    fn write(&mut self) -> Result<()> {
        self.unwritten = 0;
        let bytes = serde_json::to_vec(&self.state).map_err(|error| Error::Unusable(error.to_string()))?;
        let (folder, name) = Directory::around(&self.path)?;
        folder.replace(&name, &bytes)
    }
}
