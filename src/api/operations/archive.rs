//! Records of a store in one ZIP file, streamed without a temporary file.
//!
//! Memory holds a page of keys, a chunk of a record or a small encoded one, and the entries of the directory at the
//! file's end: some 300 bytes per record. Entries are deflated: their lengths follow their data, and readers of a
//! stream find the end of an uncompressed entry only by its length.

use std::{
    collections::{HashSet, VecDeque},
    io::{self, Write},
    sync::Arc,
};

use bytes::Bytes;
use futures_util::stream;
use http::{HeaderValue, Response, StatusCode, header};
use jiff::tz::TimeZone;
use parking_lot::Mutex;
use zip::{
    CompressionMethod, DateTime, ZipWriter,
    write::{FullFileOptions, StreamWriter},
};

use crate::{
    api::{
        context::Context,
        message::{
            content,
            error::ApiError,
            request::Request,
            response::{self, ResponseBody},
        },
    },
    auth::Grant,
    clock::Timestamp,
    kv::{self, ContentCoding, KeyQuery, ListedKey, RecordKey, Records, StoreSnapshot},
    storage::{self, BodyError, ByteStream, Lease, MemoryBudget, Object},
    telemetry::request_context,
};

use super::records;

/// Number of bytes gathered before they are sent: small records would otherwise cost a write to the socket each.
const CHUNK_BYTES: usize = 64 * 1024;

/// Compression level of each entry, the fastest: many records are compressed already.
const COMPRESSION_LEVEL: i64 = 1;

/// Maximum number of records that a request can name.
const MAX_SELECTED_KEYS: usize = 1000;

/// Streams all records of a store, those of a collection or with a prefix, or those that `keys` names.
pub async fn download(
    context: &Context,
    grant: &Grant,
    request: &Request<'_>,
) -> Result<Response<ResponseBody>, ApiError> {
    let query = records::key_filters(&request.query);
    let store = Arc::clone(grant.store());
    let mut archive = Archive::new(context, store, query);
    match request.query.text("keys") {
        Some(keys) => archive.select(&keys)?,
        // List the first page now: an error of the request must be an error response, not half a file.
        None => archive.list().await?,
    }
    // Most of the file is produced after the response has begun.
    let context = request_context::current();
    let next = move |mut archive: Archive| {
        let next = async move { Ok(archive.next().await?.map(|chunk| (chunk, archive))) };
        request_context::with_context(context.clone(), next)
    };
    let chunks = ByteStream::new(None, stream::try_unfold(archive, next));
    let mut response = response::empty(StatusCode::OK);
    *response.body_mut() = ResponseBody::read_ahead(chunks).await.map_err(ApiError::internal)?;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/zip"));
    let name = format!("{}.zip", grant.store().document.id);
    headers.insert(header::CONTENT_DISPOSITION, content::attachment(&name));
    Ok(response)
}

/// A ZIP file in progress.
struct Archive {
    records: Arc<Records>,
    memory: Arc<MemoryBudget>,
    store: Arc<StoreSnapshot>,
    query: KeyQuery,
    /// Listed keys that are still to be written.
    keys: VecDeque<ListedKey>,
    /// True if no further page of keys is to be listed.
    is_listed: bool,
    /// The record in progress.
    current: Option<Current>,
    writer: Option<ZipWriter<StreamWriter<Sink>>>,
    sink: Sink,
}

impl Archive {
    fn new(context: &Context, store: Arc<StoreSnapshot>, query: KeyQuery) -> Self {
        let (records, memory) = (Arc::clone(&context.records), Arc::clone(&context.memory));
        let sink = Sink::default();
        let writer = Some(ZipWriter::new_stream(sink.clone()).set_auto_large_file());
        Self { records, memory, store, query, keys: VecDeque::new(), is_listed: false, current: None, writer, sink }
    }

