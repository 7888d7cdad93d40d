//! The control plane, by the AWS SDK: bucket administration, multipart uploads, and batch deletes.
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
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;

use larder_runtime::clock::Timestamp;

use super::{
    super::{
        error::{Error, Result},
        lifecycle::{UnfinishedUpload, UploadMark, UploadPage},
    },
    credentials::{CurrentCredentials, is_refusal_of_credentials},
    options::{Encryption, S3Options},
    origin::Origin,
    refusal::Refusal,
    resolver::{Location, Resolver},
    stored_coding::STORED_CODING_NAME,
};

/// Maximum pages in a list of the parts of an upload, of which there are 10,000 at most.
const PARTS_PAGES: usize = 10;

/// The control plane of the bucket.
#[derive(Debug)]
pub struct Control {
    resolver: Arc<Resolver>,
    credentials: Arc<CurrentCredentials>,
    origin: Arc<Origin>,
}

/// Parameters of a new multipart upload.
#[derive(Debug, Default)]
pub struct NewUpload<'a> {
    /// Full key.
    pub key: &'a str,
    /// Media type.
    pub content_type: &'a str,
    /// Content coding.
    pub content_encoding: Option<&'a str>,
}

/// A stored part.
#[derive(Debug, Clone)]
pub struct Part {
    /// Number, from 1 on.
    pub number: i32,
    /// Its validator as the object store returned it, quotes included.
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

/// An upload that was not completed, as far as is known.
#[derive(Debug)]
pub struct Incomplete {
    /// Error of the object store.
    pub error: Error,
    /// True if the object store itself reported that it did not create the object: by an error in a complete response,
    /// with its own status or, once the response had begun, after 200.
    pub is_refused: bool,
}

impl Control {
    /// Returns the control plane of the bucket that `resolver` finds.
    pub fn new(resolver: Arc<Resolver>, credentials: Arc<CurrentCredentials>, origin: Arc<Origin>) -> Self {
        Self { resolver, credentials, origin }
    }

    /// Maps an error of the SDK.
    fn fault<E: std::error::Error + 'static>(&self, error: &SdkError<E, HttpResponse>) -> Error {
        let Some(response) = error.raw_response() else {
            let is_kept_waiting = matches!(error, SdkError::TimeoutError(_))
                || matches!(error, SdkError::DispatchFailure(failure) if failure.is_timeout());
            return if is_kept_waiting {
                Error::Timeout
            } else {
                let endpoint = &self.origin.endpoint;
                Error::Unavailable(format!("the object store at {endpoint} cannot be asked: {}", causes(error)).into())
            };
        };
        let document = response.body().bytes().unwrap_or_default();
        let status = response.status().as_u16();
        let refusal = Refusal::of_parts(status, |name| response.headers().get(name), document);
        match (refusal.status, refusal.code.as_str()) {
            // A 404 from something other than the object store says nothing about an object.
            (404, "") => Error::Unavailable(refusal.words(&self.origin).into()),
            (200..300, "") => Error::Unavailable(format!("its answer cannot be read: {}", causes(error)).into()),
            _ => refusal.into_error(&self.origin),
        }
    }

    /// Makes a call at the bucket's present location; once more if the object store refused the credentials and there
    /// are new ones.
    async fn call<T, E, F>(
        &self,
        call: impl Fn(Arc<Location>) -> F,
    ) -> std::result::Result<T, SdkError<E, HttpResponse>>
    where
        E: ProvideErrorMetadata,
        F: Future<Output = std::result::Result<T, SdkError<E, HttpResponse>>>,
    {
        let used = self.credentials.get().await.ok();
        let answered = call(self.resolver.location()).await;
        if let (Some(used), Err(error)) = (used, &answered)
            && let Some(response) = error.raw_response()
            && is_refusal_of_credentials(response.status().as_u16(), error.code().unwrap_or_default())
            && self.credentials.replace(&used).await
        {
            return call(self.resolver.location()).await;
        }
        answered
    }

    fn bucket(&self) -> &str {
        self.resolver.bucket()
    }

