//! Backups of a data folder, taken while a process serves from it, and their restore and retention.
//!
//! A backup looks like its source, except for the file `format`, so that no process serves from it:
//!
//! ```text
//! backup.json         what is in it, with hashes; written last, so that a backup without it was broken off
//! index.sqlite        the index as it was at one instant
//! blobs/{h}/{n}       every file that it names
//! admin-token         and whatever else the caller keeps beside the engine's own
//! ```
//!
//! 1. Take a shared lock on `backup.lock`. It prevents the deletion of files: the serving process takes the exclusive
//!    lock for each removal, and a start for each orphan.
//! 2. Save the index by `VACUUM INTO`. Its one read is the instant: the backup has all changes acknowledged before it,
//!    and no others.
//! 3. Copy the files that this index names. Files never change once they are published.
//! 4. Sync and read everything again, then write `backup.json`: the commit point.
//!
//! A backup that fails removes its files. After a crash its folder has no `backup.json`, and is rejected. The system
//! releases the lock of a process that dies. Backups run in a process of their own: reasons in `docs/decisions/0010`.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{self, Read},
    num::NonZero,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use larder_runtime::clock::{Clock, Timestamp};

use super::{
    blob_deletion::BackupHold,
    folder::{
        self, FORMAT_VERSION, Paths, create_folders_durably, create_inner_folder, create_new, lock, replace_durably,
        sync_folder, write_format,
    },
    index::{self, connect_reader, snapshot_into},
    inspection::{FolderStatus, IntegrityReport, check_objects, record_backup},
    io_error::{OpenError, is_full, is_index_full},
    rows,
};
use crate::store::BoxError;

/// Takes a backup of the data folder `folder` in the new folder `target`: all objects as of one instant, and the files
/// named `extra_files`, if they exist. Then verifies all of it; calls `report` with the key and the damage of each damaged
/// object. Blocks for as long as the disks take; a process that serves from the folder goes on.
///
/// # Errors
/// If `target` exists, if the folder has another format than this version's, if the disk is full, or if data in the
/// folder is damaged. Then there is no backup, and the partial copy is removed.
pub fn back_up(
    folder: &Path,
    target: &Path,
    extra_files: &[&str],
    clock: &dyn Clock,
    report: impl FnMut(&str, &str),
) -> Result<Manifest, BackupError> {
    FolderStatus::require_current(folder)?;
    let paths = Paths::new(folder);
    let staged = stage_backup(folder, target)?;
    let hold = paths.backup_lock();
    let hold = BackupHold::acquire(&hold).map_err(|error| OpenError::from_io(&hold, error))?;
    let mut manifest = Manifest::new(clock.now());
    let index = staged.paths().index();
    create_new(&index).map_err(|error| BackupError::from_io(&index, error))?;
    snapshot_into(&paths.index(), &index).map_err(|error| BackupError::from_sqlite(&paths.index(), &index, error))?;
    sync_file(&index)?;
    staged.copy_blobs(&paths)?;
    drop(hold);
    for name in extra_files {
        if let Some(hash) = staged.copy_file(&paths, name)? {
            manifest.extra_files.insert((*name).to_owned(), hash);
        }
    }
    let found = staged.verify(report)?;
    if !found.is_sound() {
        return Err(BackupError::DamagedFolder { count: found.damaged + u64::from(found.is_index_damaged) });
    }
    manifest.objects = found.objects;
    manifest.bytes = found.bytes;
    manifest.index = hash_of(&index)?;
    staged.sync()?;
    manifest.write(staged.paths())?;
    staged.commit();
    if let Err(error) = record_backup(&paths, manifest.taken_at) {
        // The backup is complete all the same; only the metric of its age is missing.
        tracing::warn!(%error, "cannot record the backup in the data folder");
    }
    Ok(manifest)
}

