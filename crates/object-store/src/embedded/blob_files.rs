//! Files of large objects: allocated, written and published by a put; read and verified by a get.
//!
//! Both stream in constant memory, and read or write off the async threads. While one block of an upload is written (and
//! hashed), the next one comes in. Dropping the future of an upload removes its file.

use std::{
    fs::{self, File},
    io::{self, Read, Seek, SeekFrom, Write},
    mem,
    ops::Range,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
};

use bytes::Bytes;
use futures_util::stream;
use tokio::task::{JoinHandle, spawn_blocking};

use crate::{
    body::{BodyError, ByteStream, ContentHasher, ContentLengthCheck, content_hash},
    object::Attributes,
    store::{Error, Result},
};

use super::{
    blob_deletion::Reaper,
    folder::{Folder, copy, create_inner_folder, create_new, sync_folder},
    io_error::{map_io_error, map_join_error},
    rows::{Entry, HASH_MISMATCH},
    store::INLINE_LIMIT,
};

/// Bytes written to an upload between two syncs: few enough that the last sync is short and no other sync waits for
/// gigabytes of ours.
const SYNC_EVERY_BYTES: u64 = 32 * 1024 * 1024;

/// Allocates new files.
#[derive(Debug)]
pub struct BlobAllocator {
    folder: Arc<Folder>,
    reaper: Arc<Reaper>,
    next: AtomicI64,
}

impl BlobAllocator {
    /// Allocates numbers from `first` on.
    pub fn new(folder: Arc<Folder>, reaper: Arc<Reaper>, first: i64) -> Self {
        Self { folder, reaper, next: AtomicI64::new(first) }
    }

    /// Allocates a file that does not exist yet.
    pub fn allocate(&self) -> StagedBlob {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let path = self.folder.temp_blob(number);
        StagedBlob {
            number,
            path,
            folder: Arc::clone(&self.folder),
            reaper: Arc::clone(&self.reaper),
            is_disarmed: false,
        }
    }
}

/// A file that is removed when this is dropped, unless it was kept.
#[derive(Debug)]
pub struct StagedBlob {
    number: i64,
    path: PathBuf,
    folder: Arc<Folder>,
    reaper: Arc<Reaper>,
    is_disarmed: bool,
}

impl StagedBlob {
    /// Returns its number, which no other file ever had.
    pub fn number(&self) -> i64 {
        self.number
    }

    /// Creates it, empty.
    pub fn create(&self) -> io::Result<File> {
        create_new(&self.path)
    }

    /// Creates it as a hard link to the file `number` if the disk supports that, else as a synced copy.
    pub fn link_or_copy(&self, number: i64) -> io::Result<()> {
        let from = self.folder.blob(number);
        match fs::hard_link(&from, &self.path) {
            Ok(()) => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Err(error),
            Err(_) => copy(&from, &self.path)?.sync_all(),
        }
    }

    /// Renames it to its final name, which is durable once the returned folder is synced.
    pub fn publish(&mut self) -> io::Result<PathBuf> {
        let (target, around) = (self.folder.blob(self.number), self.folder.blob_folder(self.number));
        match fs::rename(&self.path, &target) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                create_inner_folder(&around)?;
                sync_folder(&self.folder.blobs())?;
                fs::rename(&self.path, &target)?;
            }
            other => other?,
        }
        self.path = target;
        Ok(around)
    }

    /// Keeps the file.
    pub fn disarm(&mut self) {
        self.is_disarmed = true;
    }
}

impl Drop for StagedBlob {
    fn drop(&mut self) {
        if !self.is_disarmed {
            self.reaper.remove(std::mem::take(&mut self.path));
        }
    }
}

/// Writes and hashes a new file. Blocks: not for the async threads.
#[derive(Debug)]
pub struct BlobWriter {
    target: StagedBlob,
    file: Option<File>,
    hasher: ContentHasher,
    unsynced: u64,
}

impl BlobWriter {
    /// Starts without a file, not even an empty one.
    pub fn new(target: StagedBlob) -> Self {
        Self { target, file: None, hasher: ContentHasher::new(), unsynced: 0 }
    }

