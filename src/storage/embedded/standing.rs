//! A data folder seen from outside, without taking it: whoever serves from it goes on undisturbed.

use std::{fs, io, path::Path};

use rustix::fs::statvfs;

use super::{
    folder::{FORMAT_LIMIT, FORMAT_VERSION, require_own},
    open_error::OpenError,
    paths::Paths,
};

/// What a data folder is, as far as can be seen without taking it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FolderStanding {
    /// What it says of its format; `None` where nothing is there yet.
    pub format: Option<String>,
    /// Whether this version writes that format.
    pub is_current: bool,
    /// Bytes that can still be written.
    pub free_bytes: u64,
}

impl FolderStanding {
    /// Looks at the folder.
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
        // What is not there will be on the disk of the folder that it will be in.
        let there = folder.ancestors().find(|path| path.exists()).unwrap_or(Path::new("."));
        let disk = statvfs(there)?;
        Ok(Self { format, is_current, free_bytes: disk.f_bavail.saturating_mul(disk.f_frsize) })
    }

    /// Refuses a folder that no data folder can be made of, since other things are in it.
    pub fn require_own(folder: &Path) -> Result<(), OpenError> {
        require_own(&Paths::new(folder))
    }

    /// Refuses a folder that is not there, and one of another format than this version writes.
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
