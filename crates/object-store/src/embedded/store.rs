//! The embedded engine as an object store.

use std::{
    fmt, fs, io,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::future::try_join_all;
use tokio::{
    sync::Semaphore,
    task::{consume_budget, spawn_blocking},
};

use larder_runtime::clock::Clock;

use crate::{
    body::{ByteStream, etag},
    object::{GetOptions, ListOptions, ListPage, Object, ObjectMeta, Precondition, PutOptions, PutOutcome},
    store::{Error, MAX_DELETE_KEYS, MAX_LIST_KEYS, ObjectStore, Result, is_background},
};

use super::{
    blob_deletion::{Reaper, collect_orphans},
    blob_files::{BlobAllocator, BlobReader, Value, receive},
    committer::{Checkpointer, Committer, MIN_OBJECTS},
    disk_reserve::DiskReserve,
    folder::{Folder, open_or_create},
    index::{ReaderPool, connect_checkpointer, connect_writer},
    io_error::{OpenError, closed_error, is_index_full, map_io_error, map_join_error},
    rows::{self, Entry, Location},
    write_batcher::{Change, NewObject, WriteBatcher},
};

/// Maximum number of look-ups of a reader whose object is replaced between the look-up and the opening of its file.
const MAX_LOOKUPS: usize = 16;
/// Maximum number of concurrent lists, each on a thread of its own; more wait.
const MAX_CONCURRENT_LISTS: usize = 4;

/// An object store in a folder.
pub struct EmbeddedStore {
    // In the order in which they must end: the committer uses the reaper.
    committer: Committer,
    readers: Arc<ReaderPool>,
    allocator: Arc<BlobAllocator>,
    reaper: Arc<Reaper>,
    lists: Semaphore,
    has_request: Arc<AtomicBool>,
    folder: Arc<Folder>,
}

impl EmbeddedStore {
    /// Opens or creates the folder, and collects leftovers of a crash. Blocks for milliseconds, longer with very many
    /// files.
    pub fn open(options: &EmbeddedOptions, clock: Arc<dyn Clock>) -> Result<Self, OpenError> {
        let folder = Arc::new(Folder::open(&options.folder)?);
        let index = folder.index();
        let index_error = |error| OpenError::from_sqlite(&index, error);
        // Created here, since the database would let others read it.
        open_or_create(&index).map_err(|error| OpenError::from_io(&index, error))?;
        let connection = match connect_writer(&index) {
            // Even opening needs some space; the reserve is large enough for it.
            Err(error) if is_index_full(&error) => {
                fs::remove_file(folder.reserve()).map_or(Err(error), |()| connect_writer(&index))
            }
            other => other,
        };
        let connection = connection.map_err(index_error)?;
        folder.record_identity()?;
        let gc = collect_orphans(&folder, &connection)?;
        let (files, last) = rows::count_blobs(&connection).map_err(index_error)?;
        if gc.alive < files {
            tracing::error!(missing = files - gc.alive, "files of objects are missing in the data folder");
        }
        if gc.removed > 0 {
            tracing::info!(files = gc.removed, "removed files of an interrupted process");
        }
        if gc.held > 0 {
            tracing::info!(files = gc.held, "a backup is running: the next start deletes files without an object");
        }
        let readers = Arc::new(ReaderPool::open(Arc::clone(&folder)).map_err(index_error)?);
        let io_error = |error: io::Error| OpenError::from_io(&options.folder, error);
        let reaper = Arc::new(Reaper::start(Arc::clone(&folder)).map_err(io_error)?);
        // Must not be the number of a file that a backup may still copy.
        let first = last.max(gc.highest) + 1;
        let allocator = Arc::new(BlobAllocator::new(Arc::clone(&folder), Arc::clone(&reaper), first));
        let checkpointer = Checkpointer::start(connect_checkpointer(&index).map_err(index_error)?).map_err(io_error)?;
        let batcher = WriteBatcher {
            connection,
            folder: Arc::clone(&folder),
            clock,
            reaper: Arc::clone(&reaper),
            reserve: DiskReserve::new(folder.reserve()),
            checkpointer,
        };
        let has_request = Arc::default();
        let committer = Committer::start(batcher, Arc::clone(&has_request)).map_err(io_error)?;
        Ok(Self {
            committer,
            readers,
            allocator,
            reaper,
            lists: Semaphore::new(MAX_CONCURRENT_LISTS),
            has_request,
            folder,
        })
    }

    /// Closes the store: rejects new calls, makes the queued changes, and checkpoints the WAL. The folder is free for
    /// another process once this store is dropped. Dropping does the same, but blocks.
    pub async fn close(&self) {
        self.committer.close().await;
        self.readers.close();
        let reaper = Arc::clone(&self.reaper);
        // Fails only if the runtime is shutting down; the next start collects the leftovers.
        let _ = spawn_blocking(move || reaper.stop()).await;
    }

    /// Records that a request is served, to which background changes give way.
    fn note_request(&self) {
        // Mostly it is set already: no write, so that other processors keep their cache lines.
        if !self.has_request.load(Ordering::Relaxed) && !is_background() {
            self.has_request.store(true, Ordering::Relaxed);
        }
    }

    /// Returns the entry of `key`, with its bytes if they are inline and undamaged.
    async fn find(&self, key: &str) -> Result<(Entry, Bytes)> {
        self.note_request();
        // The index answers without waiting: a caller in a loop must still yield now and then.
        consume_budget().await;
        let found = self.readers.read(|connection| rows::find_with_value(connection, key))?;
        let (entry, bytes) = found.ok_or(Error::NotFound)?;
        let bytes =
            if matches!(entry.location, Location::Blob(_)) { Bytes::new() } else { entry.check_inline(bytes)? };
        Ok((entry, bytes))
    }

    /// Opens the object under `key`. `open` reads the file of an entry off the async threads, with the value that
    /// `prepare` returned on this one. A missing file was replaced since the look-up, so that another look-up finds the
    /// new one.
    async fn find_and_open<P: Send + 'static, T: Send + 'static>(
        &self,
        key: &str,
        prepare: impl Fn(&Entry) -> P + Send,
        open: impl Fn(i64, &Entry, P) -> io::Result<Result<T>> + Clone + Send + 'static,
    ) -> Result<(Entry, ValueSource<T>)> {
        let mut missing = None;
        for _ in 0..MAX_LOOKUPS {
            let (entry, bytes) = self.find(key).await?;
            let Location::Blob(number) = entry.location else { return Ok((entry, ValueSource::Inline(bytes))) };
            if missing == Some(number) {
                return Err(Error::Corrupt(format!("its file {number:x} is missing")));
            }
            let (open, described, prepared) = (open.clone(), entry.clone(), prepare(&entry));
            match spawn_blocking(move || open(number, &described, prepared)).await.map_err(map_join_error)? {
                Ok(opened) => return Ok((entry, ValueSource::File(opened?))),
                Err(error) if error.kind() == io::ErrorKind::NotFound => missing = Some(number),
                Err(error) => return Err(map_io_error(error)),
            }
        }
        Err(Error::Unavailable("the object is replaced faster than it can be opened".into()))
    }
}

/// Source of an object's bytes.
enum ValueSource<T> {
    Inline(Bytes),
    File(T),
}

impl Drop for EmbeddedStore {
    fn drop(&mut self) {
        // Ends the thread first: it may still queue files for deletion.
        self.committer.end();
        self.reaper.stop();
    }
}

impl fmt::Debug for EmbeddedStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EmbeddedStore").field("folder", &self.folder).finish_non_exhaustive()
    }
}