    /// Appends `bytes`.
    pub fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        let file = match &mut self.file {
            Some(file) => file,
            empty @ None => empty.insert(self.target.create()?),
        };
        file.write_all(bytes)?;
        self.hasher.update(bytes);
        self.unsynced += bytes.len() as u64;
        if self.unsynced >= SYNC_EVERY_BYTES {
            file.sync_data()?;
            self.unsynced = 0;
        }
        Ok(())
    }

    /// Syncs the bytes, but not the name.
    pub fn finish(mut self) -> io::Result<(StagedBlob, ContentHasher)> {
        if let Some(file) = self.file.take() {
            file.sync_data()?;
        }
        Ok((self.target, self.hasher))
    }
}

/// Bytes gathered before a write: fast clients send larger chunks, which are written as they are. Each upload has two
/// blocks in memory.
const BLOCK_BYTES: usize = 64 * 1024;

/// The bytes of an object to store.
#[derive(Debug)]
pub enum Value {
    /// At most [`INLINE_LIMIT`] bytes.
    Inline(Bytes),
    /// More bytes: a complete and synced file.
    File(StagedBlob),
}

/// A body that was received completely.
#[derive(Debug)]
pub struct Received {
    /// The bytes.
    pub value: Value,
    /// Size in bytes.
    pub size: u64,
    /// Hash of bytes and attributes.
    pub hash: u128,
}

/// Receives `body`, which must have its announced length.
pub async fn receive(mut body: ByteStream, attributes: &Attributes, allocator: &BlobAllocator) -> Result<Received> {
    let mut length = ContentLengthCheck::new(body.length());
    let mut start = FirstChunks::default();
    while let Some(chunk) = next(&mut body, &mut length).await? {
        if start.len() + chunk.len() > INLINE_LIMIT {
            let mut upload = Upload::new(allocator.allocate());
            upload.push(start.into_bytes()).await?;
            upload.push(chunk).await?;
            while let Some(chunk) = next(&mut body, &mut length).await? {
                upload.push(chunk).await?;
            }
            length.finish().map_err(Error::Body)?;
            return upload.finish(attributes).await;
        }
        start.push(chunk);
    }
    length.finish().map_err(Error::Body)?;
    let bytes = start.into_bytes();
    let (size, hash) = (bytes.len() as u64, content_hash(&bytes, attributes));
    Ok(Received { value: Value::Inline(bytes), size, hash })
}

async fn next(body: &mut ByteStream, length: &mut ContentLengthCheck) -> Result<Option<Bytes>> {
    let chunk = body.next().await.transpose().map_err(Error::Body)?;
    if let Some(chunk) = &chunk {
        length.add(chunk.len()).map_err(Error::Body)?;
    }
    Ok(chunk)
}

/// The first bytes of a body; a body of one chunk is not copied.
#[derive(Default)]
struct FirstChunks {
    first: Bytes,
    all: Vec<u8>,
}

impl FirstChunks {
    fn len(&self) -> usize {
        self.first.len() + self.all.len()
    }

    fn push(&mut self, chunk: Bytes) {
        if self.len() == 0 {
            self.first = chunk;
        } else {
            self.all.extend_from_slice(&mem::take(&mut self.first));
            self.all.extend_from_slice(&chunk);
        }
    }

    fn into_bytes(self) -> Bytes {
        if self.all.is_empty() { self.first } else { self.all.into() }
    }
}

/// A file that is being written; the field that is set tells by which thread.
struct Upload {
    idle: Option<BlobWriter>,
    writing: Option<JoinHandle<io::Result<BlobWriter>>>,
    block: Vec<u8>,
}

impl Upload {
    fn new(target: StagedBlob) -> Self {
        Self { idle: Some(BlobWriter::new(target)), writing: None, block: Vec::new() }
    }

    /// Receives a chunk. Small ones are gathered, since a chunk may be one byte of a buffer of kilobytes.
    async fn push(&mut self, chunk: Bytes) -> Result<()> {
        if self.block.len() + chunk.len() > BLOCK_BYTES {
            let full = mem::take(&mut self.block);
            self.write(full.into()).await?;
        }
        if chunk.len() >= BLOCK_BYTES {
            return self.write(chunk).await;
        }
        if self.block.capacity() == 0 {
            self.block.reserve_exact(BLOCK_BYTES);
        }
        self.block.extend_from_slice(&chunk);
        Ok(())
    }

