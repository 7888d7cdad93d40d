//! The data folder: its paths, its lock, its format, its identity, and access to it.
//!
//! Data written into a folder that was removed, replaced or unmounted is lost for later starts. So the identity records
//! whether the folder is still the one that was opened.

use std::{
    fs::{self, DirBuilder, File, Metadata, OpenOptions, Permissions, TryLockError},
    io::{self, Write},
    ops::Deref,
    os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
    sync::{
        OnceLock,
        atomic::{AtomicBool, Ordering},
    },
};

use super::{index, io_error::OpenError};
use crate::store::Error;

/// The first line of the file `format`.
const FORMAT_TITLE: &str = "larder data folder";
/// Format version that this code writes, the first one.
pub const FORMAT_VERSION: &str = "version 1";
/// Maximum number of bytes read of a file `format`.
pub const FORMAT_LIMIT: usize = 200;

/// A data folder in a known format, locked by this process until it is dropped.
#[derive(Debug)]
pub struct Folder {
    paths: Paths,
    _lock: File,
    /// Unknown until the index is open.
    identity: OnceLock<Identity>,
}

impl Folder {
    /// Locks the folder at `root`, and creates it if necessary.
    pub fn open(root: &Path) -> Result<Self, OpenError> {
        let paths = Paths::new(root);
        if paths.manifest().exists() && !paths.format().exists() {
            return Err(OpenError::IsBackup { folder: root.to_owned() });
        }
        reject_foreign(&paths)?;
        create_folders_durably(root).map_err(|error| OpenError::from_io(root, error))?;
        let folder = Self { _lock: lock(&paths)?, paths, identity: OnceLock::new() };
        folder.check_format()?;
        restrict_permissions(&folder.paths).map_err(|error| OpenError::from_io(root, error))?;
        for inner in [folder.blobs(), folder.temp()] {
            create_inner_folder(&inner).map_err(|error| OpenError::from_io(&inner, error))?;
        }
        sync_folder(root).map_err(|error| OpenError::from_io(root, error))?;
        folder.check_index()?;
        Ok(folder)
    }

    /// Records the identity of the folder, once its index is open for writing.
    pub fn record_identity(&self) -> Result<(), OpenError> {
        let identity = Identity::record(&self.paths).map_err(|error| OpenError::from_io(self.root(), error))?;
        self.identity.get_or_init(|| identity);
        Ok(())
    }

    /// Checks that the folder is still the one that was opened.
    pub fn check(&self) -> Result<(), Error> {
        self.identity.get().map_or(Ok(()), Identity::check)
    }

    /// Checks again if the folder was lost the last time; otherwise it costs nothing.
    pub fn recheck(&self) -> Result<(), Error> {
        self.identity.get().map_or(Ok(()), Identity::recheck)
    }

    /// Reads the format version, or writes it into a new folder.
    fn check_format(&self) -> Result<(), OpenError> {
        let path = self.format();
        let found = match fs::read(&path) {
            Ok(found) => found,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return self.init_format(&path),
            Err(error) => return Err(OpenError::from_io(&path, error)),
        };
        let found = String::from_utf8_lossy(&found[..found.len().min(FORMAT_LIMIT)]).into_owned();
        let mut lines = found.lines();
        match (lines.next(), lines.next()) {
            (Some(FORMAT_TITLE), Some(FORMAT_VERSION)) => Ok(()),
            (title, version) => Err(OpenError::UnknownFormat {
                folder: self.root().to_owned(),
                found: if title == Some(FORMAT_TITLE) { version.unwrap_or_default().to_owned() } else { found },
                known: FORMAT_VERSION.to_owned(),
            }),
        }
    }

    fn init_format(&self, path: &Path) -> Result<(), OpenError> {
        if self.index().exists() || self.blobs().exists() {
            return Err(OpenError::Incomplete { folder: self.root().to_owned(), missing: path.to_owned() });
        }
        self.write_format(path)
    }

    fn write_format(&self, path: &Path) -> Result<(), OpenError> {
        write_format(&self.paths).map_err(|error| OpenError::from_io(path, error))
    }

    /// Rejects files without an index: a new index would make them all orphans.
    fn check_index(&self) -> Result<(), OpenError> {
        let (index, files) = (self.index(), self.blobs());
        let mut entries = fs::read_dir(&files).map_err(|error| OpenError::from_io(&files, error))?;
        if entries.next().is_some() && !index.exists() {
            return Err(OpenError::Incomplete { folder: self.root().to_owned(), missing: index });
        }
        Ok(())
    }
}

impl Deref for Folder {
    type Target = Paths;

