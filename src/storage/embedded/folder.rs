//! The data folder: who may use it, and what format it is in.

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
/// The version that this code writes, the first one.
pub const FORMAT_VERSION: &str = "version 1";
/// The most bytes read of a file `format`.
pub const FORMAT_LIMIT: usize = 200;

/// A data folder in a format we know, ours alone until this is dropped.
#[derive(Debug)]
pub struct Folder {
    paths: Paths,
    _lock: File,
    /// Unknown until the index is open.
    identity: OnceLock<Identity>,
}

impl Folder {
    /// Takes the folder at `root`, which is made if need be.
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

    /// Remembers what stands in the folder, once its index is open for writing.
    pub fn remember(&self) -> Result<(), OpenError> {
        let identity = Identity::of(&self.paths).map_err(|error| OpenError::of_file(self.root(), error))?;
        self.identity.get_or_init(|| identity);
        Ok(())
    }

    /// Looks whether the folder is still the one that was opened.
    pub fn check(&self) -> Result<(), Error> {
        self.identity.get().map_or(Ok(()), Identity::check)
    }

    /// Looks again if the folder was lost the last time; costs nothing otherwise.
    pub fn recheck(&self) -> Result<(), Error> {
        self.identity.get().map_or(Ok(()), Identity::recheck)
    }

    /// Reads the format's version, and writes it into a folder that has none yet.
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

    /// Refuses files without an index: starting with a new one would take them all for orphans.
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

/// Refuses a folder that has never been a data folder and has other things in it: those would get strewn with ours.
pub fn require_own(paths: &Paths) -> Result<(), OpenError> {
    let of_root = |error| OpenError::of_file(paths.root(), error);
    // One that has an index holds data, whatever else is in it, and is incomplete.
    if paths.format().exists() || paths.index().exists() {
        return Ok(());
    }
    let entries = match fs::read_dir(paths.root()) {
        Ok(entries) => entries,
        // It is made, or said to be none, when it is taken.
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

/// Says durably that a folder has the format that this code writes.
pub fn write_format(paths: &Paths) -> io::Result<()> {
    replace_durably(&paths.format(), format!("{FORMAT_TITLE}\n{FORMAT_VERSION}\n").as_bytes())
}

/// Writes a small file so that after a crash there is either the whole of it or what was there before.
pub fn replace_durably(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let draft = path.with_added_extension("new");
    let mut file = replaced_file(&draft)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&draft, path)?;
    path.parent().map_or(Ok(()), sync_folder)
}

/// Takes a data folder for this process alone, until the file is dropped.
pub fn lock(paths: &Paths) -> Result<File, OpenError> {
    let path = paths.lock();
    let file = kept_file(&path).map_err(|error| OpenError::of_file(&path, error))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(OpenError::Locked { folder: paths.root().to_owned() }),
        Err(TryLockError::Error(error)) => Err(OpenError::of_file(&path, error)),
    }
}

/// Makes a folder, with those above it, for our user alone, and makes their own names durable: else all that is in them could be lost, however well it was synced.
pub fn create_folders_durably(path: &Path) -> io::Result<()> {
    let missing = path.ancestors().take_while(|folder| !folder.as_os_str().is_empty() && !folder.exists()).count();
    create_folders(path)?;
    // What was there already may be the work of a process that came no further than that.
    for folder in path.ancestors().take(missing.max(1)) {
        let around = folder.parent().map(|around| if around.as_os_str().is_empty() { Path::new(".") } else { around });
        match around.map_or(Ok(()), sync_folder) {
            // Whose it is will have made it durable.
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {}
            other => other?,
        }
    }
    Ok(())
}

/// Makes the names in a folder durable.
pub fn sync_folder(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}