    async fn write(&mut self, bytes: Bytes) -> Result<()> {
        if bytes.is_empty() {
            return Ok(());
        }
        let mut writer = self.wait_idle().await?;
        self.writing = Some(spawn_blocking(move || writer.write(&bytes).map(|()| writer)));
        Ok(())
    }

    /// Returns the writer, once it has written its last block.
    async fn wait_idle(&mut self) -> Result<BlobWriter> {
        match (self.idle.take(), self.writing.take()) {
            (Some(writer), _) => Ok(writer),
            (None, Some(writing)) => writing.await.map_err(map_join_error)?.map_err(map_io_error),
            (None, None) => Err(Error::Body(BodyError::Aborted)),
        }
    }

    async fn finish(mut self, attributes: &Attributes) -> Result<Received> {
        let mut writer = self.wait_idle().await?;
        let last = mem::take(&mut self.block);
        let finished = spawn_blocking(move || writer.write(&last).and_then(|()| writer.finish()));
        let (file, hasher) = finished.await.map_err(map_join_error)?.map_err(map_io_error)?;
        let size = hasher.size();
        Ok(Received { value: Value::File(file), size, hash: hasher.finish(attributes) })
    }
}

/// Bytes read at a time: the memory of each download.
const CHUNK_BYTES: u64 = 256 * 1024;

/// A file that is being read. Its name may be removed meanwhile: an open file stays complete.
#[derive(Debug)]
pub struct BlobReader {
    file: File,
    remaining: u64,
    /// Only an object that is read as a whole can be verified.
    verification: Option<Verification>,
}

#[derive(Debug)]
struct Verification {
    hasher: ContentHasher,
    attributes: Attributes,
    expected: u128,
}

impl BlobReader {
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
        let verification = (*range == (0..size)).then(|| Verification {
            hasher: ContentHasher::new(),
            attributes: entry.attributes.clone(),
            expected: entry.hash,
        });
        Ok(Ok(Self { file, remaining: range.end - range.start, verification }))
    }

    /// Allocates the buffer for the next bytes of a range. The thread that allocates it should be the one that frees it
    /// after sending: the allocator returns memory to the allocating thread, which keeps it for reuse, and there are
    /// many reading threads.
    pub fn buffer(range: Range<u64>) -> Vec<u8> {
        let length = range.end.saturating_sub(range.start).min(CHUNK_BYTES);
        Vec::with_capacity(usize::try_from(length).unwrap_or_default())
    }

    /// Reads the next bytes; none at the end. Withholds the last ones if the hash of the whole is wrong. Blocks.
    pub fn read(&mut self) -> Result<Bytes> {
        self.read_into(Self::buffer(0..self.remaining))
    }

    /// Reads the next bytes into a buffer from [`BlobReader::buffer`].
    pub fn read_into(&mut self, mut bytes: Vec<u8>) -> Result<Bytes> {
        let wanted = self.remaining.min(CHUNK_BYTES);
        let found =
            (&self.file).take(wanted).read_to_end(&mut bytes).map_err(|error| Error::Unavailable(error.into()))?;
        if found as u64 != wanted {
            return Err(Error::Corrupt("its file ends early".to_owned()));
        }
        self.remaining -= wanted;
        if let Some(verification) = &mut self.verification {
            verification.hasher.update(&bytes);
        }
        if self.remaining == 0
            && let Some(Verification { hasher, attributes, expected }) = self.verification.take()
            && hasher.finish(&attributes) != expected
        {
            return Err(Error::Corrupt(HASH_MISMATCH.to_owned()));
        }
        Ok(bytes.into())
    }

    /// Returns the body, whose first chunk was read already.
    pub fn into_body(self, first: Bytes) -> ByteStream {
        let length = self.remaining + first.len() as u64;
        if self.remaining == 0 {
            return ByteStream::from(first);
        }
        let chunks = stream::unfold(Some((self, first)), |state| async {
            let (download, ready) = state?;
            if !ready.is_empty() {
                return Some((Ok(ready), Some((download, Bytes::new()))));
            }
            if download.remaining == 0 {
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
        let buffer = Self::buffer(0..self.remaining);
        spawn_blocking(move || self.read_into(buffer).map(|bytes| (self, bytes))).await.map_err(map_join_error)?
    }
}
