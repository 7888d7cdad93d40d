//! The S3 object store: one request for each operation.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;

use larder_runtime::clock::{Clock, SkewCorrectedClock, Timestamp};

use super::{
    bucket::Bucket,
    http1::Response,
    lifecycle::RuleReconciler,
    location::{encode_into, query},
    object_headers::{
        ALL_ENCODINGS, add_content_encoding, content_type, decoded_encoding, decoded_error, read_length, read_meta,
        read_range, vendor_part, with_attributes,
    },
    response_documents::{self, ErrorResponse, parse_copy, parse_list},
    signer::Request,
    transport::RetrySafety,
    upload,
};
use crate::{
    Attributes, ByteRange, ByteStream, ETag, Error, GetOptions, Lifecycle, LifecycleError, ListOptions, ListPage,
    MAX_DELETE_KEYS, MAX_LIST_KEYS, Object, ObjectMeta, ObjectStore, Precondition, PutOptions, PutOutcome, Reconciled,
    Result, UnfinishedUpload, UploadPage, UploadPosition, WantedRules,
};

/// Maximum bytes of the response to a copy.
const MAX_REPORT_BYTES: u64 = 64 * 1024;

/// Maximum bytes of an object that one request copies.
/// (<https://docs.aws.amazon.com/AmazonS3/latest/API/API_CopyObject.html>)
const MAX_COPY_BYTES: u64 = 5 << 30;

/// Timeout for aborting uploads on shutdown.
const ABORT_TIMEOUT: Duration = Duration::from_secs(5);

/// Maximum offset in a range, beyond the end of every object. Several vendors accept no larger one. (`SeaweedFS` 4.48)
const MAX_OFFSET: u64 = i64::MAX.unsigned_abs();

/// An S3-compatible object store.
#[derive(Debug, Clone)]
pub struct S3Store {
    bucket: Arc<Bucket>,
    rules: RuleReconciler,
}

impl S3Store {
    /// Returns the object store of a bucket.
    pub(super) fn new(bucket: Arc<Bucket>) -> Self {
        Self { bucket, rules: RuleReconciler::default() }
    }

    /// Returns the bucket.
    pub(super) fn bucket(&self) -> &Arc<Bucket> {
        &self.bucket
    }

    /// Returns the endpoint of the object store, if it was configured.
    pub fn bucket_endpoint(&self) -> Option<String> {
        self.bucket.transport.resolver().endpoint().map(str::to_owned)
    }

    /// Returns the object store's time, as corrected by its responses.
    pub fn clock(&self) -> &Arc<SkewCorrectedClock> {
        self.bucket.transport.clock()
    }

    /// Waits for background tasks to end: aborts of multipart uploads.
    pub async fn close(&self) {
        self.bucket.tasks.close();
        // A lifecycle rule aborts the remaining uploads.
        let _ = tokio::time::timeout(ABORT_TIMEOUT, self.bucket.tasks.wait()).await;
    }

    fn outcome(&self, etag: &ETag, attributes: &Attributes, date: Option<Timestamp>) -> PutOutcome {
        let last_modified = date.unwrap_or_else(|| self.clock().now());
        PutOutcome { etag: with_attributes(etag, attributes), last_modified }
    }

    /// Copies an object onto itself, which makes it as recent as a new write.
    async fn copy_onto_itself(&self, key: &str) -> Result<PutOutcome> {
        let meta = self.head(key).await?;
        let (etag, date) = self.copy_on_server(key, key, Some(&meta)).await?;
        Ok(self.outcome(&etag, &meta.attributes, Some(date)))
    }

    /// Copies on the server, and returns the `ETag` and the date of the copy. Attributes are copied, too, or replaced by
    /// those of `replacement`, since S3 rejects a copy of an object onto itself that replaces nothing. Then the copy is
    /// conditional on the `ETag` of `replacement`, if the object store supports that (Ceph RGW 16 does not).
    async fn copy_on_server(
        &self,
        from: &str,
        to: &str,
        replacement: Option<&ObjectMeta>,
    ) -> Result<(ETag, Timestamp)> {
        let (source, target) = (self.bucket.full_key(from), self.bucket.full_key(to));
        let mut request = Request::new("PUT", Some(&target));
        let mut source_path = format!("/{}/", self.bucket.transport.bucket());
        encode_into(&mut source_path, &source, true);
        request.header("x-amz-copy-source", source_path);
        if let Some(ObjectMeta { etag, attributes, .. }) = replacement {
            request.header("x-amz-metadata-directive", "REPLACE");
            if let Some(etag) = vendor_part(etag) {
                request.header("x-amz-copy-source-if-match", format!("\"{etag}\""));
            }
            request.header("content-type", content_type(attributes));
            add_content_encoding(&mut request, attributes);
        }
        self.bucket.add_storage_headers(&mut request);
        let response = self.bucket.transport.send(request, RetrySafety::NotIdempotent).await?;
        let head = response.head.clone();
        let document = response.into_bytes(MAX_REPORT_BYTES).await?;
        match ErrorResponse::from_document(&head, &document) {
            Some(error) => Err(error.into_error(self.bucket.transport.context())),
            None => parse_copy(&document),
        }
    }

