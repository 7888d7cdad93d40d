//! Who may enter a data folder and read what is in it: the user who serves, and the group of the folder if the group may write there.
//!
//! Every file and folder of a data folder or a backup is made here. It is as open as the folder around it, and never to others, so that
//! what a group shares (a volume with `fsGroup`) stays shared, and no umask matters.

use std::{
    fs::{self, DirBuilder, File, Metadata, OpenOptions, Permissions},
    io,
    os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt},
    path::Path,
};

use super::paths::Paths;

/// Permission of the group to write.
const GROUP_WRITES: u32 = 0o020;

/// Permissions of others.
const OTHERS: u32 = 0o007;

/// Permissions of all but the owner.
const NOT_OWNER: u32 = 0o077;

/// Makes a new file for writing.
pub fn new_file(path: &Path) -> io::Result<File> {
    open(path, File::options().write(true).create_new(true))
}

/// Opens a file for writing, which is made if it is not there.
pub fn kept_file(path: &Path) -> io::Result<File> {
    open(path, File::options().write(true).create(true).truncate(false))
}

/// Makes a file for writing, in place of the one that is there.
pub fn replaced_file(path: &Path) -> io::Result<File> {
    open(path, File::options().write(true).create(true).truncate(true))
}

/// Copies the bytes of a file into a new one. The new one is not synced.
pub fn copy(from: &Path, to: &Path) -> io::Result<File> {
    let mut source = File::open(from)?;
    let mut target = replaced_file(to)?;
    io::copy(&mut source, &mut target)?;
    Ok(target)
}

/// Makes a folder, with those above it, for our user alone.
pub fn create_folders(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// Makes a folder in one that is there, as open as that, unless it is there itself.
pub fn create_inner_folder(path: &Path) -> io::Result<()> {
    match DirBuilder::new().mode(0o700).create(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => Ok(()),
        Ok(()) if is_shared(path) => add(path, &fs::metadata(path)?, 0o070),
        other => other,
    }
}

/// Takes from others, and from a group that does not share the folder, what they may do in it. What is there is corrected as far as it is
/// ours; a warning says what others may still enter.
///
/// # Errors
/// When the folder cannot be read.
pub fn correct(paths: &Paths) -> io::Result<()> {
    let root = fs::metadata(paths.root())?;
    let taken = if root.mode() & GROUP_WRITES == 0 { NOT_OWNER } else { OTHERS };
    let mut has_others_files = false;
    for entry in fs::read_dir(paths.root())? {
        let entry = entry?;
        if entry.file_name().to_str().is_some_and(Paths::is_ours) {
            correct_tree(&entry.path(), taken)?;
        } else {
            has_others_files = true;
        }
    }
    // A folder in which there is more than a data folder may be a user's home.
    if !has_others_files {
        take(paths.root(), &root, taken)?;
    }
    if fs::metadata(paths.root())?.mode() & OTHERS != 0 {
        tracing::warn!(
            folder = %paths.root().display(),
            "other users may enter the data folder; make its mode 0700, or give it a folder of its own"
        );
    }
    Ok(())
}

/// Corrects a folder after what is in it, so that a folder whose own mode is right needs no further look.
fn correct_tree(path: &Path, taken: u32) -> io::Result<()> {
    let found = fs::symlink_metadata(path)?;
    if found.is_symlink() {
        return Ok(());
    }
    if found.is_dir() {
        let is_wrong = found.mode() & taken != 0;
        for entry in fs::read_dir(path)? {
            let entry = entry?;
            if is_wrong || entry.file_type()?.is_dir() {
                correct_tree(&entry.path(), taken)?;
            }
        }
    }
    take(path, &found, taken)
}

fn take(path: &Path, found: &Metadata, taken: u32) -> io::Result<()> {
    if found.mode() & taken == 0 {
        return Ok(());
    }
    match fs::set_permissions(path, Permissions::from_mode(found.mode() & 0o7777 & !taken)) {
        // It belongs to another user, as the topmost folder of a volume does to root.
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Ok(()),
        other => other,
    }
}

fn add(path: &Path, found: &Metadata, added: u32) -> io::Result<()> {
    fs::set_permissions(path, Permissions::from_mode((found.mode() & 0o7777) | added))
}

fn open(path: &Path, options: &mut OpenOptions) -> io::Result<File> {
    let file = options.mode(0o600).open(path)?;
    if is_shared(path) {
        let found = file.metadata()?;
        match file.set_permissions(Permissions::from_mode((found.mode() & 0o7777) | 0o060)) {
            // An earlier process of another user in the group made it.
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {}
            other => other?,
        }
    }
    Ok(file)
}

/// Returns whether the group of the folder around `path` may write there.
fn is_shared(path: &Path) -> bool {
    let around = path.parent().filter(|around| !around.as_os_str().is_empty()).unwrap_or(Path::new("."));
    fs::metadata(around).is_ok_and(|around| around.mode() & GROUP_WRITES != 0)
}
