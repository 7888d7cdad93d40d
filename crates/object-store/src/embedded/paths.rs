//! Paths in a data folder. Only names: nothing is opened here.

use std::path::{Path, PathBuf};

use super::index;

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
    pub fn hold(&self) -> PathBuf {
        self.root.join("backup.lock")
    }

    /// Returns the index.
    pub fn index(&self) -> PathBuf {
        self.root.join(index::FILE)
    }

    /// Returns the log of the index, with the latest acknowledged changes.
    pub fn log(&self) -> PathBuf {
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
    pub fn files(&self) -> PathBuf {
        self.root.join("blobs")
    }

    /// Returns the folder of the large objects that share their upper bits with `number`.
    pub fn files_around(&self, number: i64) -> PathBuf {
        self.files().join(format!("{:x}", number >> FOLDER_BITS))
    }

    /// Returns the file of the large object `number`.
    pub fn file(&self, number: i64) -> PathBuf {
        self.files_around(number).join(format!("{number:x}"))
    }

    /// Returns the folder of uploads.
    pub fn temp(&self) -> PathBuf {
        self.root.join("temp")
    }

    /// Returns the file of the upload that may become the large object `number`.
    pub fn upload(&self, number: i64) -> PathBuf {
        self.temp().join(format!("{number:x}"))
    }

    /// Returns whether a name in the folder belongs to it: to the engine, to its caller, or to the disk.
    pub fn is_ours(name: &str) -> bool {
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
