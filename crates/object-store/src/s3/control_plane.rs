//! The control plane, by the AWS SDK: creates the bucket, deletes objects in batches, and begins and ends multipart
//! uploads.
//!
//! The SDK costs several times the processor time of our own requests. Here it makes a few calls for many objects or
//! for large ones, and its care for every vendor's protocol is worth that.

use std::{collections::HashMap, sync::Arc};

use aws_sdk_s3::{
    config::retry::RetryConfig,
    error::{ProvideErrorMetadata, SdkError},
    types::{
        BucketLocationConstraint, CompletedMultipartUpload, CompletedPart, CreateBucketConfiguration, Delete,
        MultipartUpload, ObjectIdentifier,
    },
};
use aws_smithy_runtime_api::{
    client::{
        http::{HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector},
        orchestrator::{HttpRequest, HttpResponse},
        result::ConnectorError,
        runtime_components::RuntimeComponents,
    },
    http::StatusCode,
};
use aws_smithy_types::body::SdkBody;
use bytes::Bytes;

use larder_runtime::{clock::Timestamp, telemetry::CallClass};

use super::{
    bucket::{Encryption, S3Options},
    credentials::{CurrentCredentials, rejects_credentials},
    http1::{Endpoint, Http1Client, Http1Error, Http1Request, RequestBody},
    location::{Location, Resolver},
    object_headers::STORED_ENCODING_METADATA,
    response_documents::{ErrorContext, ErrorResponse},
};
use crate::{BoxError, Error, Result, UnfinishedUpload, UploadPage, UploadPosition};

/// The control plane of the bucket.
#[derive(Debug)]
pub struct ControlPlane {
    resolver: Arc<Resolver>,
    credentials: Arc<CurrentCredentials>,
    context: Arc<ErrorContext>,
}

impl ControlPlane {
    /// Returns the control plane of the bucket that `resolver` finds.
    pub fn new(resolver: Arc<Resolver>, credentials: Arc<CurrentCredentials>, context: Arc<ErrorContext>) -> Self {
        Self { resolver, credentials, context }
    }

    /// Maps an error of the SDK.
    pub(super) fn map_error<E: std::error::Error + 'static>(&self, error: &SdkError<E, HttpResponse>) -> Error {
        let Some(response) = error.raw_response() else {
            let is_kept_waiting = matches!(error, SdkError::TimeoutError(_))
                || matches!(error, SdkError::DispatchFailure(failure) if failure.is_timeout());
            return if is_kept_waiting {
                Error::Timeout
            } else {
                let endpoint = &self.context.endpoint;
                Error::Unavailable(
                    format!("cannot reach the object store at {endpoint}: {}", error_chain(error)).into(),
                )
            };
        };
        let document = response.body().bytes().unwrap_or_default();
        let status = response.status().as_u16();
        let parsed = ErrorResponse::from_parts(status, |name| response.headers().get(name), document);
        match (parsed.status, parsed.code.as_str()) {
            // A 404 from something other than the object store says nothing about an object.
            (404, "") => Error::Unavailable(parsed.describe(&self.context).into()),
            (200..300, "") => Error::Unavailable(
                format!("cannot read the response of the object store: {}", error_chain(error)).into(),
            ),
            _ => parsed.into_error(&self.context),
        }
    }

    /// Makes a call at the current location of the bucket. Repeats it once if the object store rejected the credentials
    /// and there are new ones.
    pub(super) async fn call<T, E, F>(
        &self,
        call: impl Fn(Arc<Location>) -> F,
    ) -> std::result::Result<T, SdkError<E, HttpResponse>>
    where
        E: ProvideErrorMetadata,
        F: Future<Output = std::result::Result<T, SdkError<E, HttpResponse>>>,
    {
        let used = self.credentials.get().await.ok();
        let outcome = call(self.resolver.location()).await;
        if let (Some(used), Err(error)) = (used, &outcome)
            && let Some(response) = error.raw_response()
            && rejects_credentials(response.status().as_u16(), error.code().unwrap_or_default())
            && self.credentials.reload_rejected(&used).await
        {
            return call(self.resolver.location()).await;
        }
        outcome
    }

    /// Returns the name of the bucket.
    pub(super) fn bucket(&self) -> &str {
        self.resolver.bucket()
    }

    /// Creates the bucket, unless it exists.
    pub async fn create_bucket(&self) -> Result<()> {
        let is_aws = self.resolver.endpoint().is_none();
        let created = self.call(|location| {
            // AWS requires the name of every region except its first; others reject unknown names.
            let constraint = Some(location.region.as_str()).filter(|region| is_aws && *region != "us-east-1");
            let configuration = constraint.map(|region| {
                let region = BucketLocationConstraint::from(region);
                CreateBucketConfiguration::builder().location_constraint(region).build()
            });
            let request = location.client.create_bucket().bucket(self.bucket());
            request.set_create_bucket_configuration(configuration).send()
        });
        match created.await {
            Ok(_) => Ok(()),
            Err(error) if matches!(error.code(), Some("BucketAlreadyOwnedByYou" | "BucketAlreadyExists")) => Ok(()),
            Err(error) => Err(self.map_error(&error)),
        }
    }

    /// Deletes up to 1,000 objects.
    pub async fn delete_many(&self, keys: &[String]) -> Result<()> {
        let malformed = |_| Error::Unavailable("cannot build the list of keys to delete".into());
        let objects = keys.iter().map(|key| ObjectIdentifier::builder().key(key).build());
        let objects = objects.collect::<std::result::Result<_, _>>().map_err(malformed)?;
        let delete = Delete::builder().set_objects(Some(objects)).quiet(true).build().map_err(malformed)?;
        let done = self.call(|location| {
            let request = location.client.delete_objects().bucket(self.bucket()).delete(delete.clone());
            request.customize().config_override(without_retries()).send()
        });
        let done = done.await.map_err(|error| self.map_error(&error))?;
        match done.errors().iter().find(|error| error.code() != Some("NoSuchKey")) {
            None => Ok(()),
            Some(error) => {
                let (code, words) = (error.code().unwrap_or_default(), error.message().unwrap_or_default());
                let (count, context) = (done.errors().len(), &self.context);
                let words = format!("cannot delete {count} objects: {code}: {words} ({context})");
                Err(Error::Unavailable(words.into()))
            }
        }
    }
}