    /// Returns the next bytes of the file; `None` at its end.
    async fn next(&mut self) -> Result<Option<Bytes>, BodyError> {
        loop {
            if let Some(chunk) = self.sink.take_chunk(CHUNK_BYTES) {
                return Ok(Some(chunk));
            }
            if self.writer.is_none() {
                return Ok(self.sink.take_chunk(1));
            }
            if let Some(current) = self.current.take() {
                self.advance(current).await?;
            } else if let Some(listed) = self.keys.pop_front() {
                self.begin(listed.key.parse().map_err(broken)?, None).await?;
            } else if self.is_listed {
                let writer = self.writer.take().ok_or(BodyError::Aborted)?;
                writer.finish().map_err(broken)?;
            } else {
                self.list().await.map_err(broken)?;
            }
        }
    }

    /// Selects the records of these comma-separated keys only. Records that do not exist are skipped, as are those that
    /// are deleted meanwhile.
    fn select(&mut self, keys: &str) -> Result<(), ApiError> {
        let mut seen = HashSet::new();
        for key in keys.split(',').filter(|key| seen.insert(*key)) {
            let key: RecordKey = key.parse()?;
            self.keys.push_back(ListedKey { key: key.as_str().to_owned(), size: 0 });
        }
        if self.keys.len() > MAX_SELECTED_KEYS {
            let message = format!("Invalid value of parameter keys: it can name at most {MAX_SELECTED_KEYS} records");
            return Err(ApiError::bad_request("invalid-parameter", message));
        }
        self.is_listed = true;
        Ok(())
    }

    /// Lists the next page of keys.
    async fn list(&mut self) -> kv::Result<()> {
        let page = self.records.list_keys(&self.store, &self.query).await?;
        self.query.exclusive_start_key = page.keys.last().map(|listed| listed.key.clone());
        self.is_listed = !page.is_truncated;
        self.keys = page.keys.into();
        Ok(())
    }

    /// Writes the next bytes of the current entry, or ends it.
    async fn advance(&mut self, mut current: Current) -> Result<(), BodyError> {
        let chunk = match current.entry.body.next().await.transpose() {
            Ok(None) => return Ok(()),
            Ok(Some(chunk)) => chunk,
            Err(BodyError::Malformed(problem)) if current.entry.is_decoded => {
                return self.begin(current.key, Some(&problem)).await;
            }
            Err(error) => return self.skip_damaged(current.key, error),
        };
        if !current.entry.accepts(chunk.len()).await {
            return self.begin(current.key, Some("it is longer than 4 GiB when it is decoded")).await;
        }
        self.writer.as_mut().ok_or(BodyError::Aborted)?.write_all(&chunk).map_err(broken)?;
        self.current = Some(current);
        Ok(())
    }

    /// Begins the entry of a record. After a `problem` with the first entry, the new one has the record as stored. A
    /// record that was deleted since it was listed is skipped.
    async fn begin(&mut self, key: RecordKey, problem: Option<&str>) -> Result<(), BodyError> {
        let object = match self.records.get(&self.store, &key, None).await {
            Ok(object) => object,
            Err(kv::Error::RecordNotFound) => return Ok(()),
            Err(kv::Error::Corrupt(cause)) => return self.skip_damaged(key, broken(storage::Error::Corrupt(cause))),
            Err(error) => return Err(broken(error)),
        };
        let written = object.meta.last_modified;
        let entry = match problem {
            None => Entry::for_record(&key, object, &self.memory).await,
            Some(problem) => Ok(Entry::as_stored(&key, object, problem)),
        };
        match entry {
            Ok(entry) => self.start(key, entry, Some(written)),
            Err(error) => self.skip_damaged(key, error),
        }
    }

    /// Skips a record that is damaged in its store, and notes that in the file. Any other failure ends the file.
    fn skip_damaged(&mut self, key: RecordKey, error: BodyError) -> Result<(), BodyError> {
        match error {
            BodyError::Storage(cause) if is_damage(&cause) => {
                tracing::error!(%key, cause = &*cause as &dyn std::error::Error, "a record is damaged");
                let entry = Entry::unreadable(&key);
                self.start(key, entry, None)
            }
            error => Err(error),
        }
    }

