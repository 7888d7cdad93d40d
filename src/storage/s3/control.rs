//! The control plane, by the AWS SDK: the bucket itself, uploads in parts, deleting many.
//!
//! The SDK costs several times the processor time of our own requests; here it is a few calls for many objects or for large
//! ones, and its care for every vendor's protocol is worth that.

use std::{sync::Arc, time::SystemTime};

use aws_sdk_s3::{
    Client,
    config::{Region, RequestChecksumCalculation, ResponseChecksumValidation, retry::RetryConfig},
    error::{ProvideErrorMetadata, SdkError},
    types::{
        BucketLocationConstraint, CompletedMultipartUpload, CompletedPart, CreateBucketConfiguration, Delete,
        MultipartUpload, ObjectIdentifier,
    },
};
use aws_smithy_async::time::TimeSource;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;

use crate::clock::{AdjustedClock, Clock, Timestamp};

use super::{
    super::{
        error::{Error, Result},
        lifecycle::{UnfinishedUpload, UploadMark, UploadPage},
    },
    connector::WireConnector,
    options::{Encryption, S3Options},
    sources::AwsSources,
    transport::BucketSite,
    wire::WireClient,
};

/// Pages of the parts of an upload, of which there are 10,000 at most.
const PARTS_PAGES: usize = 10;

/// The object store's time, for the SDK's signatures.
#[derive(Debug)]
struct StoreTime(Arc<AdjustedClock>);

impl TimeSource for StoreTime {
    fn now(&self) -> SystemTime {
        self.0.now().into()
    }
}

/// The SDK's client, and the bucket it is used for.
#[derive(Debug)]
pub struct Control {
    client: Client,
    bucket: String,
    region: String,
    is_aws: bool,
}

/// What an upload in parts is about to make.
#[derive(Debug, Default)]
pub struct NewUpload<'a> {
    /// The whole key.
    pub key: &'a str,
    /// The media type.
    pub content_type: &'a str,
    /// The coding.
    pub content_encoding: Option<&'a str>,
}

/// A part that is stored.
#[derive(Debug, Clone)]
pub struct Part {
    /// From 1 on.
    pub number: i32,
    /// Its validator as the object store gave it, quotes included.
    pub etag: String,
}

/// The condition under which an upload takes effect, in the words of the headers.
#[derive(Debug, Default)]
pub struct Condition {
    /// `If-Match`.
    pub if_match: Option<String>,
    /// `If-None-Match`.
    pub if_none_match: Option<String>,
}

/// An upload that was not completed, as far as is known.
#[derive(Debug)]
pub struct Incomplete {
    /// What the object store said.
    pub error: Error,
    /// Whether it said itself that it has not made the object: by an error in a whole answer, with a status of its own or, once it had
    /// begun to answer, behind 200.
    pub is_refused: bool,
}

impl Control {
    /// A client for the bucket at `site`, which goes by the object store's time.
    pub fn new(sources: &AwsSources, wire: &Arc<WireClient>, site: &BucketSite, clock: Arc<AdjustedClock>) -> Self {
        let mut config = aws_sdk_s3::config::Builder::from(sources.config())
            .http_client(WireConnector::to_object_store(Arc::clone(wire)))
            .region(Region::new(site.region.clone()))
            .time_source(StoreTime(clock))
            // Checksum trailers are refused by several servers and stored as a coding by others.
            .request_checksum_calculation(RequestChecksumCalculation::WhenRequired)
            .response_checksum_validation(ResponseChecksumValidation::WhenRequired);
        if let Some(endpoint) = &site.endpoint {
            config = config.endpoint_url(endpoint.to_string());
        }
        let by_path = match site.style {
            Some(style) => style == super::address::AddressStyle::Path,
            None => site.endpoint.is_some(),
        };
        let client = Client::from_conf(config.force_path_style(by_path).build());
        Self { client, bucket: site.bucket.clone(), region: site.region.clone(), is_aws: site.endpoint.is_none() }
    }

