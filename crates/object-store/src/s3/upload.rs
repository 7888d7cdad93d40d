//! Uploads of bodies, in one request or multipart. Either way the object appears as a whole or not at all.
//!
//! A body of at most 64 KiB is buffered, so that the request can be retried. A longer body of known length streams in
//! one request, up to the part size. All others are multipart uploads:
//!
//! 1. Create the upload. It is visible only in lists of unfinished uploads.
//! 2. Store the parts, one after the other. Idempotent: the last write of a part number counts.
//! 3. Complete the upload, with the precondition. This is the commit point. It is not idempotent, and retried only while
//!    the object store throttles.
//! 4. A conflict (412, 409) or another error response of the object store means that no object was created: abort the
//!    upload, which deletes its parts.
//! 5. A timeout or a lost connection in step 3 leaves the outcome in doubt: the object may still appear. The upload is
//!    not aborted, since that could race with its completion, and the caller gets the error.
//!
//! An upload that is dropped before step 3 is aborted in the background. A crash, or step 5, leaves an unfinished upload.
//! The job for abandoned uploads aborts it a day later, or a lifecycle rule after a week.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, ready},
};

use base64::{Engine, prelude::BASE64_STANDARD};
use bytes::{Bytes, BytesMut};
use futures_util::{Stream, StreamExt};
use md5::{Digest, Md5};
use parking_lot::Mutex;

use larder_runtime::telemetry::request_context::{self, ContextHandle};

use super::{
    bucket::Bucket,
    control_plane::{CompletionError, NewUpload, UploadedPart},
    http1::RequestBody,
    location::query,
    object_headers::{add_content_encoding, content_type, unquote},
    signer::{Request, payload_hash},
    transport::RetrySafety,
};
use crate::{
    Attributes, BodyError, ByteStream, ETag, Error, Lease, MemoryBudget, Precondition, RejectedFor, Result,
    body::ContentLengthCheck,
};

/// Maximum number of parts of an upload. (<https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html>)
const MAX_PARTS: u64 = 10_000;

/// Size of the first buffered parts, for bodies of unknown length.
const BUFFERED_PART_BYTES: u64 = 8 << 20;

/// Number of buffered parts after which their size grows by the first size, so that 10,000 parts hold any record.
const PARTS_PER_SIZE_STEP: u64 = 1000;

/// Maximum bytes of a body sent without `100 Continue`, which costs a round trip.
const MAX_BYTES_WITHOUT_CONTINUE: u64 = 1 << 20;

/// Maximum bytes of a body of known length that is buffered: it is sent with the head in one write, and can be retried.
const MAX_BUFFERED_BODY_BYTES: u64 = 64 * 1024;

/// Stores a body under the full key, and returns the vendor's `ETag` and the time of the response.
pub async fn upload_body(
    bucket: &Arc<Bucket>,
    key: &str,
    body: ByteStream,
    attributes: &Attributes,
    precondition: &Precondition,
) -> Result<(ETag, Option<std::time::SystemTime>)> {
    // Fails before anything is sent if the condition cannot be expressed.
    bucket.condition_for(precondition)?;
    if attributes.content_encoding.is_some() && !bucket.capabilities.load().content_encodings {
        let source = "a proxy before the object store decodes objects with a Content-Encoding".into();
        return Err(Error::Rejected { reason: RejectedFor::Coding, source });
    }
    let options = &bucket.options;
    let is_hashed = options.signs_payload || options.sends_md5;
    let upload = Upload { bucket, key, attributes, precondition };
    let may_use_parts = *precondition == Precondition::None || bucket.capabilities.load().conditional_completions;
    match body.length() {
        Some(length) if length <= MAX_BUFFERED_BODY_BYTES => {
            let part = PartBuffer::new(body).next_part(length, &bucket.options.memory).await?;
            upload.put(RequestBody::Bytes(part.bytes), length).await
        }
        Some(length) if !is_hashed && (length <= options.part_bytes || !may_use_parts) => {
            upload.put(RequestBody::Stream { stream: body, started: false }, length).await
        }
        // Boxed, so that the future of a small put is not as large as theirs.
        Some(length) if !is_hashed => Box::pin(upload.stream_parts(body, length)).await,
        Some(_) | None => Box::pin(upload.buffer_parts(body, may_use_parts)).await,
    }
}

