//! All records of a store in one ZIP file, made while it is sent: in flat memory, without a temporary file.

use std::{
    collections::VecDeque,
    io::{self, Write},
    sync::{Arc, Mutex, PoisonError},
};

use bytes::Bytes;
use futures_util::stream;
use http::{HeaderValue, Response, StatusCode, header};
use zip::{
    CompressionMethod, ZipWriter,
    write::{SimpleFileOptions, StreamWriter},
};

use crate::{
    api::{context::Context, error::ApiError, reply, reply_body::ReplyBody, request::Request},
    auth::Grant,
    kv::{self, ContentCoding, KeyQuery, ListedKey, RecordKey, Records, StoreView},
    storage::{BodyError, ByteStream, Object},
};

use super::keys;

/// All records of a store, or those of a collection or with a prefix.
pub async fn download(
    context: &Context,
    grant: &Grant,
    request: &Request<'_>,
) -> Result<Response<ReplyBody>, ApiError> {
    let query = keys::filters(&request.query);
    let store = Arc::clone(grant.store());
    let mut archive = Archive::new(Arc::clone(&context.records), store, query);
    // The first page now: what is wrong with the request is to be an error, not half a file.
    archive.list().await?;
    let chunks =
        stream::try_unfold(
            archive,
            |mut archive| async move { Ok(archive.next().await?.map(|chunk| (chunk, archive))) },
        );
    let mut response = reply::empty(StatusCode::OK);
    *response.body_mut() = ByteStream::new(None, chunks).into();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/zip"));
    let name = format!("attachment; filename=\"{}.zip\"", grant.store().document.id);
    headers.extend(HeaderValue::try_from(name).ok().map(|name| (header::CONTENT_DISPOSITION, name)));
    Ok(response)
}

/// A ZIP file in the making.
struct Archive {
    records: Arc<Records>,
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
    fn new(records: Arc<Records>, store: Arc<StoreView>, query: KeyQuery) -> Self {
        let sink = Sink::default();
        let writer = Some(ZipWriter::new_stream(sink.clone()));
        Self { records, store, query, keys: VecDeque::new(), is_listed: false, record: None, writer, sink }
    }

    /// The next bytes of the file; `None` at its end.
    async fn next(&mut self) -> Result<Option<Bytes>, BodyError> {
        while self.sink.is_empty() {
            let Some(writer) = &mut self.writer else { return Ok(None) };
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
        Ok(Some(self.sink.take()))
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
        let options = SimpleFileOptions::default().compression_method(CompressionMethod::Stored).large_file(true);
        let writer = self.writer.as_mut().ok_or(BodyError::Aborted)?;
        writer.start_file(entry_name(key.as_str()), options).map_err(broken)?;
        self.record = Some(match coding {
            Some(coding) => coding.decode(body),
            None => body,
        });
        Ok(())
    }
}

/// The name of a record's entry: its key, but for the two keys that whoever unpacks the file would take for folders.
fn entry_name(key: &str) -> &str {
    match key {
        "." => "%2E",
        ".." => "%2E%2E",
        key => key,
    }
}

fn broken(cause: impl Into<crate::storage::BoxError>) -> BodyError {
    BodyError::Storage(cause.into())
}

/// Where the writer leaves bytes until they are sent: never more than a chunk and a few headers.
#[derive(Debug, Clone, Default)]
struct Sink(Arc<Mutex<Vec<u8>>>);

impl Sink {
    fn is_empty(&self) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).is_empty()
    }

    fn take(&self) -> Bytes {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner)).into()
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