    /// Makes the bucket, unless it is there.
    pub async fn create_bucket(&self) -> Result<()> {
        let mut request = self.client.create_bucket().bucket(&self.bucket);
        // AWS wants to be told of every region but its first; others refuse names they do not know.
        if self.is_aws && self.region != "us-east-1" {
            let place = BucketLocationConstraint::from(self.region.as_str());
            let configuration = CreateBucketConfiguration::builder().location_constraint(place).build();
            request = request.create_bucket_configuration(configuration);
        }
        match request.send().await {
            Ok(_) => Ok(()),
            Err(error) if matches!(error.code(), Some("BucketAlreadyOwnedByYou" | "BucketAlreadyExists")) => Ok(()),
            Err(error) => Err(fault(&error)),
        }
    }

    /// Begins an upload in parts; its id.
    pub async fn begin_upload(&self, upload: &NewUpload<'_>, options: &S3Options) -> Result<String> {
        let mut request = self
            .client
            .create_multipart_upload()
            .bucket(&self.bucket)
            .key(upload.key)
            .content_type(upload.content_type)
            .set_content_encoding(upload.content_encoding.map(str::to_owned));
        match &options.encryption {
            Some(Encryption::Aes256) => request = request.server_side_encryption("AES256".into()),
            Some(Encryption::Kms(key)) => {
                request = request.server_side_encryption("aws:kms".into()).set_ssekms_key_id(key.clone());
            }
            None => {}
        }
        if let Some(class) = &options.storage_class {
            request = request.storage_class(class.as_str().into());
        }
        let begun = request.send().await.map_err(|error| fault(&error))?;
        begun.upload_id.ok_or_else(|| Error::Unavailable("the object store gave the upload no id".into()))
    }

    /// Lists a page of unfinished uploads whose whole keys begin with `root`; keys lose `prefix`.
    pub async fn unfinished_uploads(&self, root: &str, prefix: &str, from: Option<&UploadMark>) -> Result<UploadPage> {
        let request = self.client.list_multipart_uploads().bucket(&self.bucket).prefix(root);
        let request = request.set_key_marker(from.map(|mark| mark.key.clone()));
        let listed = request.set_upload_id_marker(from.map(|mark| mark.id.clone())).send().await;
        let listed = listed.map_err(|error| match error.code() {
            Some("AccessDenied" | "MethodNotAllowed" | "NotImplemented") => {
                Error::Unsupported("listing unfinished uploads")
            }
            _ => fault(&error),
        })?;
        let upload = |upload: &MultipartUpload| {
            // Not every object store heeds the prefix.
            let key = upload.key().filter(|key| key.starts_with(root))?.strip_prefix(prefix)?.to_owned();
            let began_at = Timestamp::from_millis(upload.initiated()?.to_millis().ok()?);
            Some(UnfinishedUpload { key, id: upload.upload_id()?.to_owned(), began_at })
        };
        let next = listed.is_truncated().unwrap_or_default().then(|| UploadMark {
            key: listed.next_key_marker().unwrap_or_default().to_owned(),
            id: listed.next_upload_id_marker().unwrap_or_default().to_owned(),
        });
        Ok(UploadPage { uploads: listed.uploads().iter().filter_map(upload).collect(), next })
    }

