//! Identity of the data folder: whether it is still the one that was opened. Data written into a folder that was
//! removed, replaced or unmounted is lost for later starts.

use std::{
    fs, io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, Ordering},
};

use super::{super::error::Error, paths::Paths};

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
    pub fn of(paths: &Paths) -> io::Result<Self> {
        let parts = [paths.root().to_owned(), paths.index(), paths.log(), paths.files(), paths.temp()];
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
