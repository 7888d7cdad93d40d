//! Status of a data folder without locking it: a process that serves from it is not disturbed.

use std::{fs, io, path::Path};

use rustix::fs::statvfs;

use super::{
    folder::{FORMAT_LIMIT, FORMAT_VERSION, require_own},
    open_error::OpenError,
    paths::Paths,
};

/// Status of a data folder, as far as it can be read without the lock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FolderStanding {
    /// Its format text; `None` in an empty place.
    pub format: Option<String>,
    /// True if this version writes that format.
    pub is_current: bool,
    /// Free bytes of its disk.
    pub free_bytes: u64,
}

impl FolderStanding {
    /// Reads the status of the folder.
    pub fn of(folder: &Path) -> io::Result<Self> {
        let format = match fs::read(folder.join("format")) {
            Ok(said) => {
                let said = String::from_utf8_lossy(&said[..said.len().min(FORMAT_LIMIT)]).into_owned();
                Some(said.lines().nth(1).unwrap_or_default().to_owned())
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(error),
        };
        let is_current = format.as_deref() == Some(FORMAT_VERSION);
        // A missing folder will be on the disk of its closest existing parent.
        let there = folder.ancestors().find(|path| path.exists()).unwrap_or(Path::new("."));
        let disk = statvfs(there)?;
        Ok(Self { format, is_current, free_bytes: disk.f_bavail.saturating_mul(disk.f_frsize) })
    }

    /// Rejects a folder with other contents, which cannot become a data folder.
    pub fn require_own(folder: &Path) -> Result<(), OpenError> {
        require_own(&Paths::new(folder))
    }

    /// Rejects a missing folder, and one with another format than this version writes.
    pub fn require_current(folder: &Path) -> Result<(), OpenError> {
        let standing = Self::of(folder).map_err(|error| OpenError::of_file(folder, error))?;
        match standing.format {
            Some(_) if standing.is_current => Ok(()),
            Some(found) => {
                Err(OpenError::UnknownFormat { folder: folder.to_owned(), found, known: FORMAT_VERSION.to_owned() })
            }
            None => Err(OpenError::of_file(&folder.join("format"), io::ErrorKind::NotFound.into())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_seen_without_being_made() {
        let parent = tempfile::tempdir().expect("a folder");
        let folder = parent.path().join("data");
        let standing = FolderStanding::of(&folder).expect("its parent is there");
        assert!(standing.format.is_none() && !standing.is_current && standing.free_bytes > 0);
        assert!(!folder.exists());
        fs::create_dir(&folder).expect("a folder");
        fs::write(folder.join("format"), "larder data folder\nversion 2\n").expect("a file");
        let standing = FolderStanding::of(&folder).expect("it is there");
        assert_eq!(standing.format.as_deref(), Some("version 2"));
        assert!(!standing.is_current);
    }
}