#[async_trait]
impl ObjectStore for EmbeddedStore {
    async fn put(&self, key: &str, body: ByteStream, options: PutOptions) -> Result<PutOutcome> {
        self.note_request();
        let PutOptions { attributes, precondition } = options;
        let received = receive(body, &attributes, &self.allocator).await?;
        let (size, hash) = (received.size, received.hash);
        let object = NewObject { key: key.to_owned(), value: received.value, size, hash, attributes, precondition };
        let last_modified = self.committer.commit(Change::Put(object)).await?;
        Ok(PutOutcome { etag: etag(hash), last_modified })
    }

    async fn get(&self, key: &str, options: GetOptions) -> Result<Object> {
        let folder = Arc::clone(&self.folder);
        let buffer = move |entry: &Entry| BlobReader::buffer(resolve(options, entry.size).unwrap_or_default());
        let open = move |number, entry: &Entry, buffer| {
            let range = match resolve(options, entry.size) {
                Ok(range) => range,
                Err(error) => return Ok(Err(error)),
            };
            let reader = BlobReader::open(&folder.blob(number), entry, &range)?;
            Ok(reader.and_then(|mut reader| reader.read_into(buffer).map(|first| (reader, first))))
        };
        let (entry, source) = self.find_and_open(key, buffer, open).await?;
        let range = resolve(options, entry.size)?;
        let body = match source {
            ValueSource::File((reader, first)) => reader.into_body(first),
            ValueSource::Inline(bytes) => {
                let offset = |at: u64| usize::try_from(at).unwrap_or(usize::MAX);
                ByteStream::from(bytes.slice(offset(range.start)..offset(range.end)))
            }
        };
        Ok(Object { meta: entry.meta(), range, body })
    }