/// Stores a few bytes as a multipart upload of one part, as a probe does.
pub async fn upload_as_one_part(bucket: &Arc<Bucket>, key: &str, precondition: &Precondition) -> Result<()> {
    let attributes = Attributes { content_type: "text/plain".to_owned(), content_encoding: None };
    let upload = Upload { bucket, key, attributes: &attributes, precondition };
    let mut parts = upload.create().await?;
    parts.send(RequestBody::Bytes("part".into()), 4).await?;
    parts.complete().await.map(drop)
}

struct Upload<'a> {
    bucket: &'a Arc<Bucket>,
    key: &'a str,
    attributes: &'a Attributes,
    precondition: &'a Precondition,
}

impl Upload<'_> {
    /// Stores the body in one request.
    async fn put(&self, body: RequestBody, length: u64) -> Result<(ETag, Option<std::time::SystemTime>)> {
        let mut request = self.request(body, length);
        self.bucket.add_condition(&mut request, self.precondition)?;
        request.header("content-type", content_type(self.attributes));
        add_content_encoding(&mut request, self.attributes);
        self.bucket.add_storage_headers(&mut request);
        let sent = self.bucket.transport.send(request, RetrySafety::NotIdempotent).await;
        let response = sent.map_err(|error| self.bucket.map_write_error(error, self.precondition))?;
        let etag = response.head.get("etag").map(unquote);
        let date = response.head.get("date").and_then(|date| httpdate::parse_http_date(date).ok());
        // Unread, the body would cost the connection.
        let _ = response.into_bytes(MAX_BYTES_WITHOUT_CONTINUE).await;
        let etag = etag.ok_or_else(|| Error::Unavailable("the object store returned no ETag for the object".into()))?;
        Ok((etag, date))
    }

    fn request(&self, body: RequestBody, length: u64) -> Request<'_> {
        let mut request = Request::new("PUT", Some(self.key));
        if let RequestBody::Bytes(bytes) = &body {
            if self.bucket.options.signs_payload {
                request.payload_hash = Some(payload_hash(bytes));
            }
            if self.bucket.options.sends_md5 {
                request.header("content-md5", BASE64_STANDARD.encode(Md5::digest(bytes)));
            }
        }
        request.awaits_continue = length > MAX_BYTES_WITHOUT_CONTINUE;
        request.body = body;
        request.length = length;
        request
    }

    /// Streams the body in parts.
    async fn stream_parts(&self, body: ByteStream, length: u64) -> Result<(ETag, Option<std::time::SystemTime>)> {
        let size = self.bucket.options.part_bytes.max(length.div_ceil(MAX_PARTS));
        let stream = PartStream::new(body);
        let mut parts = self.create().await?;
        let mut left = length;
        while left > 0 {
            let part = size.min(left);
            parts.send(RequestBody::Stream { stream: stream.next_part(part), started: false }, part).await?;
            left -= part;
        }
        if !stream.has_ended().await.map_err(Error::Body)? {
            let words = format!("it is longer than the {length} bytes it announced");
            return Err(Error::Body(BodyError::Malformed(words)));
        }
        parts.complete().await
    }

    /// Stores a short body in one request, else in buffered parts.
    async fn buffer_parts(
        &self,
        body: ByteStream,
        may_use_parts: bool,
    ) -> Result<(ETag, Option<std::time::SystemTime>)> {
        let mut buffer = PartBuffer::new(body);
        let first = buffer.next_part(BUFFERED_PART_BYTES, &self.bucket.options.memory).await?;
        if first.is_last {
            return self.put(RequestBody::Bytes(first.bytes.clone()), first.bytes.len() as u64).await;
        }
        if !may_use_parts {
            return Err(Error::Unsupported("conditional writes of large bodies of unknown length"));
        }
        let mut parts = self.create().await?;
        parts.send_buffered(first).await?;
        for number in 1..MAX_PARTS {
            let size = BUFFERED_PART_BYTES * (1 + number / PARTS_PER_SIZE_STEP);
            let part = buffer.next_part(size, &self.bucket.options.memory).await?;
            let is_last = part.is_last;
            if !part.bytes.is_empty() {
                parts.send_buffered(part).await?;
            }
            if is_last {
                return parts.complete().await;
            }
        }
        Err(Error::Unsupported("a body of unknown length and more than 400 GiB"))
    }

    async fn create(&self) -> Result<MultipartUpload<'_>> {
        let upload = NewUpload {
            key: self.key,
            content_type: content_type(self.attributes),
            content_encoding: self.attributes.content_encoding.as_deref(),
        };
        let id = self.bucket.control.create_upload(&upload, &self.bucket.options).await?;
        Ok(MultipartUpload {
            upload: self,
            id,
            sent: Vec::new(),
            is_completed: false,
            context: request_context::current(),
        })
    }
}

