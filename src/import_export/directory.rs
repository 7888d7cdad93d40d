//! Folders that others may have written into: exports, unpacked archives, storage folders.
//!
//! Every entry is reached by one [`FileName`] beneath an open [`Directory`], and no link is followed. The kernel never
//! resolves a path that a server or an archive contributed to, so that no file outside the folder can be addressed.

use std::{
    borrow::Cow,
    ffi::{OsStr, OsString},
    fmt,
    fs::{DirBuilder, File},
    io::Write,
    os::{
        fd::OwnedFd,
        unix::{
            ffi::OsStringExt,
            fs::{DirBuilderExt, MetadataExt},
        },
    },
    path::{Path, PathBuf},
    sync::Arc,
};

use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags, Stat, mkdirat, openat, renameat, statat, unlinkat};
use serde::{Deserialize, Serialize};

use super::error::{Error, Result};

/// Mode of new files: exports hold records that the public may not read.
const FILE_MODE: Mode = Mode::RUSR.union(Mode::WUSR);

/// Mode of new folders.
const FOLDER_MODE: Mode = Mode::RWXU;

/// Flags of every call that opens an entry. Opening a named pipe does not block.
const OPEN_FLAGS: OFlags = OFlags::NOFOLLOW.union(OFlags::CLOEXEC).union(OFlags::NONBLOCK);

/// Reason for not reading a link.
pub const SYMLINK_NOT_FOLLOWED: &str = "is a symbolic link, which is not followed";

/// Reason for not reading a folder, a pipe or a device.
pub const NOT_A_FILE: &str = "is not a file";

/// Name of an entry of a folder: one path component, which is neither the folder itself nor its parent.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub struct FileName(Cow<'static, str>);

/// Error for a text that is not the name of an entry of a folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a valid file name")]
pub struct InvalidFileName;

/// An open folder.
#[derive(Debug, Clone)]
pub struct Directory {
    handle: Arc<OwnedFd>,
    /// Path by which it was opened, for messages.
    path: PathBuf,
}

impl FileName {
    /// Returns a name that is a constant of the program.
    pub const fn fixed(name: &'static str) -> Self {
        Self(Cow::Borrowed(name))
    }

    /// Returns the text of the name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the name with `suffix` appended. The suffix must not contain a separator.
    #[must_use]
    pub fn with_suffix(&self, suffix: &'static str) -> Self {
        Self(Cow::Owned(format!("{}{suffix}", self.0)))
    }
}

impl TryFrom<String> for FileName {
    type Error = InvalidFileName;

    /// Rejects separators of any system, NUL, the empty name and all that begins with two dots.
    fn try_from(text: String) -> std::result::Result<Self, InvalidFileName> {
        let is_special = matches!(text.as_str(), "" | ".") || text.starts_with("..");
        let has_separator = text.contains(['/', '\\', '\0']);
        if is_special || has_separator { Err(InvalidFileName) } else { Ok(Self(Cow::Owned(text))) }
    }
}

impl fmt::Display for FileName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Directory {
    /// Opens the folder at `path`. The user gave the path, so links in it are followed.
    pub fn open(path: &Path) -> Result<Self> {
        let flags = OFlags::DIRECTORY | OFlags::CLOEXEC;
        let handle = openat(CWD, path, flags, Mode::empty()).map_err(|error| Error::at_path(path)(error.into()))?;
        Ok(Self { handle: Arc::new(handle), path: path.to_owned() })
    }

    /// Opens the folder at `path`; creates it, for the user alone, if it does not exist.
    pub fn open_or_create(path: &Path) -> Result<Self> {
        DirBuilder::new().recursive(true).mode(FOLDER_MODE.bits()).create(path).map_err(Error::at_path(path))?;
        Self::open(path)
    }

    /// Opens the parent folder of the file at `path`; returns it with the name of the file.
    pub fn parent_of(path: &Path) -> Result<(Self, FileName)> {
        let name = path.file_name().and_then(OsStr::to_str).map(str::to_owned);
        let Some(name) = name.and_then(|name| FileName::try_from(name).ok()) else {
            return Err(Error::Invalid(format!("{} is not the path of a file", path.display())));
        };
        let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
        Ok((Self::open(parent.unwrap_or(Path::new(".")))?, name))
    }

    /// Returns the path of an entry, for messages.
    pub fn path_of(&self, name: &FileName) -> PathBuf {
        self.path.join(name.as_str())
    }

    /// Opens a folder in this one.
    pub fn folder(&self, name: &FileName) -> Result<Self> {
        let flags = OPEN_FLAGS | OFlags::DIRECTORY;
        let handle =
            openat(&*self.handle, name.as_str(), flags, Mode::empty()).map_err(|error| self.io_error(name, error))?;
        Ok(Self { handle: Arc::new(handle), path: self.path_of(name) })
    }

    /// Opens a folder in this one; creates it if it does not exist.
    pub fn open_or_create_folder(&self, name: &FileName) -> Result<Self> {
        match mkdirat(&*self.handle, name.as_str(), FOLDER_MODE) {
            Ok(()) | Err(rustix::io::Errno::EXIST) => self.folder(name),
            Err(error) => Err(self.io_error(name, error)),
        }
    }

    /// Opens a file for reading.
    pub fn read(&self, name: &FileName) -> Result<File> {
        self.open_file(name, OFlags::RDONLY)
            .map_err(|error| self.io_error(name, error))
            .and_then(|file| self.require_file(name, file))
    }

    /// Creates a file. Any entry of that name is removed first and never written to: it may be a link, or have another
    /// name elsewhere.
    pub fn create(&self, name: &FileName) -> Result<File> {
        match unlinkat(&*self.handle, name.as_str(), AtFlags::empty()) {
            Ok(()) | Err(rustix::io::Errno::NOENT) => {}
            Err(error) => return Err(self.io_error(name, error)),
        }
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL;
        self.open_file(name, flags).map_err(|error| self.io_error(name, error))
    }