/// Returns a configuration without retries, for calls that are not idempotent. The SDK also retries calls whose outcome
/// is in doubt: then a completion that won the race reports that it lost, and a delete removes later writes.
pub fn without_retries() -> aws_sdk_s3::config::Builder {
    aws_sdk_s3::config::Builder::new().retry_config(RetryConfig::disabled())
}

/// Returns the text of an SDK error, with its causes.
fn error_chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

// The requests of multipart uploads: create, complete, abort and list. `upload` has the protocol.

/// Maximum number of pages in a list of the parts of an upload, which has at most 10,000 parts.
const MAX_PART_PAGES: usize = 10;

/// Parameters of a new multipart upload.
#[derive(Debug, Default)]
pub struct NewUpload<'a> {
    /// Full key.
    pub key: &'a str,
    /// Media type.
    pub content_type: &'a str,
    /// Content encoding.
    pub content_encoding: Option<&'a str>,
}

/// An uploaded part.
#[derive(Debug, Clone)]
pub struct UploadedPart {
    /// Number, from 1 on.
    pub number: i32,
    /// Its `ETag` as the object store returned it, quotes included.
    pub etag: String,
}

/// The condition for completing an upload, as header values.
#[derive(Debug, Default)]
pub struct Condition {
    /// `If-Match`.
    pub if_match: Option<String>,
    /// `If-None-Match`.
    pub if_none_match: Option<String>,
}

/// Failure of a completion.
#[derive(Debug)]
pub struct CompletionError {
    /// Error of the object store.
    pub error: Error,
    /// True if the object store itself reported, in a complete response, that it did not create the object. Otherwise the
    /// outcome is in doubt.
    pub is_rejected: bool,
}

impl ControlPlane {
    /// Creates a multipart upload, and returns its id.
    pub async fn create_upload(&self, upload: &NewUpload<'_>, options: &S3Options) -> Result<String> {
        let (encryption, kms_key) = match &options.encryption {
            Some(Encryption::Aes256) => (Some("AES256".into()), None),
            Some(Encryption::Kms(key)) => (Some("aws:kms".into()), key.clone()),
            None => (None, None),
        };
        let created = self.call(|location| {
            let request = location.client.create_multipart_upload().bucket(self.bucket()).key(upload.key);
            request
                .content_type(upload.content_type)
                .set_content_encoding(upload.content_encoding.map(str::to_owned))
                .set_metadata(upload.content_encoding.map(encoding_metadata))
                .set_server_side_encryption(encryption.clone())
                .set_ssekms_key_id(kms_key.clone())
                .set_storage_class(options.storage_class.as_deref().map(Into::into))
                .send()
        });
        let created = created.await.map_err(|error| self.map_error(&error))?;
        created.upload_id.ok_or_else(|| Error::Unavailable("the object store returned no upload id".into()))
    }