/// A multipart upload in progress. It is aborted if it is dropped before its completion.
struct MultipartUpload<'a> {
    upload: &'a Upload<'a>,
    id: String,
    sent: Vec<UploadedPart>,
    is_completed: bool,
    /// The request context for the abort.
    context: Option<ContextHandle>,
}

impl MultipartUpload<'_> {
    /// Sends a buffered part and returns its memory to the budget. Buffering the next part while holding this one could
    /// deadlock with other uploads that do the same.
    async fn send_buffered(&mut self, part: Part) -> Result<()> {
        self.send(RequestBody::Bytes(part.bytes.clone()), part.bytes.len() as u64).await
    }

    async fn send(&mut self, body: RequestBody, length: u64) -> Result<()> {
        let number = i32::try_from(self.sent.len() + 1).unwrap_or(i32::MAX);
        let mut request = self.upload.request(body, length);
        request.query = query(&[("partNumber", &number.to_string()), ("uploadId", &self.id)]);
        // Idempotent: the upload is ours alone, and the last write of a part counts.
        let response = self.upload.bucket.transport.send(request, RetrySafety::Idempotent).await?;
        let etag = response.head.get("etag").unwrap_or_default().to_owned();
        let _ = response.into_bytes(MAX_BYTES_WITHOUT_CONTINUE).await;
        self.sent.push(UploadedPart { number, etag });
        Ok(())
    }

    async fn complete(mut self) -> Result<(ETag, Option<std::time::SystemTime>)> {
        let bucket = self.upload.bucket;
        let condition = bucket.condition_for(self.upload.precondition)?;
        let parts = std::mem::take(&mut self.sent);
        // Commit point: from here on the object may appear, and its parts must not be deleted.
        self.is_completed = true;
        let is_rejected = AtomicBool::new(false);
        let complete = || async {
            let completed = bucket.control.complete_upload(self.upload.key, &self.id, &parts, &condition).await;
            completed.map_err(|CompletionError { error, is_rejected: rejected }| {
                is_rejected.store(rejected, Ordering::Relaxed);
                error
            })
        };
        let completed = bucket.transport.with_throttle_retry(complete).await;
        let etag = match completed {
            Ok(etag) => etag,
            Err(error) => {
                // In doubt without a response: the object may still be created, so its parts stay.
                let is_rejected = is_rejected.load(Ordering::Relaxed);
                if is_rejected || matches!(error, Error::Precondition | Error::NotFound | Error::Throttled { .. }) {
                    self.is_completed = false;
                }
                return Err(bucket.map_write_error(error, self.upload.precondition));
            }
        };
        match etag {
            Some(etag) => Ok((unquote(&etag), None)),
            // Some vendors omit the `ETag` here. (Ceph RGW 16)
            None => bucket.head_etag(self.upload.key).await.map(|(etag, date)| (etag, Some(date))),
        }
    }
}

