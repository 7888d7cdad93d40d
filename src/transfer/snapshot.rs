//! Consistent reads of files that other programs may write to.
//!
//! The length and the times of the file are compared before the last bytes are returned, so that a record never
//! consists of parts of two versions: after a change the server gets less than announced, and stores none of it.

use std::{
    fs::{File, Metadata},
    io::{self, Read},
    os::unix::fs::MetadataExt,
    path::PathBuf,
};

use super::error::{Error, Result};

/// Reader of a file as it was when it was opened; fails if the file changed by the end.
pub struct Snapshot {
    file: File,
    path: PathBuf,
    opened: Version,
    /// Number of bytes still to be read.
    left: u64,
}

/// Properties of a file that change with a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Version {
    length: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl From<&Metadata> for Version {
    fn from(metadata: &Metadata) -> Self {
        Self {
            length: metadata.len(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }
}

impl Snapshot {
    /// Returns a reader of `file`, which was opened at `path`, from its beginning.
    pub fn new(file: File, path: PathBuf) -> Result<Self> {
        let opened = Version::from(&file.metadata().map_err(Error::of(&path))?);
        let mut snapshot = Self { file, path, opened, left: opened.length };
        if snapshot.left == 0 {
            // No caller reads an empty record.
            snapshot.verify()?;
        }
        Ok(snapshot)
    }

    /// Returns the length of the file.
    pub fn length(&self) -> u64 {
        self.opened.length
    }

    /// Checks that the file is unchanged since it was opened, and completely read.
    fn verify(&mut self) -> Result<()> {
        let now = Version::from(&self.file.metadata().map_err(Error::of(&self.path))?);
        // Files that report length 0 and are not empty, such as those below /proc, have bytes after their length.
        let behind = self.file.read(&mut [0]).map_err(Error::of(&self.path))?;
        if now == self.opened && behind == 0 { Ok(()) } else { Err(Error::Changed(self.path.clone())) }
    }
}

impl Read for Snapshot {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let wanted = usize::try_from(self.left).unwrap_or(usize::MAX).min(buffer.len());
        if wanted == 0 {
            return Ok(0);
        }
        let failed = |error: io::Error| Error::of(&self.path)(error).into_io();
        let read = self.file.read(&mut buffer[..wanted]).map_err(failed)?;
        self.left -= read as u64;
        if read == 0 {
            return Err(Error::Changed(self.path.clone()).into_io());
        }
        if self.left == 0 {
            self.verify().map_err(Error::into_io)?;
        }
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, io::Write, path::Path};

    use super::*;

    /// Reads a file in two parts and changes it between them.
    fn read_while(change: impl FnOnce(&Path)) -> std::result::Result<Vec<u8>, Error> {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("page.html");
        fs::write(&path, "flour and water").expect("it is written");
        let mut snapshot = Snapshot::new(File::open(&path).expect("it opens"), path.clone())?;
        let mut bytes = vec![0; 5];
        snapshot.read_exact(&mut bytes).expect("the first part is there");
        change(&path);
        match snapshot.read_to_end(&mut bytes) {
            Ok(_) => Ok(bytes),
            Err(error) => Err(Error::from_io(error).expect("an error of ours")),
        }
    }

    #[test]
    fn a_file_that_changes_while_it_is_read_is_never_taken_for_whole() {
        let append = |path: &Path| {
            let mut file = fs::OpenOptions::new().append(true).open(path).expect("it opens");
            file.write_all(b", salt").expect("it is written");
        };
        let shorten = |path: &Path| {
            fs::OpenOptions::new().write(true).open(path).expect("it opens").set_len(7).expect("it is cut");
        };
        let rewrite = |path: &Path| {
            // Times of files have the granularity of the kernel's clock.
            let written = fs::metadata(path).and_then(|metadata| metadata.modified()).expect("a time");
            while fs::metadata(path).and_then(|metadata| metadata.modified()).expect("a time") == written {
                fs::write(path, "floor and water").expect("it is written");
            }
        };
        assert_eq!(read_while(|_| ()).expect("it is whole"), b"flour and water");
        for (what, changed) in
            [("append", read_while(append)), ("shorten", read_while(shorten)), ("rewrite", read_while(rewrite))]
        {
            let error = changed.expect_err(what);
            assert!(matches!(&error, Error::Changed(path) if path.ends_with("page.html")), "{what}: {error}");
        }
    }

    #[test]
    fn a_file_that_is_replaced_is_read_as_it_was_or_is_an_error() {
        let replaced = read_while(|path| {
            fs::write(path.with_extension("new"), "salt").expect("it is written");
            fs::rename(path.with_extension("new"), path).expect("it is renamed");
        });
        assert!(replaced.is_err() || replaced.is_ok_and(|bytes| bytes == b"flour and water"));
    }

    #[test]
    fn a_file_that_says_it_is_empty_and_is_not_is_never_taken_for_empty() {
        let path = Path::new("/proc/self/status");
        let opened = Snapshot::new(File::open(path).expect("it opens"), path.to_owned());
        assert!(matches!(opened.err(), Some(Error::Changed(changed)) if changed == path));
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("empty");
        fs::write(&path, "").expect("it is written");
        assert_eq!(Snapshot::new(File::open(&path).expect("it opens"), path).expect("it is empty").length(), 0);
    }
}
