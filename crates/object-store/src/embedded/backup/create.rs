//! Takes a backup of a folder, which may be served from meanwhile.

use std::{fs, io, path::Path};

use larder_runtime::clock::Clock;

use crate::embedded::{
    blob_deletion::BackupHold,
    folder::{Paths, create_folders_durably},
    folder_status::{FolderStatus, record_backup},
    index::snapshot_into,
    io_error::OpenError,
    permissions::create_new,
};

use super::{
    error::BackupError,
    manifest::Manifest,
    staging::{StagedBackup, hash_of, sync_file},
};

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
    let staged = stage(folder, target)?;
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
        tracing::warn!(%error, "the backup could not be noted in the data folder");
    }
    Ok(manifest)
}

fn stage(folder: &Path, target: &Path) -> Result<StagedBackup, BackupError> {
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
