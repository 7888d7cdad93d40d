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
pub fn create_new(path: &Path) -> io::Result<File> {
    open(path, File::options().write(true).create_new(true))
}

/// Opens a file for writing; creates it if it does not exist.
pub fn open_or_create(path: &Path) -> io::Result<File> {
    open(path, File::options().write(true).create(true).truncate(false))
}

/// Creates a file for writing and replaces an existing one.
pub fn create_or_truncate(path: &Path) -> io::Result<File> {
    open(path, File::options().write(true).create(true).truncate(true))
}

/// Copies the bytes of a file into a new one, without a sync.
pub fn copy(from: &Path, to: &Path) -> io::Result<File> {
    let mut source = File::open(from)?;
    let mut target = create_or_truncate(to)?;
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
        Ok(()) if is_shared(path) => add_permissions(path, &fs::metadata(path)?, 0o070),
        other => other,
    }
}

/// Removes the permissions of others, and those of a group that does not share the folder. Corrects all that belongs to
/// our user; a warning lists the rest.
///
/// # Errors
/// If the folder cannot be read.
pub fn restrict_permissions(paths: &Paths) -> io::Result<()> {
    let root = fs::metadata(paths.root())?;
    let denied = if root.mode() & GROUP_WRITES == 0 { NOT_OWNER } else { OTHERS };
    let mut has_others_files = false;
    for entry in fs::read_dir(paths.root())? {
        let entry = entry?;
        if entry.file_name().to_str().is_some_and(Paths::belongs_to_folder) {
            restrict_tree(&entry.path(), denied)?;
        } else {
            has_others_files = true;
        }
    }
    // A folder that has more in it than a data folder may be a user's home.
    if !has_others_files {
        remove_permissions(paths.root(), &root, denied)?;
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
fn restrict_tree(path: &Path, denied: u32) -> io::Result<()> {
    let found = fs::symlink_metadata(path)?;
    if found.is_symlink() {
        return Ok(());
    }
    if found.is_dir() {
        let is_wrong = found.mode() & denied != 0;
        for entry in fs::read_dir(path)? {
            let entry = entry?;
            if is_wrong || entry.file_type()?.is_dir() {
                restrict_tree(&entry.path(), denied)?;
            }
        }
    }
    remove_permissions(path, &found, denied)
}

fn remove_permissions(path: &Path, found: &Metadata, denied: u32) -> io::Result<()> {
    if found.mode() & denied == 0 {
        return Ok(());
    }
    match fs::set_permissions(path, Permissions::from_mode(found.mode() & 0o7777 & !denied)) {
        // It belongs to another user, like the root of a volume, which belongs to root.
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Ok(()),
        other => other,
    }
}

fn add_permissions(path: &Path, found: &Metadata, granted: u32) -> io::Result<()> {
    fs::set_permissions(path, Permissions::from_mode((found.mode() & 0o7777) | granted))
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
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    fs::metadata(parent).is_ok_and(|parent| parent.mode() & GROUP_WRITES != 0)
}
