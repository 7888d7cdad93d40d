//! Takes a backup of a folder, which may be served from meanwhile.

use std::{fs, io, path::Path};

use larder_runtime::clock::Clock;

use crate::embedded::{
    blob_deletion::Hold,
    folder::{Paths, create_folders_durably},
    folder_status::{FolderStanding, note_backup},
    index::save,
    io_error::OpenError,
    permissions::new_file,
};

use super::{
    error::BackupError,
    manifest::Manifest,
    staging::{Parcel, hash_of, sync_file},
};

/// Takes a backup of the data folder `folder` in the new folder `target`: all objects as of one instant, and the files
/// named `beside`, if they exist. Then verifies all of it; calls `tell` with the key and the damage of each damaged
/// object. Blocks for as long as the disks take; a process that serves from the folder goes on.
///
/// # Errors
/// If `target` exists, if the folder has another format than this version's, if the disk is full, or if data in the
/// folder is damaged. Then there is no backup, and the partial copy is removed.
pub fn back_up(
    folder: &Path,
    target: &Path,
    beside: &[&str],
    clock: &dyn Clock,
    tell: impl FnMut(&str, &str),
) -> Result<Manifest, BackupError> {
    FolderStanding::require_current(folder)?;
    let paths = Paths::new(folder);
    let parcel = begin(folder, target)?;
    let hold = paths.hold();
    let hold = Hold::take(&hold).map_err(|error| OpenError::of_file(&hold, error))?;
    let mut manifest = Manifest::begun_at(clock.now());
    let index = parcel.paths().index();
    new_file(&index).map_err(|error| BackupError::of_file(&index, error))?;
    save(&paths.index(), &index).map_err(|error| BackupError::of_index(&paths.index(), &index, error))?;
    sync_file(&index)?;
    parcel.add_files(&paths)?;
    drop(hold);
    for name in beside {
        if let Some(hash) = parcel.add(&paths, name)? {
            manifest.beside.insert((*name).to_owned(), hash);
        }
    }
    let found = parcel.read(tell)?;
    if !found.is_sound() {
        return Err(BackupError::DamagedFolder { count: found.damaged + u64::from(found.is_index_damaged) });
    }
    manifest.objects = found.objects;
    manifest.bytes = found.bytes;
    manifest.index = hash_of(&index)?;
    parcel.settle()?;
    manifest.write(parcel.paths())?;
    parcel.seal();
    if let Err(error) = note_backup(&paths, manifest.taken_at) {
        // The backup is complete all the same; only the metric of its age is missing.
        tracing::warn!(%error, "the backup could not be noted in the data folder");
    }
    Ok(manifest)
}

fn begin(folder: &Path, target: &Path) -> Result<Parcel, BackupError> {
    let failed = |error| BackupError::of_file(target, error);
    match fs::symlink_metadata(target) {
        Ok(_) => return Err(BackupError::Taken { path: target.to_owned() }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(failed(error)),
    }
    let folder = folder.canonicalize().map_err(failed)?;
    let target = std::path::absolute(target).map_err(failed)?;
    let there = target.ancestors().find_map(|path| path.canonicalize().ok());
    if there.is_some_and(|there| there.starts_with(&folder)) {
        return Err(BackupError::Inside { path: target });
    }
    create_folders_durably(&target).map_err(failed)?;
    Parcel::begin(&target, Vec::new(), true)
}