    /// Lists a page of unfinished uploads whose full keys begin with `root`; removes `prefix` from the keys.
    pub async fn unfinished_uploads(
        &self,
        root: &str,
        prefix: &str,
        from: Option<&UploadPosition>,
    ) -> Result<UploadPage> {
        let listed = self.call(|location| {
            let request = location.client.list_multipart_uploads().bucket(self.bucket()).prefix(root);
            let request = request.set_key_marker(from.map(|mark| mark.key.clone()));
            request.set_upload_id_marker(from.map(|mark| mark.id.clone())).send()
        });
        let listed = listed.await.map_err(|error| match error.code() {
            Some("AccessDenied" | "MethodNotAllowed" | "NotImplemented") => {
                Error::Unsupported("listing unfinished uploads")
            }
            _ => self.map_error(&error),
        })?;
        let upload = |upload: &MultipartUpload| {
            // Not every object store respects the prefix.
            let key = upload.key().filter(|key| key.starts_with(root))?.strip_prefix(prefix)?.to_owned();
            let began_at = Timestamp::from_millis(upload.initiated()?.to_millis().ok()?);
            Some(UnfinishedUpload { key, id: upload.upload_id()?.to_owned(), began_at })
        };
        let next = listed.is_truncated().unwrap_or_default().then(|| UploadPosition {
            key: listed.next_key_marker().unwrap_or_default().to_owned(),
            id: listed.next_upload_id_marker().unwrap_or_default().to_owned(),
        });
        Ok(UploadPage { uploads: listed.uploads().iter().filter_map(upload).collect(), next })
    }

    /// Returns when the last part of an upload was stored; `None` if it has no part, or has ended.
    pub async fn last_part_at(&self, key: &str, id: &str) -> Result<Option<Timestamp>> {
        let (mut last, mut marker): (Option<i64>, Option<String>) = (None, None);
        for _ in 0..=MAX_PART_PAGES {
            let listed = self.call(|location| {
                let request = location.client.list_parts().bucket(self.bucket()).key(key).upload_id(id);
                request.set_part_number_marker(marker.clone()).send()
            });
            let listed = match listed.await {
                Err(error) if error.code() == Some("NoSuchUpload") => return Ok(None),
                listed => listed.map_err(|error| self.map_error(&error))?,
            };
            let stored = listed.parts().iter().filter_map(|part| part.last_modified()?.to_millis().ok());
            last = last.max(stored.max());
            marker = listed.next_part_number_marker().map(str::to_owned);
            if !listed.is_truncated().unwrap_or_default() || marker.is_none() {
                break;
            }
        }
        Ok(last.map(Timestamp::from_millis))
    }

    /// Completes an upload, and returns the `ETag` of the object, if the object store names it.
    pub async fn complete_upload(
        &self,
        key: &str,
        id: &str,
        parts: &[UploadedPart],
        condition: &Condition,
    ) -> std::result::Result<Option<String>, CompletionError> {
        let parts = parts
            .iter()
            .map(|part| CompletedPart::builder().part_number(part.number).e_tag(&part.etag).build())
            .collect();
        let upload = CompletedMultipartUpload::builder().set_parts(Some(parts)).build();
        let completed = self.call(|location| {
            let request = location.client.complete_multipart_upload().bucket(self.bucket()).key(key).upload_id(id);
            let request = request.multipart_upload(upload.clone());
            let request = request.set_if_match(condition.if_match.clone());
            let request = request.set_if_none_match(condition.if_none_match.clone());
            request.customize().config_override(without_retries()).send()
        });
        let completed = completed
            .await
            .map_err(|error| CompletionError { is_rejected: is_rejected(&error), error: self.map_error(&error) })?;
        Ok(completed.e_tag.filter(|etag| !etag.is_empty()))
    }

    /// Aborts an upload and deletes its parts.
    pub async fn abort_upload(&self, key: &str, id: &str) -> Result<()> {
        let aborted = self.call(|location| {
            location.client.abort_multipart_upload().bucket(self.bucket()).key(key).upload_id(id).send()
        });
        match aborted.await {
            Err(error) if error.code() == Some("NoSuchUpload") => Ok(()),
            aborted => aborted.map(drop).map_err(|error| self.map_error(&error)),
        }
    }
}

fn encoding_metadata(coding: &str) -> HashMap<String, String> {
    HashMap::from([(STORED_ENCODING_METADATA.to_owned(), coding.to_owned())])
}

/// Returns whether an error comes from the object store itself, and not from a proxy or a timeout.
fn is_rejected<E: ProvideErrorMetadata>(error: &SdkError<E, HttpResponse>) -> bool {
    let status = error.raw_response().map(|response| response.status().as_u16());
    error.code().is_some() && status.is_some_and(|status| status < 500)
}

