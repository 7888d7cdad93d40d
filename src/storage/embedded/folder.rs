//! The data folder: who may use it, what format it is in, and where in it everything stands.

use std::{
    fs::{self, File, TryLockError},
    io::{self, Write},
    path::{Path, PathBuf},
};

use super::{index, open_error::OpenError};

/// The first line of the file `format`.
const FORMAT_TITLE: &str = "larder data folder";
/// The version that this code writes.
pub const FORMAT_VERSION: &str = "version 2";
/// An older version, whose index is brought up to date when it is opened.
const FORMAT_VERSION_1: &str = "version 1";
/// The most bytes read of a file `format`.
pub const FORMAT_LIMIT: usize = 200;
/// How many low bits of a file's number do not count for its folder: so many files stand in one.
const FOLDER_BITS: u32 = 12;

/// A data folder in a format we know, ours alone until this is dropped.
#[derive(Debug)]
pub struct Folder {
    root: PathBuf,
    _lock: File,
}

impl Folder {
    /// Takes the folder at `root`, which is made if need be.
    pub fn open(root: &Path) -> Result<Self, OpenError> {
        create_folders_durably(root).map_err(|error| OpenError::of_file(root, error))?;
        let folder = Self { root: root.to_owned(), _lock: lock(root)? };
        folder.check_format()?;
        for inner in [folder.files(), folder.temp()] {
            create_folders(&inner).map_err(|error| OpenError::of_file(&inner, error))?;
        }
        sync_folder(root).map_err(|error| OpenError::of_file(root, error))?;
        folder.check_index()?;
        Ok(folder)
    }

    /// The index.
    pub fn index(&self) -> PathBuf {
        self.root.join(index::FILE)
    }

    /// The file that sets room aside.
    pub fn reserve(&self) -> PathBuf {
        self.root.join("reserve")
    }

    /// The folder of folders of large objects.
    pub fn files(&self) -> PathBuf {
        self.root.join("files")
    }

    /// The folder of the large objects that share their upper bits with `number`.
    pub fn files_around(&self, number: i64) -> PathBuf {
        self.files().join(format!("{:x}", number >> FOLDER_BITS))
    }

    /// The large object `number`.
    pub fn file(&self, number: i64) -> PathBuf {
        self.files_around(number).join(format!("{number:x}"))
    }

    /// The folder of uploads.
    pub fn temp(&self) -> PathBuf {
        self.root.join("temp")
    }

    /// The upload that may become the large object `number`.
    pub fn upload(&self, number: i64) -> PathBuf {
        self.temp().join(format!("{number:x}"))
    }

    /// The first and the last number whose files stand in the folder of this name; `None` for a name we never give.
    pub fn numbers_in(name: &str) -> Option<(i64, i64)> {
        let upper = i64::from_str_radix(name, 16).ok().filter(|upper| (0..=i64::MAX >> FOLDER_BITS).contains(upper))?;
        let first = upper << FOLDER_BITS;
        (format!("{upper:x}") == name).then_some((first, first | ((1 << FOLDER_BITS) - 1)))
    }

    /// Reads the format's version, and writes it into a folder that has none yet.
    fn check_format(&self) -> Result<(), OpenError> {
        let path = self.root.join("format");
        let found = match fs::read(&path) {
            Ok(found) => found,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return self.begin_format(&path),
            Err(error) => return Err(OpenError::of_file(&path, error)),
        };
        let found = String::from_utf8_lossy(&found[..found.len().min(FORMAT_LIMIT)]).into_owned();
        let mut lines = found.lines();
        match (lines.next(), lines.next()) {
            (Some(FORMAT_TITLE), Some(FORMAT_VERSION)) => Ok(()),
            // Said before it is done, so that a program that knows the old version alone keeps away from now on.
            (Some(FORMAT_TITLE), Some(FORMAT_VERSION_1)) => self.write_format(&path),
            (title, version) => Err(OpenError::UnknownFormat {
                folder: self.root.clone(),
                found: if title == Some(FORMAT_TITLE) { version.unwrap_or_default().to_owned() } else { found },
                known: FORMAT_VERSION.to_owned(),
            }),
        }
    }

    fn begin_format(&self, path: &Path) -> Result<(), OpenError> {
        if self.index().exists() || self.files().exists() {
            return Err(OpenError::Incomplete { folder: self.root.clone(), missing: path.to_owned() });
        }
        self.write_format(path)
    }

    fn write_format(&self, path: &Path) -> Result<(), OpenError> {
        let draft = self.root.join("format.new");
        let write = || {
            let mut file = File::create(&draft)?;
            writeln!(file, "{FORMAT_TITLE}\n{FORMAT_VERSION}")?;
            file.sync_all()?;
            fs::rename(&draft, path)?;
            sync_folder(&self.root)
        };
        write().map_err(|error| OpenError::of_file(path, error))
    }

    /// Refuses files without an index: starting with a new one would take them all for orphans.
    fn check_index(&self) -> Result<(), OpenError> {
        let (index, files) = (self.index(), self.files());
        let mut entries = fs::read_dir(&files).map_err(|error| OpenError::of_file(&files, error))?;
        if entries.next().is_some() && !index.exists() {
            return Err(OpenError::Incomplete { folder: self.root.clone(), missing: index });
        }
        Ok(())
    }
}

fn lock(root: &Path) -> Result<File, OpenError> {
    let path = root.join("lock");
    let file = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&path)
        .map_err(|error| OpenError::of_file(&path, error))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(OpenError::Locked { folder: root.to_owned() }),
        Err(TryLockError::Error(error)) => Err(OpenError::of_file(&path, error)),
    }
}

/// Makes a folder, with those above it, for our user alone: what stands in it is other people's data.
pub fn create_folders(path: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path)
}

/// The same, and makes their own names durable: else all that is in them could be lost, however well it was synced.
fn create_folders_durably(path: &Path) -> io::Result<()> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_of_files_names_the_numbers_in_it() {
        assert_eq!(Folder::numbers_in("0"), Some((0, 4095)));
        assert_eq!(Folder::numbers_in("1f"), Some((0x1f000, 0x1_ffff)));
        for strange in ["", "01", "1F", "-1", "+1", "x", "7fffffffffffffff"] {
            assert_eq!(Folder::numbers_in(strange), None, "{strange}");
        }
    }
}
