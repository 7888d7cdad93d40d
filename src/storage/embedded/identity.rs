//! Whether the data folder is still the one that was opened. What is written into a folder that was removed, replaced or unmounted goes
//! nowhere that a later start would find.

use std::{
    fs, io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, Ordering},
};

use super::{super::error::Error, paths::Paths};

/// The data folder is not where it was opened. Nothing can be read or written until it is there again, or the process starts anew.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the data folder was removed, moved, replaced or unmounted while it was served from")]
pub struct FolderLost;

/// The parts of a data folder without which nothing that is written is found again, each with its inode.
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
    /// Remembers what stands in a folder whose index is open for writing.
    pub fn of(paths: &Paths) -> io::Result<Self> {
        let parts = [paths.root().to_owned(), paths.index(), paths.log(), paths.files(), paths.temp()];
        let parts = parts.into_iter().map(|path| inode(&path).map(|inode| (path, inode)));
        Ok(Self { parts: parts.collect::<io::Result<_>>()?, is_lost: AtomicBool::new(false) })
    }

    /// Looks whether everything stands where it stood: a few system calls without the disk.
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

    /// Looks again if something was missing the last time; costs nothing otherwise.
    pub fn recheck(&self) -> Result<(), Error> {
        if self.is_lost.load(Ordering::Relaxed) { self.check() } else { Ok(()) }
    }
}

fn inode(path: &Path) -> io::Result<Inode> {
    let found = fs::metadata(path)?;
    Ok(Inode { device: found.dev(), number: found.ino() })
}
