//! The manifest of a backup, written last and read first; the names of successive backups, and which of them are kept.

use std::{collections::BTreeMap, fs, io, num::NonZero, path::Path};

use serde::{Deserialize, Serialize};

use larder_runtime::clock::Timestamp;

use crate::embedded::folder::{FORMAT_VERSION, Paths, replace_durably};

use super::error::BackupError;

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
    pub extra_files: BTreeMap<String, String>,
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
    pub fn new(taken_at: Timestamp) -> Self {
        Self {
            format: BACKUP_FORMAT,
            folder_format: FORMAT_VERSION.to_owned(),
            taken_by: env!("CARGO_PKG_VERSION").to_owned(),
            taken_at,
            objects: 0,
            bytes: 0,
            index: String::new(),
            extra_files: BTreeMap::new(),
        }
    }

    /// Writes the manifest, which completes the backup.
    pub fn write(&self, backup: &Paths) -> Result<(), BackupError> {
        let path = backup.manifest();
        let failed = |error| BackupError::from_io(&path, error);
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
                let is_begun = !backup.format().exists() && backup.blobs().exists();
                return Err(if is_begun { BackupError::Incomplete { path } } else { BackupError::NoBackup { path } });
            }
            Err(error) => return Err(BackupError::from_io(&backup.manifest(), error)),
        };
        let damaged = |error| BackupError::DamagedBackup { what: format!("{}: {error}", backup.manifest().display()) };
        let Head { format, folder_format, taken_by } = serde_json::from_slice(&text).map_err(damaged)?;
        if format != BACKUP_FORMAT || folder_format != FORMAT_VERSION {
            return Err(BackupError::UnknownFormat { path: path.to_owned(), by: taken_by });
        }
        serde_json::from_slice(&text).map_err(damaged)
    }
}

/// Returns the name of a backup that begins at `at`, as `2026-11-30T07-12-00.123Z`: names sort by time, and every file
/// system accepts them.
pub fn dated_name(at: Timestamp) -> String {
    at.to_string().replace(':', "-")
}

/// Removes the backups in `folder` that are older than the newest `keep` complete ones, incomplete ones included. Files
/// with other names stay. Returns the number of removed backups.
pub fn prune(folder: &Path, keep: NonZero<usize>) -> Result<usize, BackupError> {
    let failed = |error| BackupError::from_io(folder, error);
    let entries = fs::read_dir(folder).map_err(failed)?;
    let names = entries.map(|entry| Ok(entry?.file_name().into_string().ok())).collect::<io::Result<Vec<_>>>();
    let mut names: Vec<String> = names.map_err(failed)?.into_iter().flatten().filter(|name| is_dated(name)).collect();
    names.sort();
    let is_complete = |name: &&String| Paths::new(&folder.join(name)).manifest().exists();
    let Some(oldest) = names.iter().rev().filter(is_complete).nth(keep.get() - 1) else { return Ok(0) };
    let old: Vec<_> = names.iter().take_while(|name| *name < oldest).map(|name| folder.join(name)).collect();
    for path in &old {
        fs::remove_dir_all(path).map_err(|error| BackupError::from_io(path, error))?;
    }
    Ok(old.len())
}

fn is_dated(name: &str) -> bool {
    let Some((date, time)) = name.split_once('T') else { return false };
    format!("{date}T{}", time.replace('-', ":")).parse().is_ok_and(|at| dated_name(at) == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_complete_backups_stay_and_everything_that_is_none() {
        let work = tempfile::tempdir().expect("a folder");
        let day = |number: i64| dated_name(Timestamp::from_millis(1_767_225_600_000 + number * 86_400_000));
        assert_eq!(day(0), "2026-01-01T00-00-00.000Z");
        let make = |name: &str, is_complete: bool| {
            fs::create_dir_all(work.path().join(name).join("blobs")).expect("a folder");
            if is_complete {
                fs::write(work.path().join(name).join("backup.json"), "{}").expect("a file");
            }
        };
        for (number, is_complete) in [(0, true), (1, false), (2, true), (3, false), (4, true), (5, false)] {
            make(&day(number), is_complete);
        }
        for other in ["by-hand", "2026-01-01", "2026-01-01T00:00:00.000Z", "2026-01-01T00-00-00Z"] {
            make(other, true);
        }
        let keep = |number| NonZero::new(number).expect("not zero");
        let left = || (0..6).filter(|number| work.path().join(day(*number)).exists()).collect::<Vec<_>>();
        assert_eq!(prune(work.path(), keep(4)).expect("it is read"), 0, "there are three");
        assert_eq!(prune(work.path(), keep(2)).expect("it is read"), 2);
        assert_eq!(left(), [2, 3, 4, 5]);
        assert_eq!(prune(work.path(), keep(2)).expect("it is read"), 0);
        assert!(work.path().join("by-hand").exists() && work.path().join("2026-01-01").exists());
        assert_eq!(fs::read_dir(work.path()).expect("a folder").count(), 8);
    }
}