    async fn head(&self, key: &str) -> Result<ObjectMeta> {
        consume_budget().await;
        let found = self.readers.read(|connection| rows::find(connection, key))?;
        found.map(|entry| entry.meta()).ok_or(Error::NotFound)
    }

    async fn delete(&self, key: &str, precondition: Precondition) -> Result<()> {
        self.note_request();
        self.committer.commit(Change::Delete { key: key.to_owned(), precondition }).await.map(drop)
    }

    async fn delete_many(&self, keys: Vec<String>) -> Result<()> {
        if keys.len() > MAX_DELETE_KEYS {
            return Err(Error::Unsupported("deleting more than 1,000 objects at once"));
        }
        let slices = keys.chunks(MIN_OBJECTS).map(|slice| self.committer.commit(Change::DeleteMany(slice.to_vec())));
        try_join_all(slices).await.map(drop)
    }

    async fn list(&self, options: ListOptions) -> Result<ListPage> {
        let _permit = self.lists.acquire().await.map_err(|_| closed_error())?;
        let readers = Arc::clone(&self.readers);
        let page = spawn_blocking(move || {
            let ListOptions { prefix, start_after, limit } = options;
            let limit = limit.clamp(1, MAX_LIST_KEYS);
            let list = |connection: &_| rows::list(connection, &prefix, start_after.as_deref(), limit + 1);
            let mut objects = readers.read(list)?;
            let is_truncated = objects.len() > limit;
            objects.truncate(limit);
            Ok(ListPage { objects, is_truncated })
        });
        page.await.map_err(map_join_error)?
    }

    async fn copy(&self, from: &str, to: &str, precondition: Precondition) -> Result<PutOutcome> {
        let allocator = Arc::clone(&self.allocator);
        let link = move |number, _: &Entry, ()| {
            let file = allocator.allocate();
            file.link_or_copy(number).map(|()| Ok(file))
        };
        let (entry, source) = self.find_and_open(from, |_| (), link).await?;
        let value = match source {
            ValueSource::Inline(bytes) => Value::Inline(bytes),
            ValueSource::File(file) => Value::File(file),
        };
        let Entry { size, hash, attributes, .. } = entry;
        let object = NewObject { key: to.to_owned(), value, size, hash, attributes, precondition };
        let last_modified = self.committer.commit(Change::Put(object)).await?;
        Ok(PutOutcome { etag: etag(hash), last_modified })
    }

    async fn check(&self) -> Result<()> {
        if !self.committer.is_alive() {
            return Err(closed_error());
        }
        self.folder.check()?;
        self.readers.read(rows::check_readable)
    }
}

fn resolve(options: GetOptions, size: u64) -> Result<std::ops::Range<u64>> {
    match options.range {
        None => Ok(0..size),
        Some(range) => range.resolve(size).ok_or(Error::RangeNotSatisfiable { size }),
    }
}

/// Maximum bytes of a value in the index; larger ones have files of their own.
pub const INLINE_LIMIT: usize = 64 * 1024;

/// Options of the embedded engine.
#[derive(Debug, Clone)]
pub struct EmbeddedOptions {
    /// The data folder; created if it does not exist.
    pub folder: PathBuf,
}

impl EmbeddedOptions {
    /// Returns the defaults for `folder`.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self { folder: folder.into() }
    }
}
