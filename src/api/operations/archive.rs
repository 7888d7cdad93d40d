//! Records of a store in one ZIP file, made while it is sent, without a temporary file.
//!
//! In memory are a page of keys, a chunk of a record, and what the directory at the file's end will say: some 300 bytes
//! for each record.

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
    write::{SimpleFileOptions, StreamWriter},
};

use crate::{
    api::{content, context::Context, error::ApiError, reply, reply_body::ReplyBody, request::Request},
    auth::Grant,
    clock::Timestamp,
    kv::{self, ContentCoding, KeyQuery, ListedKey, RecordKey, Records, StoreView},
    storage::{BodyError, ByteStream, MemoryBudget, Object},
    telemetry::work,
};

use super::keys;

/// Bytes that are gathered before they are sent: small records would cost a write to the socket each.
const CHUNK_BYTES: usize = 64 * 1024;

/// The most records that can be named to be in one file.
const MAX_CHOSEN: usize = 1000;

/// All records of a store, those of a collection or with a prefix, or those that `keys` names.
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
        // The first page now: what is wrong with the request is to be an error, not half a file.
        None => archive.list().await?,
    }
    // Most of it is made when this request is answered already.
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

/// A ZIP file in the making.
struct Archive {
    records: Arc<Records>,
    memory: Arc<MemoryBudget>,
    store: Arc<StoreView>,
    query: KeyQuery,
    /// Keys that were listed and are still to be written.
    keys: VecDeque<ListedKey>,
    /// Whether more keys have to be listed.
    is_listed: bool,
    /// The record that is being written.
    record: Option<ByteStream>,
    writer: Option<ZipWriter<StreamWriter<Sink>>>,
    sink: Sink,
}

impl Archive {
    fn new(context: &Context, store: Arc<StoreView>, query: KeyQuery) -> Self {
        let (records, memory) = (Arc::clone(&context.records), Arc::clone(&context.memory));
        let sink = Sink::default();
        let writer = Some(ZipWriter::new_stream(sink.clone()));
        Self { records, memory, store, query, keys: VecDeque::new(), is_listed: false, record: None, writer, sink }
    }

    /// The next bytes of the file; `None` at its end.
    async fn next(&mut self) -> Result<Option<Bytes>, BodyError> {
        loop {
            if let Some(chunk) = self.sink.take(CHUNK_BYTES) {
                return Ok(Some(chunk));
            }
            let Some(writer) = &mut self.writer else { return Ok(self.sink.take(1)) };
            if let Some(record) = &mut self.record {
                match record.next().await.transpose()? {
                    Some(chunk) => writer.write_all(&chunk).map_err(broken)?,
                    None => self.record = None,
                }
            } else if let Some(listed) = self.keys.pop_front() {
                self.begin(&listed).await?;
            } else if self.is_listed {
                let writer = self.writer.take().ok_or(BodyError::Aborted)?;
                writer.finish().map_err(broken)?;
            } else {
                self.list().await.map_err(broken)?;
            }
        }
    }

    /// Takes the records of these keys, with commas between them, and no others. Those that are not there are left out, as those
    /// that are deleted meanwhile.
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

    /// Begins the entry of a record; one that was deleted since it was listed is left out.
    async fn begin(&mut self, listed: &ListedKey) -> Result<(), BodyError> {
        let key: RecordKey = listed.key.parse().map_err(broken)?;
        let Object { meta, body, .. } = match self.records.get(&self.store, &key, None).await {
            Ok(object) => object,
            Err(kv::Error::RecordNotFound) => return Ok(()),
            Err(error) => return Err(broken(error)),
        };
        let coding = meta.attributes.content_encoding.as_deref().and_then(ContentCoding::parse);
        // Sizes are told behind each entry, and may need 64 bits.
        let options = SimpleFileOptions::default()
            .compression_method(CompressionMethod::Stored)
            .large_file(true)
            .last_modified_time(dos_time(meta.last_modified));
        let writer = self.writer.as_mut().ok_or(BodyError::Aborted)?;
        writer.start_file(content::file_name(key.as_str()), options).map_err(broken)?;
        self.record = Some(match coding {
            Some(coding) => coding.decode(body, self.memory.lease()),
            None => body,
        });
        Ok(())
    }
}

/// A moment as these files tell it: in UTC, to two seconds, from 1980 on.
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

/// Where the writer leaves bytes until they are sent: never more than a chunk of ours, one of a record's, and a header.
#[derive(Debug, Clone, Default)]
struct Sink(Arc<Mutex<Vec<u8>>>);

impl Sink {
    /// What is there, if that is at least so many bytes.
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
