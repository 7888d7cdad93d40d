//! Access to a data folder: for the user who serves, and for the folder's group if it has write permission.
//!
//! Every file and folder of a data folder or a backup is created here. Its mode follows the folder around it, without
//! access for others. So a folder shared by a group (a volume with `fsGroup`) stays shared, whatever the umask.

use std::{
    fs::{self, DirBuilder, File, Metadata, OpenOptions, Permissions},
    io,
    os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt},
    path::Path,
};

use super::folder::Paths;

/// Write permission of the group.
const GROUP_WRITES: u32 = 0o020;

/// Permissions of others.
const OTHERS: u32 = 0o007;

/// Permissions of all except the owner.
const NOT_OWNER: u32 = 0o077;

/// Creates a new file for writing.
pub fn new_file(path: &Path) -> io::Result<File> {
    open(path, File::options().write(true).create_new(true))
}

/// Opens a file for writing; creates it if it does not exist.
pub fn kept_file(path: &Path) -> io::Result<File> {
    open(path, File::options().write(true).create(true).truncate(false))
}

/// Creates a file for writing and replaces an existing one.
pub fn replaced_file(path: &Path) -> io::Result<File> {
    open(path, File::options().write(true).create(true).truncate(true))
}

/// Copies the bytes of a file into a new one, without a sync.
pub fn copy(from: &Path, to: &Path) -> io::Result<File> {
    let mut source = File::open(from)?;
    let mut target = replaced_file(to)?;
    io::copy(&mut source, &mut target)?;
    Ok(target)
}

/// Creates a folder and its parents for our user alone.
pub fn create_folders(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// Creates a folder in an existing one with the same mode, unless it exists already.
pub fn create_inner_folder(path: &Path) -> io::Result<()> {
    match DirBuilder::new().mode(0o700).create(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => Ok(()),
        Ok(()) if is_shared(path) => add(path, &fs::metadata(path)?, 0o070),
        other => other,
    }
}

/// Removes the permissions of others, and those of a group that does not share the folder. Corrects all that belongs to
/// our user; a warning lists the rest.
///
/// # Errors
/// If the folder cannot be read.
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
    // A folder that has more in it than a data folder may be a user's home.
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

/// Corrects a folder after its contents, so that a folder with the right mode needs no further look.
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
        // It belongs to another user, like the root of a volume, which belongs to root.
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
            // An earlier process of another user in the group created it.
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {}
            other => other?,
        }
    }
    Ok(file)
}

/// Returns whether the group of the folder around `path` may write to it.
fn is_shared(path: &Path) -> bool {
    let around = path.parent().filter(|around| !around.as_os_str().is_empty()).unwrap_or(Path::new("."));
    fs::metadata(around).is_ok_and(|around| around.mode() & GROUP_WRITES != 0)
}
