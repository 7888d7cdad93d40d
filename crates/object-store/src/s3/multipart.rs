//! The requests of multipart uploads that the AWS SDK sends: create, complete, abort and list.
//!
//! [`upload`](super::upload) has the protocol.

use std::collections::HashMap;

use aws_sdk_s3::{
    error::{ProvideErrorMetadata, SdkError},
    types::{CompletedMultipartUpload, CompletedPart, MultipartUpload},
};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;

use larder_runtime::clock::Timestamp;

use super::{
    bucket_admin::{ControlPlane, without_retries},
    object_headers::STORED_ENCODING_METADATA,
    open::{Encryption, S3Options},
};
use crate::{Error, Result, UnfinishedUpload, UploadMark, UploadPage};

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
            _ => self.map_error(&error),
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