fn stage_backup(folder: &Path, target: &Path) -> Result<StagedBackup, BackupError> {
    let failed = |error| BackupError::from_io(target, error);
    match fs::symlink_metadata(target) {
        Ok(_) => return Err(BackupError::TargetExists { path: target.to_owned() }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(failed(error)),
    }
    let folder = folder.canonicalize().map_err(failed)?;
    let target = std::path::absolute(target).map_err(failed)?;
    let there = target.ancestors().find_map(|path| path.canonicalize().ok());
    if there.is_some_and(|there| there.starts_with(&folder)) {
        return Err(BackupError::TargetInside { path: target });
    }
    create_folders_durably(&target).map_err(failed)?;
    StagedBackup::create(&target, Vec::new(), true)
}

/// The folder that the system creates at the root of a disk.
const LOST_AND_FOUND: &str = "lost+found";

/// Restores the backup at `backup` into the data folder `folder`, which must be empty or missing. Reads every copy
/// again and verifies it; calls `report` with the key and the damage of each damaged object. Blocks for as long as the
/// disks take.
///
/// # Errors
/// If the backup is incomplete, damaged or of a format that this version does not know, if the folder is not empty, or
/// if the disk is full. Then nothing is restored, and the partial copy is removed.
pub fn restore(backup: &Path, folder: &Path, mut report: impl FnMut(&str, &str)) -> Result<Manifest, BackupError> {
    let (manifest, from) = (Manifest::read(backup)?, Paths::new(backup));
    let (staged, lock) = stage_restore(folder)?;
    let damaged = |what: String| BackupError::DamagedBackup { what };
    let others = manifest.extra_files.iter().map(|(name, hash)| (name.as_str(), hash));
    for (name, hash) in others.chain([(index::FILE, &manifest.index)]) {
        match staged.copy_file(&from, name)? {
            Some(copied) if copied == *hash => {}
            Some(_) => return Err(damaged(format!("{name} is not what was written"))),
            None => return Err(damaged(format!("{name} is missing"))),
        }
    }
    staged.copy_blobs(&from)?;
    let found = staged.verify(&mut report)?;
    if !found.is_sound() {
        return Err(damaged(format!("{} objects are not what was stored", found.damaged)));
    }
    if (found.objects, found.bytes) != (manifest.objects, manifest.bytes) {
        let (there, said) = (found.objects, manifest.objects);
        return Err(damaged(format!("it contains {there} objects instead of {said}")));
    }
    staged.sync()?;
    let format = staged.paths().format();
    write_format(staged.paths()).map_err(|error| BackupError::from_io(&format, error))?;
    staged.commit();
    drop(lock);
    Ok(manifest)
}

/// Returns an empty folder with access for us alone.
fn stage_restore(folder: &Path) -> Result<(StagedBackup, File), BackupError> {
    let failed = |error| BackupError::from_io(folder, error);
    let created_folder = !folder.exists();
    create_folders_durably(folder).map_err(failed)?;
    let paths = Paths::new(folder);
    let lost_and_found = folder.join(LOST_AND_FOUND);
    let kept = vec![lost_and_found.clone()];
    require_nothing_but(folder, &kept)?;
    let lock = lock(&paths)?;
    // Another process may have taken it meanwhile.
    require_nothing_but(folder, &[lost_and_found, paths.lock()])?;
    Ok((StagedBackup::create(folder, kept, created_folder)?, lock))
}

fn require_nothing_but(folder: &Path, kept: &[PathBuf]) -> Result<(), BackupError> {
    let names = || fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<_>>>();
    let found = names().map_err(|error| BackupError::from_io(folder, error))?;
    if found.iter().all(|path| kept.contains(path)) {
        Ok(())
    } else {
        Err(BackupError::NotEmpty { path: folder.to_owned() })
    }
}

/// Number of files read from the index at a time.
const BLOBS_PER_PAGE: usize = 1000;

/// Bytes hashed at a time.
const BLOCK_BYTES: usize = 256 * 1024;

/// A staged copy of a data folder: not usable before it is sealed, and removed if it never is.
#[derive(Debug)]
pub struct StagedBackup {
    paths: Paths,
    /// Paths that were there before, and stay.
    kept: Vec<PathBuf>,
    created_folder: bool,
    is_committed: bool,
}

impl StagedBackup {
    /// Starts a copy in an existing folder, which is empty except for `kept`; an abandoned copy removes the folder,
    /// too, if it `created_folder`.
    pub fn create(folder: &Path, kept: Vec<PathBuf>, created_folder: bool) -> Result<Self, BackupError> {
        let paths = Paths::new(folder);
        let staged = Self { paths, kept, created_folder, is_committed: false };
        // Created first: found without the last file, it shows that the copy is incomplete.
        create_inner_folder(&staged.paths.blobs())
            .map_err(|error| BackupError::from_io(&staged.paths.blobs(), error))?;
        Ok(staged)
    }

    /// Returns the paths in the copy.
    pub fn paths(&self) -> &Paths {
        &self.paths
    }

    /// Copies the file `name`, and returns its hash; `None` if there is no such file. The copy is durable once the
    /// backup is.
    pub fn copy_file(&self, from: &Paths, name: &str) -> Result<Option<String>, BackupError> {
        let (source, target) = (from.root().join(name), self.paths.root().join(name));
        if !copy(&source, &target)? {
            return Ok(None);
        }
        hash_of(&target).map(Some)
    }

    /// Copies every file that the index in this copy names. A missing one is found when everything is read.
    pub fn copy_blobs(&self, from: &Paths) -> Result<(), BackupError> {
        let index = self.paths.index();
        let failed = |error| BackupError::Folder(OpenError::from_sqlite(&index, error));
        let connection = connect_reader(&index).map_err(failed)?;
        let (mut last, mut open_folder) = (i64::MIN, None);
        loop {
            let page = rows::blobs_after(&connection, last, BLOBS_PER_PAGE).map_err(failed)?;
            let Some(end) = page.last() else { break };
            last = *end;
            for number in page {
                let folder = self.paths.blob_folder(number);
                if open_folder.as_ref() != Some(&folder) {
                    open_folder.take().map_or(Ok(()), |full: PathBuf| sync_names(&full))?;
                    create_inner_folder(&folder).map_err(|error| BackupError::from_io(&folder, error))?;
                    open_folder = Some(folder);
                }
                copy(&from.blob(number), &self.paths.blob(number))?;
            }
        }
        open_folder.map_or(Ok(()), |full| sync_names(&full))?;
        sync_names(&self.paths.blobs())
    }

    /// Reads every object and verifies it, like [`check_integrity`](crate::embedded::check_integrity).
    pub fn verify(&self, report: impl FnMut(&str, &str)) -> Result<IntegrityReport, BackupError> {
        Ok(check_objects(&self.paths, report)?)
    }

    /// Syncs the names of all files, so that one more file can seal the copy.
    pub fn sync(&self) -> Result<(), BackupError> {
        sync_names(self.paths.root())
    }

    /// Keeps the copy.
    pub fn commit(mut self) {
        self.is_committed = true;
    }

    fn remove(&self) -> io::Result<()> {
        for entry in fs::read_dir(self.paths.root())? {
            let path = entry?.path();
            if self.kept.contains(&path) {
                continue;
            }
            if path.symlink_metadata()?.is_dir() { fs::remove_dir_all(path)? } else { fs::remove_file(path)? }
        }
        if self.created_folder { fs::remove_dir(self.paths.root()) } else { Ok(()) }
    }
}

impl Drop for StagedBackup {
    fn drop(&mut self) {
        if !self.is_committed
            && let Err(error) = self.remove()
        {
            tracing::warn!(folder = %self.paths.root().display(), %error, "cannot remove the written file");
        }
    }
}

/// Returns the hash of a file, in hexadecimal digits.
pub fn hash_of(path: &Path) -> Result<String, BackupError> {
    let failed = |error| BackupError::from_io(path, error);
    let mut file = File::open(path).map_err(failed)?;
    let (mut hash, mut block) = (Sha256::new(), vec![0; BLOCK_BYTES]);
    loop {
        match file.read(&mut block).map_err(failed)? {
            0 => break,
            read => hash.update(&block[..read]),
        }
    }
    Ok(hash.finalize().iter().fold(String::new(), |text, byte| format!("{text}{byte:02x}")))
}

/// Copies a file, durably except for its name; returns whether it exists.
fn copy(from: &Path, to: &Path) -> Result<bool, BackupError> {
    match folder::copy(from, to).and_then(|copied| copied.sync_all()) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound && !from.exists() => Ok(false),
        Err(error) => Err(BackupError::from_io(to, error)),
    }
}