    /// Opens a file for reading and appending; creates it if it does not exist.
    pub fn append(&self, name: &FileName) -> Result<File> {
        let flags = OFlags::RDWR | OFlags::APPEND | OFlags::CREATE;
        let file = self.open_file(name, flags).map_err(|error| self.io_error(name, error))?;
        let file = self.require_file(name, file)?;
        let links = file.metadata().map_err(Error::at_path(&self.path_of(name)))?.nlink();
        if links == 1 {
            Ok(file)
        } else {
            Err(self.invalid_entry(name, "has more than one hard link, and is not written to"))
        }
    }

    /// Replaces a small file atomically.
    pub fn replace(&self, name: &FileName, bytes: &[u8]) -> Result<()> {
        let partial = name.with_suffix(".partial");
        let mut file = self.create(&partial)?;
        file.write_all(bytes).and_then(|()| file.sync_all()).map_err(Error::at_path(&self.path_of(&partial)))?;
        self.rename(&partial, name)
    }

    /// Renames an entry, and replaces any entry of the new name.
    pub fn rename(&self, from: &FileName, to: &FileName) -> Result<()> {
        renameat(&*self.handle, from.as_str(), &*self.handle, to.as_str()).map_err(|error| self.io_error(to, error))
    }

    /// Removes a file.
    pub fn remove(&self, name: &FileName) -> Result<()> {
        unlinkat(&*self.handle, name.as_str(), AtFlags::empty()).map_err(|error| self.io_error(name, error))
    }

    /// Returns whether an entry of that name exists.
    pub fn has(&self, name: &FileName) -> bool {
        self.kind_of(name).is_ok()
    }

    /// Returns whether the entry is a folder, and not a link to one.
    pub fn has_folder(&self, name: &FileName) -> bool {
        self.kind_of(name).is_ok_and(|kind| kind == FileType::Directory)
    }

    /// Returns whether the entry is a file, and not a link to one.
    pub fn has_file(&self, name: &FileName) -> bool {
        self.kind_of(name).is_ok_and(|kind| kind == FileType::RegularFile)
    }

    /// Returns the length of a file, without opening it. An entry that is no file gives the same error as
    /// [`Directory::read`].
    pub fn file_length(&self, name: &FileName) -> Result<u64> {
        let found = self.stat(name).map_err(|error| self.io_error(name, error))?;
        match FileType::from_raw_mode(found.st_mode) {
            FileType::RegularFile => Ok(u64::try_from(found.st_size).unwrap_or(0)),
            FileType::Symlink => Err(self.invalid_entry(name, SYMLINK_NOT_FOLLOWED)),
            _ => Err(self.invalid_entry(name, NOT_A_FILE)),
        }
    }

    /// Returns the names of all entries of the folder, sorted.
    pub fn names(&self) -> Result<Vec<OsString>> {
        let failed = |error: rustix::io::Errno| Error::at_path(&self.path)(error.into());
        let mut names = Vec::new();
        for entry in Dir::read_from(&*self.handle).map_err(failed)? {
            let name = entry.map_err(failed)?.file_name().to_bytes().to_vec();
            if name != b"." && name != b".." {
                names.push(OsString::from_vec(name));
            }
        }
        names.sort();
        Ok(names)
    }

    /// Returns the path by which the folder was opened, for messages.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Makes the entries of the folder durable.
    pub fn sync(&self) -> Result<()> {
        rustix::fs::fsync(&*self.handle).map_err(|error| Error::at_path(&self.path)(error.into()))
    }

    /// Makes everything on the folder's file system durable: one call instead of one for each file.
    pub fn sync_disk(&self) -> Result<()> {
        sync_disk(&self.handle).map_err(|error| Error::at_path(&self.path)(error.into()))
    }

    fn open_file(&self, name: &FileName, flags: OFlags) -> rustix::io::Result<File> {
        openat(&*self.handle, name.as_str(), OPEN_FLAGS | flags, FILE_MODE).map(File::from)
    }

    fn require_file(&self, name: &FileName, file: File) -> Result<File> {
        let is_file = file.metadata().map_err(Error::at_path(&self.path_of(name)))?.is_file();
        if is_file { Ok(file) } else { Err(self.invalid_entry(name, NOT_A_FILE)) }
    }

    fn kind_of(&self, name: &FileName) -> rustix::io::Result<FileType> {
        Ok(FileType::from_raw_mode(self.stat(name)?.st_mode))
    }

    fn stat(&self, name: &FileName) -> rustix::io::Result<Stat> {
        statat(&*self.handle, name.as_str(), AtFlags::SYMLINK_NOFOLLOW)
    }

    fn io_error(&self, name: &FileName, error: rustix::io::Errno) -> Error {
        let is_link = self.kind_of(name).is_ok_and(|kind| kind == FileType::Symlink);
        if is_link {
            return self.invalid_entry(name, SYMLINK_NOT_FOLLOWED);
        }
        Error::at_path(&self.path_of(name))(error.into())
    }

    fn invalid_entry(&self, name: &FileName, what: &'static str) -> Error {
        Error::invalid_file(self.path_of(name), what)
    }
}

#[cfg(target_os = "linux")]
fn sync_disk(folder: &OwnedFd) -> rustix::io::Result<()> {
    rustix::fs::syncfs(folder)
}

#[cfg(not(target_os = "linux"))]
fn sync_disk(_folder: &OwnedFd) -> rustix::io::Result<()> {
    rustix::fs::sync();
    Ok(())
}
