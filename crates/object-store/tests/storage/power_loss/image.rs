//! Expected contents of a folder after a loss of power.

use std::{collections::BTreeMap, fs::File, path::Path, sync::Arc};

use larder_object_store::{GetOptions, ObjectStore};
use larder_runtime::clock::SystemClock;

use crate::{
    stores,
    values::{MUCH, keys, value},
};

use super::workload::media_type;

/// The length of the file that sets room aside: made here, so that not every start writes it anew.
const RESERVE_BYTES: u64 = 16 * 1024 * 1024;

/// Value of a put, identified by its number and size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stored {
    pub number: usize,
    pub size: usize,
}

/// Possible values of each key: the acknowledged one, or those of writes in flight behind it.
#[derive(Debug, Default)]
pub struct Expected(BTreeMap<String, Vec<Option<Stored>>>);

impl Expected {
    /// Records the next value of `key`.
    pub fn note(&mut self, key: &str, state: Option<Stored>, is_acknowledged: bool) {
        let states = self.0.entry(key.to_owned()).or_insert_with(|| vec![None]);
        if is_acknowledged {
            states.clear();
        }
        states.push(state);
    }

    /// Opens the folder and compares; twice, since a start deletes files that it takes for leftovers.
    pub async fn hold_for(&self, folder: &Path) -> Result<(), String> {
        if folder.is_dir() {
            File::create(folder.join("reserve")).unwrap().set_len(RESERVE_BYTES).unwrap();
        }
        let first = self.compare(folder).await?;
        let second = self.compare(folder).await?;
        if first == second { Ok(()) } else { Err("the second start found something else than the first".to_owned()) }
    }

    async fn compare(&self, folder: &Path) -> Result<BTreeMap<String, Stored>, String> {
        let store = stores::open(folder, Arc::new(SystemClock)).map_err(|error| format!("not opened: {error}"))?;
        let mut found = BTreeMap::new();
        for key in keys(&store, "", 1000).await {
            let stored = identify(&store, &key).await.map_err(|error| format!("{key}: {error}"))?;
            found.insert(key, stored);
        }
        store.close().await;
        for (key, states) in &self.0 {
            let stored = found.get(key).copied();
            if !states.contains(&stored) {
                return Err(format!("{key} is {stored:?} and may be {states:?}"));
            }
        }
        match found.keys().find(|key| !self.0.contains_key(*key)) {
            Some(key) => Err(format!("{key} was never stored")),
            None => Ok(found),
        }
    }
}

/// Identifies the put whose value is under `key`, whole.
async fn identify(store: &dyn ObjectStore, key: &str) -> Result<Stored, String> {
    let object = store.get(key, GetOptions::default()).await.map_err(|error| error.to_string())?;
    let number = object.meta.attributes.content_type.strip_prefix("text/").and_then(|number| number.parse().ok());
    let number: usize = number.ok_or("a strange media type")?;
    assert_eq!(media_type(number), object.meta.attributes.content_type);
    let bytes = object.body.into_bytes(MUCH).await.map_err(|error| format!("{error:?}"))?;
    if bytes != value(number as u64, bytes.len()) {
        return Err("bytes that no client stored".to_owned());
    }
    Ok(Stored { number, size: bytes.len() })
}