    /// Requests an object as it is stored. The first request accepts no content encoding. If a proxy has decoded the
    /// response, a second request accepts the encoding of the object, so that such proxies pass it on unchanged.
    async fn request_object(&self, method: &'static str, key: &str, range: Option<ByteRange>) -> Result<Response> {
        let request = |coding: Option<&str>| {
            let mut request = Request::new(method, Some(key));
            if let Some(range) = range {
                request.header("range", range_header(range));
            }
            match (coding, range) {
                (Some(coding), _) => request.header("accept-encoding", coding.to_owned()),
                // Ranges are those of the stored object. No proxy compresses a range, and decoding one would fail.
                (None, Some(_)) => request.header("accept-encoding", ALL_ENCODINGS),
                (None, None) => {}
            }
            request
        };
        let response = self.bucket.transport.send(request(None), RetrySafety::Idempotent).await?;
        let Some(coding) = decoded_encoding(&response.head) else { return Ok(response) };
        drop(response);
        self.bucket.decoding_proxy.record();
        let response = Box::pin(self.bucket.transport.send(request(Some(&coding)), RetrySafety::Idempotent)).await?;
        match decoded_encoding(&response.head) {
            None => Ok(response),
            Some(_) => Err(decoded_error(&coding, self.bucket.transport.context())),
        }
    }

    /// Reads the object and writes it again, since few object stores support conditional copies, and none declares them.
    async fn copy_conditionally(&self, from: &str, to: &str, precondition: Precondition) -> Result<PutOutcome> {
        let object = self.get(from, GetOptions::default()).await?;
        self.put(to, object.body, PutOptions { attributes: object.meta.attributes, precondition }).await
    }
}

#[async_trait]
impl ObjectStore for S3Store {
    async fn put(&self, key: &str, body: ByteStream, options: PutOptions) -> Result<PutOutcome> {
        let PutOptions { attributes, precondition } = options;
        let key = self.bucket.full_key(key);
        let (etag, date) = upload::upload_body(&self.bucket, &key, body, &attributes, &precondition).await?;
        Ok(self.outcome(&etag, &attributes, date.map(Timestamp::from)))
    }

    async fn get(&self, key: &str, options: GetOptions) -> Result<Object> {
        let full_key = self.bucket.full_key(key);
        if options.range == Some(ByteRange::Suffix(0)) {
            let size = self.head(key).await?.size;
            return Err(Error::RangeNotSatisfiable { size });
        }
        let response = match self.request_object("GET", &full_key, options.range).await {
            Ok(response) => response,
            // Some vendors omit the size.
            Err(Error::RangeNotSatisfiable { size: 0 }) => {
                let size = self.head(key).await?.size;
                return Err(Error::RangeNotSatisfiable { size });
            }
            Err(error) => return Err(error),
        };
        let (range, size) = read_range(&response.head, options.range)?;
        let meta = read_meta(&response.head, size)?;
        Ok(Object { meta, range, body: response.into_stream() })
    }

    async fn head(&self, key: &str) -> Result<ObjectMeta> {
        let key = self.bucket.full_key(key);
        let response = self.request_object("HEAD", &key, None).await?;
        let size = read_length(&response.head)?;
        read_meta(&response.head, size)
    }

    async fn delete(&self, key: &str, precondition: Precondition) -> Result<()> {
        let key = self.bucket.full_key(key);
        let mut request = Request::new("DELETE", Some(&key));
        match &precondition {
            Precondition::None => {}
            Precondition::IfAbsent => {
                return Err(Error::Unsupported("deletes on the condition that the object is absent"));
            }
            Precondition::IfMatch(etag) if vendor_part(etag).is_none() => return Err(Error::Precondition),
            Precondition::IfMatch(_) if !self.bucket.capabilities.load().allow_conditional_deletes() => {
                return Err(Error::Unsupported("conditional deletes"));
            }
            Precondition::IfMatch(_) => self.bucket.add_condition(&mut request, &precondition)?,
        }
        match self.bucket.transport.send(request, RetrySafety::NotIdempotent).await {
            Ok(response) => {
                let _ = response.into_bytes(MAX_REPORT_BYTES).await;
                Ok(())
            }
            Err(Error::NotFound) if precondition == Precondition::None => Ok(()),
            Err(error) => Err(self.bucket.map_write_error(error, &precondition)),
        }
    }

