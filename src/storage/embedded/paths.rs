//! Where in a data folder everything stands. Knows names alone: nothing is opened here.

use std::path::{Path, PathBuf};

use super::index;

/// How many low bits of a file's number do not count for its folder: so many files stand in one.
const FOLDER_BITS: u32 = 12;

/// The paths in a data folder.
#[derive(Debug, Clone)]
pub struct Paths {
    root: PathBuf,
}

impl Paths {
    /// Those of the folder at `root`.
    pub fn new(root: &Path) -> Self {
        Self { root: root.to_owned() }
    }

    /// The folder itself.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// What says which format the folder has.
    pub fn format(&self) -> PathBuf {
        self.root.join("format")
    }

    /// What a backup says of itself, once it is whole; a folder that is served from has none.
    pub fn manifest(&self) -> PathBuf {
        self.root.join("backup.json")
    }

    /// What is locked while a process serves from the folder.
    pub fn lock(&self) -> PathBuf {
        self.root.join("lock")
    }

    /// What is locked while a backup copies files, so that none of them is removed.
    pub fn hold(&self) -> PathBuf {
        self.root.join("backup.lock")
    }

    /// The index.
    pub fn index(&self) -> PathBuf {
        self.root.join(index::FILE)
    }

    /// The log of the index, in which what was acknowledged last stands.
    pub fn log(&self) -> PathBuf {
        self.root.join(format!("{}-wal", index::FILE))
    }

    /// The file that sets room aside.
    pub fn reserve(&self) -> PathBuf {
        self.root.join("reserve")
    }

    /// The note on the last backup of this folder.
    pub fn last_backup(&self) -> PathBuf {
        self.root.join("last-backup")
    }

    /// The folder of folders of large objects.
    pub fn files(&self) -> PathBuf {
        self.root.join("blobs")
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

    /// Whether something of that name in the folder is a part of it: the engine's own, and what its caller and disks put there.
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

    /// The first and the last number whose files stand in the folder of this name; `None` for a name we never give.
    pub fn numbers_in(name: &str) -> Option<(i64, i64)> {
        let upper = i64::from_str_radix(name, 16).ok().filter(|upper| (0..=i64::MAX >> FOLDER_BITS).contains(upper))?;
        let first = upper << FOLDER_BITS;
        (format!("{upper:x}") == name).then_some((first, first | ((1 << FOLDER_BITS) - 1)))
    }

    /// The number of the large object whose file has this name; `None` for a name we never give.
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