    fn deref(&self) -> &Paths {
        &self.paths
    }
}

/// Rejects a folder with other contents that was never a data folder: ours would be scattered among them.
pub fn reject_foreign(paths: &Paths) -> Result<(), OpenError> {
    let of_root = |error| OpenError::from_io(paths.root(), error);
    // A folder with an index holds data, whatever else is in it, and is incomplete.
    if paths.format().exists() || paths.index().exists() {
        return Ok(());
    }
    let entries = match fs::read_dir(paths.root()) {
        Ok(entries) => entries,
        // Taking the folder creates it, or reports that it is missing.
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => return Ok(()),
        Err(error) => return Err(of_root(error)),
    };
    for entry in entries {
        let name = entry.map_err(of_root)?.file_name();
        if !name.to_str().is_some_and(Paths::belongs_to_folder) {
            return Err(OpenError::Foreign { folder: paths.root().to_owned(), found: name.into() });
        }
    }
    Ok(())
}

/// Durably writes the format of this code into a folder.
pub fn write_format(paths: &Paths) -> io::Result<()> {
    replace_durably(&paths.format(), format!("{FORMAT_TITLE}\n{FORMAT_VERSION}\n").as_bytes())
}

/// Replaces a small file so that a crash leaves either all of it or the old one.
pub fn replace_durably(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let draft = path.with_added_extension("new");
    let mut file = create_or_truncate(&draft)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&draft, path)?;
    path.parent().map_or(Ok(()), sync_folder)
}

/// Locks a data folder for this process until the file is dropped.
pub fn lock(paths: &Paths) -> Result<File, OpenError> {
    let path = paths.lock();
    let file = open_or_create(&path).map_err(|error| OpenError::from_io(&path, error))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(OpenError::Locked { folder: paths.root().to_owned() }),
        Err(TryLockError::Error(error)) => Err(OpenError::from_io(&path, error)),
    }
}

/// Creates a folder and its parents for our user alone, and syncs their names: otherwise all data in them could be
/// lost, however well it was synced.
pub fn create_folders_durably(path: &Path) -> io::Result<()> {
    let missing = path.ancestors().take_while(|folder| !folder.as_os_str().is_empty() && !folder.exists()).count();
    create_folders(path)?;
    // An existing folder may come from a process that got no further.
    for folder in path.ancestors().take(missing.max(1)) {
        let around = folder.parent().map(|around| if around.as_os_str().is_empty() { Path::new(".") } else { around });
        match around.map_or(Ok(()), sync_folder) {
            // Its owner will have synced it.
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {}
            other => other?,
        }
    }
    Ok(())
}

