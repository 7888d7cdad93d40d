//! The data folder: its paths, its lock, its format, and its identity.
//!
//! Data written into a folder that was removed, replaced or unmounted is lost for later starts. So the identity records
//! whether the folder is still the one that was opened.

use std::{
    fs::{self, File, TryLockError},
    io::{self, Write},
    ops::Deref,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::{
        OnceLock,
        atomic::{AtomicBool, Ordering},
    },
};

use crate::error::Error;

use super::{
    index,
    io_error::OpenError,
    permissions::{create_folders, create_inner_folder, create_or_truncate, open_or_create, restrict_permissions},
};

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

    /// Returns the log of the index, with the latest acknowledged changes.
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
#[error("the data folder was removed, moved, replaced or unmounted while it was served from")]
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
                tracing::warn!("the data folder is there again");
            }
            return Ok(());
        };
        if !was_lost {
            tracing::error!(path = %path.display(), "{FolderLost}: this is missing, or not what was opened");
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