    /// Creates the bucket, unless it exists.
    pub async fn create_bucket(&self) -> Result<()> {
        let is_aws = self.resolver.endpoint().is_none();
        let created = self.call(|location| {
            // AWS requires the name of every region except its first; others refuse unknown names.
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
            Err(error) => Err(self.fault(&error)),
        }
    }

    /// Starts a multipart upload, and returns its id.
    pub async fn begin_upload(&self, upload: &NewUpload<'_>, options: &S3Options) -> Result<String> {
        let (encryption, kms_key) = match &options.encryption {
            Some(Encryption::Aes256) => (Some("AES256".into()), None),
            Some(Encryption::Kms(key)) => (Some("aws:kms".into()), key.clone()),
            None => (None, None),
        };
        let begun = self.call(|location| {
            let request = location.client.create_multipart_upload().bucket(self.bucket()).key(upload.key);
            request
                .content_type(upload.content_type)
                .set_content_encoding(upload.content_encoding.map(str::to_owned))
                .set_metadata(upload.content_encoding.map(stored_coding))
                .set_server_side_encryption(encryption.clone())
                .set_ssekms_key_id(kms_key.clone())
                .set_storage_class(options.storage_class.as_deref().map(Into::into))
                .send()
        });
        let begun = begun.await.map_err(|error| self.fault(&error))?;
        begun.upload_id.ok_or_else(|| Error::Unavailable("the object store gave the upload no id".into()))
    }

    /// Lists a page of unfinished uploads whose full keys begin with `root`; removes `prefix` from the keys.
    pub async fn unfinished_uploads(&self, root: &str, prefix: &str, from: Option<&UploadMark>) -> Result<UploadPage> {
        let listed = self.call(|location| {
            let request = location.client.list_multipart_uploads().bucket(self.bucket()).prefix(root);
            let request = request.set_key_marker(from.map(|mark| mark.key.clone()));
            request.set_upload_id_marker(from.map(|mark| mark.id.clone())).send()
        });
        let listed = listed.await.map_err(|error| match error.code() {
            Some("AccessDenied" | "MethodNotAllowed" | "NotImplemented") => {
                Error::Unsupported("listing unfinished uploads")
            }
            _ => self.fault(&error),
        })?;
        let upload = |upload: &MultipartUpload| {
            // Not every object store respects the prefix.
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

    /// Returns when the last part of an upload was stored; `None` if it has no part, or has ended.
    pub async fn last_part_at(&self, key: &str, id: &str) -> Result<Option<Timestamp>> {
        let (mut last, mut marker): (Option<i64>, Option<String>) = (None, None);
        for _ in 0..=PARTS_PAGES {
            let listed = self.call(|location| {
                let request = location.client.list_parts().bucket(self.bucket()).key(key).upload_id(id);
                request.set_part_number_marker(marker.clone()).send()
            });
            let listed = match listed.await {
                Err(error) if error.code() == Some("NoSuchUpload") => return Ok(None),
                listed => listed.map_err(|error| self.fault(&error))?,
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

    /// Completes an upload, and returns its validator, if the object store names it.
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
        let upload = CompletedMultipartUpload::builder().set_parts(Some(parts)).build();
        let completed = self.call(|location| {
            let request = location.client.complete_multipart_upload().bucket(self.bucket()).key(key).upload_id(id);
            let request = request.multipart_upload(upload.clone());
            let request = request.set_if_match(condition.if_match.clone());
            let request = request.set_if_none_match(condition.if_none_match.clone());
            request.customize().config_override(never_repeated()).send()
        });
        let completed = completed
            .await
            .map_err(|error| Incomplete { is_refused: is_refused(&error), error: self.fault(&error) })?;
        Ok(completed.e_tag.filter(|etag| !etag.is_empty()))
    }

    /// Aborts an upload and deletes its parts.
    pub async fn abort_upload(&self, key: &str, id: &str) -> Result<()> {
        let aborted = self.call(|location| {
            location.client.abort_multipart_upload().bucket(self.bucket()).key(key).upload_id(id).send()
        });
        match aborted.await {
            Err(error) if error.code() == Some("NoSuchUpload") => Ok(()),
            aborted => aborted.map(drop).map_err(|error| self.fault(&error)),
        }
    }

    /// Deletes up to 1,000 objects.
    pub async fn delete_many(&self, keys: &[String]) -> Result<()> {
        let malformed = |_| Error::Unavailable("a list of keys to delete cannot be made".into());
        let objects = keys.iter().map(|key| ObjectIdentifier::builder().key(key).build());
        let objects = objects.collect::<std::result::Result<_, _>>().map_err(malformed)?;
        let delete = Delete::builder().set_objects(Some(objects)).quiet(true).build().map_err(malformed)?;
        let done = self.call(|location| {
            let request = location.client.delete_objects().bucket(self.bucket()).delete(delete.clone());
            request.customize().config_override(never_repeated()).send()
        });
        let done = done.await.map_err(|error| self.fault(&error))?;
        match done.errors().iter().find(|error| error.code() != Some("NoSuchKey")) {
            None => Ok(()),
            Some(error) => {
                let (code, words) = (error.code().unwrap_or_default(), error.message().unwrap_or_default());
                let (count, origin) = (done.errors().len(), &self.origin);
                let words = format!("{count} objects could not be deleted: {code}: {words} ({origin})");
                Err(Error::Unavailable(words.into()))
            }
        }
    }
}

fn stored_coding(coding: &str) -> HashMap<String, String> {
    HashMap::from([(STORED_CODING_NAME.to_owned(), coding.to_owned())])
}

/// Returns a configuration without retries, for calls that take effect at once. The SDK also retries calls that may
/// have taken effect: then a completion that won is told that it lost, and a delete removes later writes.
fn never_repeated() -> aws_sdk_s3::config::Builder {
    aws_sdk_s3::config::Builder::new().retry_config(RetryConfig::disabled())
}

/// Returns whether an error comes from the object store itself, and not from a proxy or a timeout.
fn is_refused<E: ProvideErrorMetadata>(error: &SdkError<E, HttpResponse>) -> bool {
    let status = error.raw_response().map(|response| response.status().as_u16());
    error.code().is_some() && status.is_some_and(|status| status < 500)
}

/// Returns the text of an SDK error, which is in its causes.
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