// Adapter for the AWS SDK to our HTTP client: one pool, one TLS configuration, one set of limits.

/// Maximum bytes of a response to the SDK: it requests documents, not objects.
const MAX_RESPONSE_BYTES: u64 = 16 * 1024 * 1024;

/// Header fields of a single connection, which our client sets itself.
const CONNECTION_FIELDS: [&str; 4] = ["host", "content-length", "transfer-encoding", "connection"];

/// Our HTTP client behind the SDK's interface.
#[derive(Debug, Clone)]
pub struct SdkConnector {
    http: Arc<Http1Client>,
    is_billed: bool,
}

impl SdkConnector {
    /// Adapts `http` for calls of the object store.
    pub fn for_object_store(http: Arc<Http1Client>) -> Self {
        Self { http, is_billed: true }
    }

    /// Adapts `http` for calls of credential sources.
    pub fn for_credential_chain(http: Arc<Http1Client>) -> Self {
        Self { http, is_billed: false }
    }
}

impl HttpClient for SdkConnector {
    fn http_connector(&self, _: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
        SharedHttpConnector::new(self.clone())
    }
}

impl HttpConnector for SdkConnector {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let Self { http, is_billed } = self.clone();
        HttpConnectorFuture::new(async move { exchange(&http, &request, is_billed).await })
    }
}

async fn exchange(http: &Http1Client, request: &HttpRequest, is_billed: bool) -> Result<HttpResponse, ConnectorError> {
    let (endpoint, mut request) = translate(request, is_billed).map_err(ConnectorError::user)?;
    let response = http.send(&endpoint, &mut request).await.map_err(connector_error)?;
    let status = StatusCode::try_from(response.head.status).map_err(|error| ConnectorError::io(error.into()))?;
    let head = response.head.clone();
    let body = response.into_bytes(MAX_RESPONSE_BYTES).await.map_err(connector_error)?;
    let mut response = HttpResponse::new(status, SdkBody::from(body));
    for (name, value) in head.fields() {
        // The body is complete now, however it was framed.
        if name.eq_ignore_ascii_case("transfer-encoding") {
            continue;
        }
        response
            .headers_mut()
            .try_append(name.to_ascii_lowercase(), value.to_owned())
            .map_err(|error| ConnectorError::io(error.into()))?;
    }
    Ok(response)
}

fn translate(request: &HttpRequest, is_billed: bool) -> Result<(Endpoint, Http1Request), BoxError> {
    let uri: http::Uri = request.uri().parse()?;
    let scheme = uri.scheme_str().ok_or("the SDK sends no scheme")?;
    let authority = uri.authority().ok_or("the SDK sends no host")?;
    let endpoint: Endpoint = format!("{scheme}://{authority}").parse()?;
    let body = request.body().bytes().ok_or("the SDK sends a stream")?;
    let mut head = String::new();
    let path = uri.path_and_query().map_or("/", http::uri::PathAndQuery::as_str);
    head.extend([request.method(), " ", path, " HTTP/1.1\r\nhost: ", &endpoint.authority(), "\r\n"]);
    for (name, value) in request.headers() {
        if !CONNECTION_FIELDS.contains(&name) {
            head.extend([name, ": ", value, "\r\n"]);
        }
    }
    if request.headers().get("accept-encoding").is_none() {
        head.push_str("accept-encoding: identity\r\n");
    }
    if !body.is_empty() || matches!(request.method(), "PUT" | "POST") {
        head.extend(["content-length: ", &body.len().to_string(), "\r\n"]);
    }
    head.push_str("\r\n");
    let body = RequestBody::Bytes(Bytes::copy_from_slice(body));
    let is_head = request.method() == "HEAD";
    let class = is_billed.then(|| CallClass::for_request(request.method(), uri.query().unwrap_or_default()));
    let attempt = attempt_number(request.headers().get("amz-sdk-request"));
    Ok((endpoint, Http1Request { head: head.into(), body, awaits_continue: false, is_head, class, attempt }))
}

/// Returns the number of an attempt from the SDK's header, `attempt=2; max=3`.
fn attempt_number(header: Option<&str>) -> u32 {
    let number = header.and_then(|header| header.split(';').find_map(|part| part.trim().strip_prefix("attempt=")));
    number.and_then(|number| number.parse().ok()).unwrap_or(1)
}

fn connector_error(error: Http1Error) -> ConnectorError {
    match error {
        Http1Error::Timeout { .. } => ConnectorError::timeout(error.into()),
        Http1Error::Connect { .. }
        | Http1Error::NoTls { .. }
        | Http1Error::Broken { .. }
        | Http1Error::Malformed(_)
        | Http1Error::Body(_) => ConnectorError::io(error.into()),
    }
}