/// Syncs the names in a folder.
pub fn sync_folder(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

/// Number of low bits of a file's number that do not select its folder: a folder has this many files.
const FOLDER_BITS: u32 = 12;

/// The paths in a data folder.
#[derive(Debug, Clone)]
pub struct Paths {
    root: PathBuf,
}

impl Paths {
    /// Returns the paths of the folder at `root`.
    pub fn new(root: &Path) -> Self {
        Self { root: root.to_owned() }
    }

    /// Returns the folder itself.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Returns the file with the format version.
    pub fn format(&self) -> PathBuf {
        self.root.join("format")
    }

    /// Returns the manifest of a complete backup; a data folder in use has none.
    pub fn manifest(&self) -> PathBuf {
        self.root.join("backup.json")
    }

    /// Returns the file that is locked while a process serves from the folder.
    pub fn lock(&self) -> PathBuf {
        self.root.join("lock")
    }

    /// Returns the file that is locked while a backup copies files, so that none is deleted.
    pub fn backup_lock(&self) -> PathBuf {
        self.root.join("backup.lock")
    }

    /// Returns the index.
    pub fn index(&self) -> PathBuf {
        self.root.join(index::FILE)
    }

    /// Returns the write-ahead log of the index, with the latest acknowledged changes.
    pub fn wal(&self) -> PathBuf {
        self.root.join(format!("{}-wal", index::FILE))
    }

    /// Returns the file that reserves disk space.
    pub fn reserve(&self) -> PathBuf {
        self.root.join("reserve")
    }

    /// Returns the note on the last backup of this folder.
    pub fn last_backup(&self) -> PathBuf {
        self.root.join("last-backup")
    }

    /// Returns the parent folder of the folders of large objects.
    pub fn blobs(&self) -> PathBuf {
        self.root.join("blobs")
    }

    /// Returns the folder of the large objects that share their upper bits with `number`.
    pub fn blob_folder(&self, number: i64) -> PathBuf {
        self.blobs().join(format!("{:x}", number >> FOLDER_BITS))
    }

    /// Returns the file of the large object `number`.
    pub fn blob(&self, number: i64) -> PathBuf {
        self.blob_folder(number).join(format!("{number:x}"))
    }

    /// Returns the folder of uploads.
    pub fn temp(&self) -> PathBuf {
        self.root.join("temp")
    }

    /// Returns the file of the upload that may become the large object `number`.
    pub fn temp_blob(&self, number: i64) -> PathBuf {
        self.temp().join(format!("{number:x}"))
    }

    /// Returns whether a name in the folder belongs to it: to the engine, to its caller, or to the disk.
    pub fn belongs_to_folder(name: &str) -> bool {
        let name = name.strip_suffix(".new").unwrap_or(name);
        let own = [
            "format",
            "backup.json",
            "lock",
            "backup.lock",
            "reserve",
            "last-backup",
            "blobs",
            "temp",
            "admin-token",
            "lost+found",
        ];
        own.contains(&name)
            || name.strip_prefix(index::FILE).is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
    }

    /// Returns the first and the last number of the files in the folder with this name; `None` for a name that we never
    /// give.
    pub fn numbers_in(name: &str) -> Option<(i64, i64)> {
        let upper = i64::from_str_radix(name, 16).ok().filter(|upper| (0..=i64::MAX >> FOLDER_BITS).contains(upper))?;
        let first = upper << FOLDER_BITS;
        (format!("{upper:x}") == name).then_some((first, first | ((1 << FOLDER_BITS) - 1)))
    }

    /// Returns the number of the large object in the file with this name; `None` for a name that we never give.
    pub fn number_of(name: &str) -> Option<i64> {
        i64::from_str_radix(name, 16).ok().filter(|number| format!("{number:x}") == name)
    }
}

/// The data folder is no longer at its path. Reads and writes fail until it is back, or the process restarts.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the data folder was removed, moved, replaced or unmounted while in use")]
pub struct FolderLost;

/// The essential parts of a data folder, each with its inode.
#[derive(Debug)]
pub struct Identity {
    parts: Vec<(PathBuf, Inode)>,
    is_lost: AtomicBool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Inode {
    device: u64,
    number: u64,
}

impl Identity {
    /// Records the parts of a folder whose index is open for writing.
    pub fn record(paths: &Paths) -> io::Result<Self> {
        let parts = [paths.root().to_owned(), paths.index(), paths.wal(), paths.blobs(), paths.temp()];
        let parts = parts.into_iter().map(|path| inode(&path).map(|inode| (path, inode)));
        Ok(Self { parts: parts.collect::<io::Result<_>>()?, is_lost: AtomicBool::new(false) })
    }

    /// Checks that every part is still in place: a few system calls without disk access.
    pub fn check(&self) -> Result<(), Error> {
        let lost = self.parts.iter().find(|(path, known)| inode(path).ok() != Some(*known));
        let was_lost = self.is_lost.swap(lost.is_some(), Ordering::Relaxed);
        let Some((path, _)) = lost else {
            if was_lost {
                tracing::warn!("the data folder is back");
            }
            return Ok(());
        };
        if !was_lost {
            tracing::error!(path = %path.display(), "{FolderLost}: this is missing or was replaced");
        }
        Err(Error::Unavailable(FolderLost.into()))
    }

    /// Checks again if a part was missing the last time; otherwise it costs nothing.
    pub fn recheck(&self) -> Result<(), Error> {
        if self.is_lost.load(Ordering::Relaxed) { self.check() } else { Ok(()) }
    }
}

fn inode(path: &Path) -> io::Result<Inode> {
    let found = fs::metadata(path)?;
    Ok(Inode { device: found.dev(), number: found.ino() })
}

// Access to a data folder: for the user who serves, and for the folder's group if it has write permission.
//
// Every file and folder of a data folder or a backup is created here. Its mode follows the folder around it, without
// access for others. So a folder shared by a group (a volume with `fsGroup`) stays shared, whatever the umask.

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
            "other users can open the data folder; set its mode to 0700, or use a folder of its own"
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_of_files_names_the_numbers_in_it() {
        assert_eq!(Paths::numbers_in("0"), Some((0, 4095)));
        assert_eq!(Paths::numbers_in("1f"), Some((0x1f000, 0x1_ffff)));
        for strange in ["", "01", "1F", "-1", "+1", "x", "7fffffffffffffff"] {
            assert_eq!(Paths::numbers_in(strange), None, "{strange}");
        }
    }
}
