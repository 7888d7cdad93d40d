//! The manifest of a backup: written last, read first.

use std::{collections::BTreeMap, fs, io, path::Path};

use serde::{Deserialize, Serialize};

use larder_runtime::clock::Timestamp;

use super::{
    super::{folder::FORMAT_VERSION, folder::replace_durably, paths::Paths},
    error::BackupError,
};

/// Format of backups that this code writes, the only one so far.
const BACKUP_FORMAT: u32 = 1;

/// The manifest of a backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Manifest {
    /// The format of the backup.
    format: u32,
    /// The format text of the data folder.
    folder_format: String,
    /// The version of the program that took it.
    taken_by: String,
    /// Start time: everything acknowledged before is in the backup.
    pub taken_at: Timestamp,
    /// Number of objects.
    pub objects: u64,
    /// Total bytes of the objects.
    pub bytes: u64,
    /// The hash of the index.
    #[serde(rename = "indexHash")]
    pub index: String,
    /// The hashes of the other files, by name.
    #[serde(rename = "otherFileHashes")]
    pub beside: BTreeMap<String, String>,
}

/// The part of a manifest that can be read in any format.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Head {
    format: u32,
    folder_format: String,
    taken_by: String,
}

impl Manifest {
    /// Returns the manifest of a backup that this program begins at `taken_at`, still empty.
    pub fn begun_at(taken_at: Timestamp) -> Self {
        Self {
            format: BACKUP_FORMAT,
            folder_format: FORMAT_VERSION.to_owned(),
            taken_by: env!("CARGO_PKG_VERSION").to_owned(),
            taken_at,
            objects: 0,
            bytes: 0,
            index: String::new(),
            beside: BTreeMap::new(),
        }
    }

    /// Writes the manifest, which completes the backup.
    pub fn write(&self, backup: &Paths) -> Result<(), BackupError> {
        let path = backup.manifest();
        let failed = |error| BackupError::of_file(&path, error);
        let mut text = serde_json::to_vec_pretty(self).map_err(|error| failed(error.into()))?;
        text.push(b'\n');
        replace_durably(&path, &text).map_err(failed)
    }

    /// Reads the manifest of the backup at `path`.
    pub fn read(path: &Path) -> Result<Self, BackupError> {
        let backup = Paths::new(path);
        let text = match fs::read(backup.manifest()) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let path = path.to_owned();
                let is_begun = !backup.format().exists() && backup.files().exists();
                return Err(if is_begun { BackupError::BrokenOff { path } } else { BackupError::NoBackup { path } });
            }
            Err(error) => return Err(BackupError::of_file(&backup.manifest(), error)),
        };
        let damaged = |error| BackupError::DamagedBackup { what: format!("{}: {error}", backup.manifest().display()) };
        let Head { format, folder_format, taken_by } = serde_json::from_slice(&text).map_err(damaged)?;
        if format != BACKUP_FORMAT || folder_format != FORMAT_VERSION {
            return Err(BackupError::UnknownFormat { path: path.to_owned(), by: taken_by });
        }
        serde_json::from_slice(&text).map_err(damaged)
    }
}