/// Syncs the bytes of a file.
pub fn sync_file(path: &Path) -> Result<(), BackupError> {
    File::open(path).and_then(|file| file.sync_all()).map_err(|error| BackupError::from_io(path, error))
}

fn sync_names(folder: &Path) -> Result<(), BackupError> {
    sync_folder(folder).map_err(|error| BackupError::from_io(folder, error))
}

// The manifest of a backup, written last and read first; the names of successive backups, and which of them are kept.

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

/// A failed backup or restore. The source folder is unchanged; the partial copy is removed.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// The data folder cannot be read or created.
    #[error(transparent)]
    Folder(#[from] OpenError),
    /// The path of the backup is in use.
    #[error("{} exists already, and a backup overwrites nothing: choose an absent folder", path.display())]
    TargetExists {
        /// The path.
        path: PathBuf,
    },
    /// The backup would be inside its own source.
    #[error("{} is inside the data folder: choose a folder outside of it, on another disk if possible", path.display())]
    TargetInside {
        /// The path of the backup.
        path: PathBuf,
    },
    /// Stored records are damaged; the caller was told of each.
    #[error(
        "{count} objects in the data folder are damaged: delete or rewrite these records, and then repeat the backup"
    )]
    DamagedFolder {
        /// Number of damaged records.
        count: u64,
    },
    /// There is no backup.
    #[error("{} is no backup", path.display())]
    NoBackup {
        /// The path.
        path: PathBuf,
    },
    /// The backup is incomplete.
    #[error("the backup {} is incomplete: delete it, and restore another one", path.display())]
    Incomplete {
        /// The backup.
        path: PathBuf,
    },
    /// A newer program took it, or an older one in another format.
    #[error("Larder {by} created the backup {}, in a format that this version does not know: restore it with that version", path.display())]
    UnknownFormat {
        /// The backup.
        path: PathBuf,
        /// The version of the program that took it.
        by: String,
    },
    /// The backup differs from what was written.
    #[error("the backup is damaged, and nothing was restored: {what}")]
    DamagedBackup {
        /// The damage.
        what: String,
    },
    /// The folder to restore into is in use.
    #[error("{} is not empty, and a restore overwrites nothing: choose an empty or absent folder", path.display())]
    NotEmpty {
        /// The folder.
        path: PathBuf,
    },
    /// The disk is full.
    #[error("the disk that holds {} is full: free some space, or choose another place", path.display())]
    Full {
        /// The path that could not be written.
        path: PathBuf,
        /// The error below.
        #[source]
        source: BoxError,
    },
    /// Another failure.
    #[error("{} cannot be read or written", path.display())]
    Io {
        /// The path.
        path: PathBuf,
        /// The error below.
        #[source]
        source: BoxError,
    },
}

impl BackupError {
    /// Maps `error` at `path`.
    pub fn from_io(path: &Path, error: io::Error) -> Self {
        let path = path.to_owned();
        if is_full(&error) {
            Self::Full { path, source: error.into() }
        } else {
            Self::Io { path, source: error.into() }
        }
    }

    /// Maps `error`, which occurred when the index at `index` was written to `target`.
    pub fn from_sqlite(index: &Path, target: &Path, error: rusqlite::Error) -> Self {
        if is_index_full(&error) {
            Self::Full { path: target.to_owned(), source: error.into() }
        } else {
            Self::Folder(OpenError::from_sqlite(index, error))
        }
    }
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