    fn start(&mut self, key: RecordKey, entry: Entry, written: Option<Timestamp>) -> Result<(), BodyError> {
        let options = FullFileOptions::default()
            .compression_method(CompressionMethod::Deflated)
            .compression_level(Some(COMPRESSION_LEVEL))
            .large_file(entry.is_large)
            .last_modified_time(written.map(dos_time).unwrap_or_default())
            .with_file_comment(entry.comment.as_str());
        let writer = self.writer.as_mut().ok_or(BodyError::Aborted)?;
        writer.start_file(&entry.name, options).map_err(broken)?;
        self.current = Some(Current { key, entry });
        Ok(())
    }
}

/// The record in progress.
struct Current {
    key: RecordKey,
    entry: Entry,
}

/// Returns whether stored bytes differ from those that were written, which is permanent.
fn is_damage(cause: &storage::BoxError) -> bool {
    matches!(cause.downcast_ref::<storage::Error>(), Some(storage::Error::Corrupt(_)))
}

/// Converts a moment to the format of ZIP files: in UTC, to two seconds, from 1980 on.
fn dos_time(moment: Timestamp) -> DateTime {
    let civil = jiff::Timestamp::from_millisecond(moment.as_millis()).map(|moment| moment.to_zoned(TimeZone::UTC));
    let date = civil.ok().and_then(|civil| {
        let year = u16::try_from(civil.year()).ok()?;
        let part = |part: i8| u8::try_from(part).ok();
        let (month, day) = (part(civil.month())?, part(civil.day())?);
        let (hour, minute, second) = (part(civil.hour())?, part(civil.minute())?, part(civil.second())?);
        DateTime::from_date_and_time(year, month, day, hour, minute, second).ok()
    });
    date.unwrap_or_default()
}

fn broken(cause: impl Into<crate::storage::BoxError>) -> BodyError {
    BodyError::Storage(cause.into())
}

/// Buffer of the writer for bytes to send: never more than a chunk of ours, one of a record's, and a header.
#[derive(Debug, Clone, Default)]
struct Sink(Arc<Mutex<Vec<u8>>>);

impl Sink {
    /// Takes the buffered bytes if there are at least that many.
    fn take_chunk(&self, at_least: usize) -> Option<Bytes> {
        let mut bytes = self.0.lock();
        (bytes.len() >= at_least).then(|| std::mem::take(&mut *bytes).into())
    }
}

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Folder for records whose decoding fails midway. No key has a `/`, so none collides with it.
const AS_STORED: &str = "as-stored";

/// Folder for unreadable records.
const UNREADABLE: &str = "unreadable";

/// Maximum size of an encoded record that is held in memory, to be decoded once before its entry begins.
pub(super) const MAX_BUFFERED_BYTES: u64 = 4 * 1024 * 1024;

/// Maximum number of bytes decoded only as a check: half a second's work.
const MAX_CHECKED_BYTES: usize = 256 * 1024 * 1024;

/// Number of bytes after which a task that never waits yields.
const YIELD_BYTES: usize = 1024 * 1024;

/// Minimum length that needs 64 bits in an entry.
const ZIP64_LENGTH: u64 = u32::MAX as u64;

/// A file to be added to a ZIP file.
pub(super) struct Entry {
    /// Its path in the ZIP file.
    pub name: String,
    /// Comment in the file's directory.
    pub comment: String,
    /// Its bytes.
    pub body: ByteStream,
    /// True if its lengths have 64 bits. Readers of streams before Java 22 do not accept them for a shorter entry.
    pub is_large: bool,
    /// True if its body is decoded, which may fail.
    pub is_decoded: bool,
    written: u64,
    since_yield: usize,
}

impl Entry {
    fn new(name: String, comment: String, body: ByteStream) -> Self {
        Self { name, comment, body, is_large: false, is_decoded: false, written: 0, since_yield: 0 }
    }

