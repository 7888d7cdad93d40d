//! The data folder: its lock and its format.

use std::{
    fs::{self, File, TryLockError},
    io::{self, Write},
    ops::Deref,
    path::Path,
    sync::OnceLock,
};

use super::{
    super::error::Error,
    access::{correct, create_folders, create_inner_folder, kept_file, replaced_file},
    identity::Identity,
    open_error::OpenError,
    paths::Paths,
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
        require_own(&paths)?;
        create_folders_durably(root).map_err(|error| OpenError::of_file(root, error))?;
        let folder = Self { _lock: lock(&paths)?, paths, identity: OnceLock::new() };
        folder.check_format()?;
        correct(&folder.paths).map_err(|error| OpenError::of_file(root, error))?;
        for inner in [folder.files(), folder.temp()] {
            create_inner_folder(&inner).map_err(|error| OpenError::of_file(&inner, error))?;
        }
        sync_folder(root).map_err(|error| OpenError::of_file(root, error))?;
        folder.check_index()?;
        Ok(folder)
    }

    /// Records the identity of the folder, once its index is open for writing.
    pub fn remember(&self) -> Result<(), OpenError> {
        let identity = Identity::of(&self.paths).map_err(|error| OpenError::of_file(self.root(), error))?;
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
            Err(error) if error.kind() == io::ErrorKind::NotFound => return self.begin_format(&path),
            Err(error) => return Err(OpenError::of_file(&path, error)),
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

    fn begin_format(&self, path: &Path) -> Result<(), OpenError> {
        if self.index().exists() || self.files().exists() {
            return Err(OpenError::Incomplete { folder: self.root().to_owned(), missing: path.to_owned() });
        }
        self.write_format(path)
    }

    fn write_format(&self, path: &Path) -> Result<(), OpenError> {
        write_format(&self.paths).map_err(|error| OpenError::of_file(path, error))
    }

    /// Rejects files without an index: a new index would make them all orphans.
    fn check_index(&self) -> Result<(), OpenError> {
        let (index, files) = (self.index(), self.files());
        let mut entries = fs::read_dir(&files).map_err(|error| OpenError::of_file(&files, error))?;
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
pub fn require_own(paths: &Paths) -> Result<(), OpenError> {
    let of_root = |error| OpenError::of_file(paths.root(), error);
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
        if !name.to_str().is_some_and(Paths::is_ours) {
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
    let mut file = replaced_file(&draft)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&draft, path)?;
    path.parent().map_or(Ok(()), sync_folder)
}

/// Locks a data folder for this process until the file is dropped.
pub fn lock(paths: &Paths) -> Result<File, OpenError> {
    let path = paths.lock();
    let file = kept_file(&path).map_err(|error| OpenError::of_file(&path, error))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(OpenError::Locked { folder: paths.root().to_owned() }),
        Err(TryLockError::Error(error)) => Err(OpenError::of_file(&path, error)),
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
