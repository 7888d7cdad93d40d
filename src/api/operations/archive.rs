//! Records of a store in one ZIP file, streamed without a temporary file.
//!
//! Memory holds a page of keys, a chunk of a record or a small encoded one, and the entries of the directory at the
//! file's end: some 300 bytes per record. Entries are deflated: their lengths follow their data, and readers of a
//! stream find the end of an uncompressed entry only by its length.

use std::{
    collections::{HashSet, VecDeque},
    io::{self, Write},
    sync::{Arc, Mutex, PoisonError},
};

use bytes::Bytes;
use futures_util::stream;
use http::{HeaderValue, Response, StatusCode, header};
use jiff::tz::TimeZone;
use zip::{
    CompressionMethod, DateTime, ZipWriter,
    write::{FullFileOptions, StreamWriter},
};

use crate::{
    api::{content, context::Context, error::ApiError, reply, reply_body::ReplyBody, request::Request},
    auth::Grant,
    clock::Timestamp,
    kv::{self, KeyQuery, ListedKey, RecordKey, Records, StoreView},
    storage::{self, BodyError, ByteStream, MemoryBudget},
    telemetry::work,
};

use super::{archive_entry::Entry, keys};

/// Number of bytes gathered before they are sent: small records would otherwise cost a write to the socket each.
const CHUNK_BYTES: usize = 64 * 1024;

/// Compression level of each entry, the fastest: many records are compressed already.
const LEVEL: i64 = 1;

/// Maximum number of records that a request can name.
const MAX_CHOSEN: usize = 1000;

/// Streams all records of a store, those of a collection or with a prefix, or those that `keys` names.
pub async fn download(
    context: &Context,
    grant: &Grant,
    request: &Request<'_>,
) -> Result<Response<ReplyBody>, ApiError> {
    let query = keys::filters(&request.query);
    let store = Arc::clone(grant.store());
    let mut archive = Archive::new(context, store, query);
    match request.query.text("keys") {
        Some(keys) => archive.choose(&keys)?,
        // List the first page now: an error of the request must be an error response, not half a file.
        None => archive.list().await?,
    }
    // Most of the file is produced after the response has begun.
    let commission = work::commission();
    let next = move |mut archive: Archive| {
        let next = async move { Ok(archive.next().await?.map(|chunk| (chunk, archive))) };
        work::carry_out(commission.clone(), next)
    };
    let chunks = ByteStream::new(None, stream::try_unfold(archive, next));
    let mut response = reply::empty(StatusCode::OK);
    *response.body_mut() = ReplyBody::read_ahead(chunks).await.map_err(ApiError::internal)?;
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
    store: Arc<StoreView>,
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
    fn new(context: &Context, store: Arc<StoreView>, query: KeyQuery) -> Self {
        let (records, memory) = (Arc::clone(&context.records), Arc::clone(&context.memory));
        let sink = Sink::default();
        let writer = Some(ZipWriter::new_stream(sink.clone()).set_auto_large_file());
        Self { records, memory, store, query, keys: VecDeque::new(), is_listed: false, current: None, writer, sink }
    }

    /// Returns the next bytes of the file; `None` at its end.
    async fn next(&mut self) -> Result<Option<Bytes>, BodyError> {
        loop {
            if let Some(chunk) = self.sink.take(CHUNK_BYTES) {
                return Ok(Some(chunk));
            }
            if self.writer.is_none() {
                return Ok(self.sink.take(1));
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
    fn choose(&mut self, keys: &str) -> Result<(), ApiError> {
        let mut seen = HashSet::new();
        for key in keys.split(',').filter(|key| seen.insert(*key)) {
            let key: RecordKey = key.parse()?;
            self.keys.push_back(ListedKey { key: key.as_str().to_owned(), size: 0 });
        }
        if self.keys.len() > MAX_CHOSEN {
            let message = format!("Invalid value of parameter keys: it can name at most {MAX_CHOSEN} records");
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
            Err(error) => return self.leave_out(current.key, error),
        };
        if !current.entry.takes(chunk.len()).await {
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
            Err(kv::Error::Corrupt(cause)) => return self.leave_out(key, broken(storage::Error::Corrupt(cause))),
            Err(error) => return Err(broken(error)),
        };
        let written = object.meta.last_modified;
        let entry = match problem {
            None => Entry::of_record(&key, object, &self.memory).await,
            Some(problem) => Ok(Entry::as_stored(&key, object, problem)),
        };
        match entry {
            Ok(entry) => self.start(key, entry, Some(written)),
            Err(error) => self.leave_out(key, error),
        }
    }

    /// Skips a record that is damaged in its store, and notes that in the file. Any other failure ends the file.
    fn leave_out(&mut self, key: RecordKey, error: BodyError) -> Result<(), BodyError> {
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
            .compression_level(Some(LEVEL))
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
    let told = civil.ok().and_then(|civil| {
        let year = u16::try_from(civil.year()).ok()?;
        let part = |part: i8| u8::try_from(part).ok();
        let (month, day) = (part(civil.month())?, part(civil.day())?);
        let (hour, minute, second) = (part(civil.hour())?, part(civil.minute())?, part(civil.second())?);
        DateTime::from_date_and_time(year, month, day, hour, minute, second).ok()
    });
    told.unwrap_or_default()
}

fn broken(cause: impl Into<crate::storage::BoxError>) -> BodyError {
    BodyError::Storage(cause.into())
}

/// Buffer of the writer for bytes to send: never more than a chunk of ours, one of a record's, and a header.
#[derive(Debug, Clone, Default)]
struct Sink(Arc<Mutex<Vec<u8>>>);

impl Sink {
    /// Takes the buffered bytes if there are at least that many.
    fn take(&self, at_least: usize) -> Option<Bytes> {
        let mut bytes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        (bytes.len() >= at_least).then(|| std::mem::take(&mut *bytes).into())
    }
}

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_date_is_told_in_utc_and_one_that_cannot_be_is_the_earliest() {
        let told = dos_time(Timestamp::from_millis(1_767_225_661_999));
        assert_eq!(told.to_string(), "2026-01-01 00:01:00");
        assert_eq!(dos_time(Timestamp::from_millis(0)), DateTime::default());
    }
}