    /// Returns the entry of a record. A record with a content coding is decoded. A small one is decoded in memory
    /// first, so that one whose coding is wrong is added as stored.
    pub async fn for_record(key: &RecordKey, object: Object, memory: &Arc<MemoryBudget>) -> Result<Self, BodyError> {
        let Object { meta, body, .. } = object;
        let name = content::file_name(key.as_str()).to_owned();
        let Some(coding) = coding_of(meta.attributes.content_encoding.as_deref()) else {
            return Ok(Self { is_large: meta.size >= ZIP64_LENGTH, ..Self::new(name, String::new(), body) });
        };
        let lease = memory.lease();
        if meta.size > MAX_BUFFERED_BYTES {
            let decoded = coding.decode(body, lease);
            return Ok(Self { is_large: true, is_decoded: true, ..Self::new(name, String::new(), decoded) });
        }
        let stored = lease.read_all(body, MAX_BUFFERED_BYTES).await?;
        let problem = decode_problem(coding, ByteStream::from(stored.clone()), lease.clone()).await?;
        lease.shrink_to(stored.len() as u64);
        let stored = ByteStream::from(stored);
        if let Some(problem) = problem {
            let comment =
                format!("This is the record as it is stored: it cannot be decoded as {} ({problem})", coding.as_str());
            return Ok(Self::new(name, comment, stored.holding(lease)));
        }
        Ok(Self { is_decoded: true, ..Self::new(name, String::new(), coding.decode(stored, lease)) })
    }

    /// Returns the entry of a record as stored, after its decoded entry ended early.
    pub fn as_stored(key: &RecordKey, object: Object, problem: &str) -> Self {
        let Object { meta, body, .. } = object;
        let file_name = content::file_name(key.as_str());
        let comment = format!("This is the record {key} as it is stored: {file_name} is not all of it ({problem})");
        let is_large = meta.size >= ZIP64_LENGTH;
        Self { is_large, ..Self::new(format!("{AS_STORED}/{file_name}"), comment, body) }
    }

    /// Returns the placeholder entry for a record whose stored bytes are damaged.
    pub fn unreadable(key: &RecordKey) -> Self {
        let name = format!("{UNREADABLE}/{}", content::file_name(key.as_str()));
        let comment = format!("The record {key} is damaged in its store, and cannot be read to its end");
        Self::new(name, comment, ByteStream::empty())
    }

    /// Counts bytes that are about to be written. Returns whether the entry has room for them. Yields from time to
    /// time.
    pub async fn accepts(&mut self, bytes: usize) -> bool {
        self.written += bytes as u64;
        yield_if_due(&mut self.since_yield, bytes).await;
        self.is_large || self.written < ZIP64_LENGTH
    }
}

fn coding_of(content_encoding: Option<&str>) -> Option<ContentCoding> {
    content_encoding.and_then(ContentCoding::parse)
}

/// Decodes a body only as a check, and returns the problem if decoding fails.
async fn decode_problem(coding: ContentCoding, body: ByteStream, lease: Lease) -> Result<Option<String>, BodyError> {
    let (mut decoded, mut length, mut since_yield) = (coding.decode(body, lease), 0, 0);
    while let Some(chunk) = decoded.next().await {
        match chunk {
            Ok(chunk) => {
                length += chunk.len();
                if length > MAX_CHECKED_BYTES {
                    break;
                }
                yield_if_due(&mut since_yield, chunk.len()).await;
            }
            Err(BodyError::Malformed(problem)) => return Ok(Some(problem)),
            Err(error) => return Err(error),
        }
    }
    Ok(None)
}

/// Yields once per that many bytes: data in memory never waits by itself.
async fn yield_if_due(since_yield: &mut usize, bytes: usize) {
    *since_yield += bytes;
    if *since_yield >= YIELD_BYTES {
        *since_yield = 0;
        tokio::task::yield_now().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_date_is_written_in_utc_and_an_impossible_one_is_the_earliest() {
        let date = dos_time(Timestamp::from_millis(1_767_225_661_999));
        assert_eq!(date.to_string(), "2026-01-01 00:01:00");
        assert_eq!(dos_time(Timestamp::from_millis(0)), DateTime::default());
    }

    #[tokio::test]
    async fn an_entry_whose_lengths_have_32_bits_ends_before_they_need_more() {
        for is_large in [false, true] {
            let mut entry = Entry { is_large, ..Entry::new(String::new(), String::new(), ByteStream::empty()) };
            assert!(entry.accepts(u32::MAX as usize - 1).await);
            assert_eq!(entry.accepts(1).await, is_large);
        }
    }
}
