//! Streams a file in constant memory, reads it off the async threads, and verifies its hash.

use std::{
    fs::File,
    io::{self, Read, Seek, SeekFrom},
    ops::Range,
    path::Path,
};

use bytes::Bytes;
use futures_util::stream;
use tokio::task::spawn_blocking;

use super::{
    super::{
        body::{BodyError, ByteStream},
        error::{Error, Result},
        fingerprint::Fingerprint,
        object::Attributes,
    },
    faults::work_fault,
    rows::{Entry, OTHER_BYTES},
};

/// Bytes read at a time: the memory of each download.
const CHUNK_BYTES: u64 = 256 * 1024;

/// A file that is being read. Its name may be removed meanwhile: an open file stays complete.
#[derive(Debug)]
pub struct Download {
    file: File,
    left: u64,
    /// Only an object that is read as a whole can be verified.
    check: Option<Check>,
}

#[derive(Debug)]
struct Check {
    fingerprint: Fingerprint,
    attributes: Attributes,
    expected: u128,
}

impl Download {
    /// Opens the file at `path` of the object that `entry` describes, to read `range` of it. Blocks.
    pub fn open(path: &Path, entry: &Entry, range: &Range<u64>) -> io::Result<Result<Self>> {
        let mut file = File::open(path)?;
        let size = file.metadata()?.len();
        if size != entry.size {
            let what = format!("its file has {size} bytes instead of {}", entry.size);
            return Ok(Err(Error::Corrupt(what)));
        }
        if range.start > 0 {
            file.seek(SeekFrom::Start(range.start))?;
        }
        let check = (*range == (0..size)).then(|| Check {
            fingerprint: Fingerprint::new(),
            attributes: entry.attributes.clone(),
            expected: entry.hash,
        });
        Ok(Ok(Self { file, left: range.end - range.start, check }))
    }

    /// Allocates the buffer for the next bytes of a range. The thread that allocates it should be the one that frees it
    /// after sending: the allocator returns memory to the allocating thread, which keeps it for reuse, and there are
    /// many reading threads.
    pub fn room(range: Range<u64>) -> Vec<u8> {
        let length = range.end.saturating_sub(range.start).min(CHUNK_BYTES);
        Vec::with_capacity(usize::try_from(length).unwrap_or_default())
    }

    /// Reads the next bytes; none at the end. Withholds the last ones if the hash of the whole is wrong. Blocks.
    pub fn read(&mut self) -> Result<Bytes> {
        self.read_into(Self::room(0..self.left))
    }

    /// Reads the next bytes into a buffer from [`Download::room`].
    pub fn read_into(&mut self, mut bytes: Vec<u8>) -> Result<Bytes> {
        let wanted = self.left.min(CHUNK_BYTES);
        let found =
            (&self.file).take(wanted).read_to_end(&mut bytes).map_err(|error| Error::Unavailable(error.into()))?;
        if found as u64 != wanted {
            return Err(Error::Corrupt("its file ends early".to_owned()));
        }
        self.left -= wanted;
        if let Some(check) = &mut self.check {
            check.fingerprint.update(&bytes);
        }
        if self.left == 0
            && let Some(Check { fingerprint, attributes, expected }) = self.check.take()
            && fingerprint.finish(&attributes) != expected
        {
            return Err(Error::Corrupt(OTHER_BYTES.to_owned()));
        }
        Ok(bytes.into())
    }

    /// Returns the body, whose first chunk was read already.
    pub fn into_body(self, first: Bytes) -> ByteStream {
        let length = self.left + first.len() as u64;
        if self.left == 0 {
            return ByteStream::from(first);
        }
        let chunks = stream::unfold(Some((self, first)), |state| async {
            let (download, ready) = state?;
            if !ready.is_empty() {
                return Some((Ok(ready), Some((download, Bytes::new()))));
            }
            if download.left == 0 {
                return None;
            }
            match download.advance().await {
                Ok((download, bytes)) => Some((Ok(bytes), Some((download, Bytes::new())))),
                Err(error) => Some((Err(BodyError::Storage(error.into())), None)),
            }
        });
        ByteStream::new(Some(length), chunks)
    }

    async fn advance(mut self) -> Result<(Self, Bytes)> {
        let room = Self::room(0..self.left);
        spawn_blocking(move || self.read_into(room).map(|bytes| (self, bytes))).await.map_err(work_fault)?
    }
}