impl Drop for MultipartUpload<'_> {
    fn drop(&mut self) {
        if self.is_completed {
            return;
        }
        let (bucket, key, id) =
            (Arc::clone(self.upload.bucket), self.upload.key.to_owned(), std::mem::take(&mut self.id));
        let abort = async move {
            if let Err(error) = bucket.control.abort_upload(&key, &id).await {
                tracing::warn!(%error, "cannot abort a multipart upload; retrying in a day");
            }
        };
        let _detached = self.upload.bucket.tasks.spawn(request_context::with_context(self.context.take(), abort));
    }
}

// Bodies of the parts of a multipart upload: buffered in memory, or streamed from a body of known length.
//
// A part is buffered if the length of the body is unknown, or if a hash precedes it. The memory budget is charged as
// the bytes arrive. Streamed parts are read in sequence.

/// A buffered part of a body, with the lease of its memory.
#[derive(Debug)]
pub struct Part {
    /// The bytes.
    pub bytes: Bytes,
    /// True if it is the last part.
    pub is_last: bool,
    _lease: Lease,
}

/// Buffer for a body, one part at a time.
#[derive(Debug)]
pub struct PartBuffer {
    body: ByteStream,
    announced: ContentLengthCheck,
    /// Received bytes of the next part.
    rest: Bytes,
}

impl PartBuffer {
    /// Buffers `body`.
    pub fn new(body: ByteStream) -> Self {
        let announced = ContentLengthCheck::new(body.length());
        Self { body, announced, rest: Bytes::new() }
    }

    /// Returns the next `size` bytes, or the rest of the body if that is less. Charges `budget` as the bytes arrive, so
    /// that a body holds only the memory of the bytes received.
    pub async fn next_part(&mut self, size: u64, budget: &Arc<MemoryBudget>) -> Result<Part> {
        let expected = self.announced.remaining().map_or(size, |left| size.min(left + self.rest.len() as u64));
        let (size, expected) =
            (usize::try_from(size).unwrap_or(usize::MAX), usize::try_from(expected).unwrap_or(usize::MAX));
        let lease = budget.lease();
        let mut buffered = BytesMut::new();
        let mut next = Some(std::mem::take(&mut self.rest));
        while let Some(mut chunk) = next {
            let is_full = buffered.len() + chunk.len() > size;
            if is_full {
                self.rest = chunk.split_off(size - buffered.len());
            }
            lease.append(&mut buffered, &chunk, expected).await.map_err(Error::Body)?;
            if is_full {
                return Ok(Part { bytes: buffered.freeze(), is_last: false, _lease: lease });
            }
            next = self.next(&lease).await?;
        }
        Ok(Part { bytes: buffered.freeze(), is_last: true, _lease: lease })
    }

    async fn next(&mut self, lease: &Lease) -> Result<Option<Bytes>> {
        let chunk = lease.next(&mut self.body).await.transpose().map_err(Error::Body)?;
        match &chunk {
            Some(chunk) => self.announced.add(chunk.len()).map_err(Error::Body)?,
            None => self.announced.finish().map_err(Error::Body)?,
        }
        Ok(chunk)
    }
}

/// A body of known length, split into streamed parts.
#[derive(Debug, Clone)]
pub struct PartStream(Arc<Mutex<SharedBody>>);

#[derive(Debug)]
struct SharedBody {
    body: ByteStream,
    /// Received bytes of the next part.
    rest: Bytes,
}

impl PartStream {
    /// Splits `body`.
    pub fn new(body: ByteStream) -> Self {
        Self(Arc::new(Mutex::new(SharedBody { body, rest: Bytes::new() })))
    }

    /// Returns the next part, of exactly `length` bytes; the previous one must have been read to its end.
    pub fn next_part(&self, length: u64) -> ByteStream {
        ByteStream::new(Some(length), StreamedPart { source: self.clone(), left: length })
    }

