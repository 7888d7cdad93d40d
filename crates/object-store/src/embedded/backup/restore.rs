//! Restores a data folder from a backup.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

use crate::embedded::{
    folder::{Paths, create_folders_durably, lock, write_format},
    index,
};

use super::{error::BackupError, manifest::Manifest, staging::StagedBackup};

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
    let (staged, lock) = stage(folder)?;
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
        return Err(damaged(format!("it has {there} objects, and says that it has {said}")));
    }
    staged.sync()?;
    let format = staged.paths().format();
    write_format(staged.paths()).map_err(|error| BackupError::from_io(&format, error))?;
    staged.commit();
    drop(lock);
    Ok(manifest)
}

/// Returns an empty folder with access for us alone.
fn stage(folder: &Path) -> Result<(StagedBackup, File), BackupError> {
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