    async fn delete_many(&self, keys: Vec<String>) -> Result<()> {
        if keys.len() > MAX_DELETE_KEYS {
            return Err(Error::Unsupported("deleting more than 1,000 objects at once"));
        }
        if keys.is_empty() {
            return Ok(());
        }
        let keys: Vec<_> = keys.iter().map(|key| self.bucket.full_key(key)).collect();
        self.bucket.transport.with_throttle_retry(|| self.bucket.control.delete_many(&keys)).await
    }

    async fn list(&self, options: ListOptions) -> Result<ListPage> {
        let (prefix, limit) = (self.bucket.full_key(&options.prefix), options.limit.clamp(1, MAX_LIST_KEYS));
        let start_after = options.start_after.map(|key| self.bucket.full_key(&key)).unwrap_or_default();
        let limit = limit.to_string();
        let mut parts = vec![("list-type", "2"), ("max-keys", limit.as_str()), ("prefix", prefix.as_str())];
        if !start_after.is_empty() {
            parts.push(("start-after", &start_after));
        }
        let mut request = Request::new("GET", None);
        request.query = query(&parts);
        let listed = self.bucket.transport.send(request, RetrySafety::Idempotent).await;
        let response = listed.map_err(|error| self.bucket.map_write_error(error, &Precondition::None))?;
        let head = response.head.clone();
        let document = response.into_bytes(response_documents::MAX_DOCUMENT_BYTES).await?;
        let describe_non_list = |_| {
            Error::Unavailable(response_documents::describe_non_list(&head, self.bucket.transport.context()).into())
        };
        parse_list(&document, &self.bucket.options.prefix).map_err(describe_non_list)
    }

    async fn copy(&self, from: &str, to: &str, precondition: Precondition) -> Result<PutOutcome> {
        if precondition != Precondition::None {
            return self.copy_conditionally(from, to, precondition).await;
        }
        if from == to {
            return self.copy_onto_itself(from).await;
        }
        // One request copies attributes with the bytes. Attributes that were read before could be those of an older object.
        let (etag, date) = match self.copy_on_server(from, to, None).await {
            Err(Error::Unsupported(_) | Error::Rejected { .. }) if self.head(from).await?.size > MAX_COPY_BYTES => {
                return self.copy_conditionally(from, to, precondition).await;
            }
            copied => copied?,
        };
        let attributes = self.head(to).await.map_err(|error| match error {
            Error::NotFound => Error::Unavailable("the copy was deleted meanwhile".into()),
            error => error,
        });
        Ok(self.outcome(&etag, &attributes?.attributes, Some(date)))
    }

    async fn check(&self) -> Result<()> {
        Ok(())
    }

    fn lifecycle(&self) -> Option<&dyn Lifecycle> {
        Some(self)
    }
}

#[async_trait]
impl Lifecycle for S3Store {
    async fn reconcile(&self, wanted: &WantedRules) -> std::result::Result<Reconciled, LifecycleError> {
        let (store, wanted) = (self.clone(), wanted.clone());
        // Written rules must be read back, even if the caller is gone.
        let task = self.bucket.tasks.spawn(async move { store.rules.reconcile(&store.bucket, &store, &wanted).await });
        task.await.unwrap_or_else(|error| Err(Error::Unavailable(error.into()).into()))
    }

    async fn unfinished_uploads(&self, root: &str, from: Option<&UploadPosition>) -> Result<UploadPage> {
        let bucket = &self.bucket;
        let root = bucket.full_key(root);
        bucket
            .transport
            .with_throttle_retry(|| bucket.control.unfinished_uploads(&root, &bucket.options.prefix, from))
            .await
    }

    async fn last_part_at(&self, upload: &UnfinishedUpload) -> Result<Option<Timestamp>> {
        let bucket = &self.bucket;
        let key = bucket.full_key(&upload.key);
        bucket.transport.with_throttle_retry(|| bucket.control.last_part_at(&key, &upload.id)).await
    }

    async fn abort_upload(&self, upload: &UnfinishedUpload) -> Result<()> {
        let bucket = &self.bucket;
        let key = bucket.full_key(&upload.key);
        match bucket.transport.with_throttle_retry(|| bucket.control.abort_upload(&key, &upload.id)).await {
            Err(Error::NotFound) => Ok(()),
            aborted => aborted,
        }
    }
}

fn range_header(range: ByteRange) -> String {
    match range {
        ByteRange::Bounded { first, last } if last < MAX_OFFSET => format!("bytes={first}-{last}"),
        ByteRange::Bounded { first, .. } | ByteRange::From(first) => format!("bytes={}-", first.min(MAX_OFFSET)),
        ByteRange::Suffix(length) => format!("bytes=-{}", length.min(MAX_OFFSET)),
    }
}