    /// Returns whether the body has ended. It must have after its last part.
    pub async fn has_ended(&self) -> std::result::Result<bool, BodyError> {
        let mut more = self.next_part(u64::MAX);
        Ok(more.next().await.transpose()?.is_none())
    }
}

struct StreamedPart {
    source: PartStream,
    left: u64,
}

impl Stream for StreamedPart {
    type Item = std::result::Result<Bytes, BodyError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.left == 0 {
            return Poll::Ready(None);
        }
        let source = Arc::clone(&self.source.0);
        let mut source = source.lock();
        let mut chunk = if source.rest.is_empty() {
            match ready!(source.body.poll_next_unpin(context)) {
                Some(Ok(chunk)) => chunk,
                ended => return Poll::Ready(ended),
            }
        } else {
            std::mem::take(&mut source.rest)
        };
        let wanted = usize::try_from(self.left).unwrap_or(usize::MAX);
        if chunk.len() > wanted {
            source.rest = chunk.split_off(wanted);
        }
        self.left -= chunk.len() as u64;
        Poll::Ready(Some(Ok(chunk)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use larder_runtime::clock::SystemClock;

    fn budget() -> Arc<MemoryBudget> {
        Arc::new(MemoryBudget::new(1 << 20, Arc::new(SystemClock)))
    }

    fn chunks(sizes: &[usize]) -> ByteStream {
        let chunks: Vec<_> = sizes.iter().map(|size| Ok(Bytes::from(vec![b'x'; *size]))).collect();
        ByteStream::new(None, futures_util::stream::iter(chunks))
    }

    #[tokio::test]
    async fn a_body_comes_in_parts_of_the_requested_size() {
        let budget = budget();
        let mut buffer = PartBuffer::new(chunks(&[100_000, 1, 99_999, 50]));
        let mut sizes = Vec::new();
        loop {
            let part = buffer.next_part(80_000, &budget).await.expect("a part");
            sizes.push(part.bytes.len());
            if part.is_last {
                break;
            }
        }
        assert_eq!(sizes, [80_000, 80_000, 40_050]);
    }

    #[tokio::test]
    async fn a_part_holds_only_the_memory_of_the_received_bytes() {
        let budget = budget();
        let (sender, mut receiver) = tokio::sync::mpsc::unbounded_channel();
        let chunks = futures_util::stream::poll_fn(move |context| receiver.poll_recv(context));
        let mut buffer = PartBuffer::new(ByteStream::new(None, chunks));
        let mut part = Box::pin(buffer.next_part(8 << 20, &budget));
        for _ in 0..7 {
            sender.send(Ok(Bytes::from(vec![b'x'; 10_000]))).expect("the body is read");
        }
        assert!(futures_util::poll!(&mut part).is_pending());
        assert!(budget.held() <= 128 << 10, "{} bytes are held for 70,000", budget.held());
        drop(part);
        assert_eq!(budget.held(), 0);
    }

    #[tokio::test]
    async fn no_more_than_a_part_is_reserved() {
        let budget = budget();
        let mut buffer = PartBuffer::new(chunks(&[10_000; 30]));
        let part = buffer.next_part(200_000, &budget).await.expect("a part");
        assert_eq!(part.bytes.len(), 200_000);
        assert_eq!(budget.held(), 200_000 - (64 << 10), "64 KiB are free");
    }

    #[tokio::test]
    async fn parts_have_their_length_wherever_chunks_end() {
        let body = ByteStream::from(Bytes::from_static(b"0123456789"));
        let stream = PartStream::new(body);
        for (length, part) in [(4, &b"0123"[..]), (1, b"4"), (5, b"56789")] {
            assert_eq!(stream.next_part(length).into_bytes(10).await.expect("a part"), part);
        }
        assert!(stream.has_ended().await.expect("nothing fails"));
    }

    #[tokio::test]
    async fn a_longer_body_has_not_ended() {
        let stream = PartStream::new(ByteStream::from(Bytes::from_static(b"0123456789")));
        let _ = stream.next_part(9).into_bytes(10).await;
        assert!(!stream.has_ended().await.expect("nothing fails"));
    }
}