    /// Returns when the last part of an upload was stored; `None` if it has no part, or is over.
    pub async fn last_part_at(&self, key: &str, id: &str) -> Result<Option<Timestamp>> {
        let (mut last, mut marker): (Option<i64>, Option<String>) = (None, None);
        for _ in 0..=PARTS_PAGES {
            let request = self.client.list_parts().bucket(&self.bucket).key(key).upload_id(id);
            let listed = match request.set_part_number_marker(marker).send().await {
                Err(error) if error.code() == Some("NoSuchUpload") => return Ok(None),
                listed => listed.map_err(|error| fault(&error))?,
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

    /// Makes the object out of its parts; its validator, where the object store says it.
    pub async fn complete_upload(
        &self,
        key: &str,
        id: &str,
        parts: &[Part],
        condition: &Condition,
    ) -> std::result::Result<Option<String>, Incomplete> {
        let parts = parts
            .iter()
            .map(|part| CompletedPart::builder().part_number(part.number).e_tag(&part.etag).build())
            .collect();
        let completed = self
            .client
            .complete_multipart_upload()
            .bucket(&self.bucket)
            .key(key)
            .upload_id(id)
            .multipart_upload(CompletedMultipartUpload::builder().set_parts(Some(parts)).build())
            .set_if_match(condition.if_match.clone())
            .set_if_none_match(condition.if_none_match.clone())
            .customize()
            .config_override(never_repeated())
            .send()
            .await
            .map_err(|error| Incomplete { is_refused: is_refused(&error), error: fault(&error) })?;
        Ok(completed.e_tag.filter(|etag| !etag.is_empty()))
    }

    /// Gives up an upload and all its parts.
    pub async fn abort_upload(&self, key: &str, id: &str) -> Result<()> {
        let request = self.client.abort_multipart_upload().bucket(&self.bucket).key(key).upload_id(id);
        match request.send().await {
            Err(error) if error.code() == Some("NoSuchUpload") => Ok(()),
            aborted => aborted.map(drop).map_err(|error| fault(&error)),
        }
    }

    /// Deletes up to 1,000 objects.
    pub async fn delete_many(&self, keys: &[String]) -> Result<()> {
        let malformed = |_| Error::Unavailable("a list of keys to delete cannot be made".into());
        let objects = keys.iter().map(|key| ObjectIdentifier::builder().key(key).build());
        let objects = objects.collect::<std::result::Result<_, _>>().map_err(malformed)?;
        let delete = Delete::builder().set_objects(Some(objects)).quiet(true).build().map_err(malformed)?;
        let request = self.client.delete_objects().bucket(&self.bucket).delete(delete).customize();
        let done = request.config_override(never_repeated()).send().await;
        let done = done.map_err(|error| fault(&error))?;
        match done.errors().iter().find(|error| error.code() != Some("NoSuchKey")) {
            None => Ok(()),
            Some(error) => {
                let (code, count) = (error.code().unwrap_or_default(), done.errors().len());
                Err(Error::Unavailable(format!("{count} objects could not be deleted: {code}").into()))
            }
        }
    }
}

/// For what takes effect at once: the SDK repeats also what may have been carried out, and then a completion that won is
/// told that it lost, and a deletion takes what was written since.
fn never_repeated() -> aws_sdk_s3::config::Builder {
    aws_sdk_s3::config::Builder::new().retry_config(RetryConfig::disabled())
}

/// Whether an error is the object store's own word, and not that of something on the way, or silence.
fn is_refused<E: ProvideErrorMetadata>(error: &SdkError<E, HttpResponse>) -> bool {
    let status = error.raw_response().map(|response| response.status().as_u16());
    error.code().is_some() && status.is_some_and(|status| status < 500)
}

/// What an error of the SDK means.
fn fault<E: ProvideErrorMetadata + std::error::Error + 'static>(error: &SdkError<E, HttpResponse>) -> Error {
    let status = error.raw_response().map(|response| response.status().as_u16());
    let code = error.code().unwrap_or_default().to_owned();
    let is_kept_waiting = matches!(error, SdkError::TimeoutError(_))
        || matches!(error, SdkError::DispatchFailure(failure) if failure.is_timeout());
    match (status, code.as_str()) {
        (_, "PreconditionFailed") | (Some(412), _) => Error::Precondition,
        (_, "NoSuchKey") => Error::NotFound,
        (Some(429), _)
        | (Some(503), "ServiceUnavailable")
        | (_, "SlowDown" | "ConditionalRequestConflict" | "OperationAborted") => Error::Throttled { retry_after: None },
        (Some(501), _) => Error::Unsupported("the object store does not implement it"),
        _ if is_kept_waiting => Error::Timeout,
        _ => {
            let words = error.message().unwrap_or_default();
            let text = match status {
                Some(status) => format!("the object store says {status} {code}: {words}"),
                None => format!("the object store cannot be asked: {}", causes(error)),
            };
            Error::Unavailable(text.into())
        }
    }
}

/// An error of the SDK says nothing by itself, but its causes do.
fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
