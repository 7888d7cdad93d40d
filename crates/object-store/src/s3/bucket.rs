//! A bucket, with its clients and capabilities.

use std::time::SystemTime;

use arc_swap::ArcSwap;
use tokio_util::task::TaskTracker;

use super::{
    bucket_admin::ControlPlane,
    capabilities::{Capabilities, DecodingProxy},
    etag::unquote,
    listing::{MAX_DOCUMENT_BYTES, describe_non_list, parse_list},
    location::query,
    multipart::Condition,
    object_headers,
    open::S3Options,
    request::Request,
    transport::{RetrySafety, Transport},
};
use crate::{ETag, Error, Precondition, Result};

/// A bucket.
#[derive(Debug)]
pub struct Bucket {
    /// Its settings.
    pub options: S3Options,
    /// Client for objects.
    pub transport: Transport,
    /// Client for everything else.
    pub control: ControlPlane,
    /// Background tasks.
    pub tasks: TaskTracker,
    /// Capabilities of the object store; until a probe all are assumed.
    pub capabilities: ArcSwap<Capabilities>,
    /// Detection of a proxy that decodes objects.
    pub decoding_proxy: DecodingProxy,
}

impl Bucket {
    /// Returns whether the bucket exists. Lists one key: unlike those of a HEAD, its errors have a message, and its
    /// response shows whether the server has an S3 API.
    pub async fn exists(&self) -> Result<bool> {
        let context = self.transport.context();
        let mut request = Request::new("GET", None);
        request.query = query(&[("list-type", "2"), ("max-keys", "1"), ("prefix", &self.options.prefix)]);
        let response = match self.transport.send_raw(request, RetrySafety::Idempotent).await? {
            Ok(response) => response,
            Err(error) if error.code == "NoSuchBucket" => return Ok(false),
            Err(error) if error.status == 404 && !error.is_not_s3() => return Ok(false),
            Err(error) if error.code.is_empty() => return Err(Error::Unavailable(error.describe(context).into())),
            Err(error) => return Err(error.into_error(context)),
        };
        let head = response.head.clone();
        let document = response.into_bytes(MAX_DOCUMENT_BYTES).await?;
        match parse_list(&document, &self.options.prefix) {
            Ok(_) => Ok(true),
            Err(_) => Err(Error::Unavailable(describe_non_list(&head, context).into())),
        }
    }

    /// Returns the full key of an object.
    pub fn full_key(&self, key: &str) -> String {
        [&self.options.prefix, key].concat()
    }

    /// Returns the condition of a put as header values.
    pub fn condition_for(&self, precondition: &Precondition) -> Result<Condition> {
        let capabilities = self.capabilities.load();
        if *precondition != Precondition::None && !capabilities.conditional_writes {
            return Err(Error::Unsupported("conditional writes"));
        }
        object_headers::condition_headers(precondition, capabilities.quoted_etags)
    }

    /// Adds the headers of a precondition.
    pub fn add_condition(&self, request: &mut Request<'_>, precondition: &Precondition) -> Result<()> {
        let Condition { if_match, if_none_match } = self.condition_for(precondition)?;
        if let Some(value) = if_match {
            request.header("if-match", value);
        }
        if let Some(value) = if_none_match {
            request.header("if-none-match", value);
        }
        Ok(())
    }

    /// Adds the headers for storage class and encryption.
    pub fn add_storage_headers(&self, request: &mut Request<'_>) {
        let class = self.options.storage_class.as_deref();
        request.headers.extend(object_headers::storage_headers(self.options.encryption.as_ref(), class));
    }

    /// Maps the error of a write: an absent object matches no `ETag`.
    pub fn map_write_error(&self, error: Error, precondition: &Precondition) -> Error {
        match (error, precondition) {
            (Error::NotFound, Precondition::IfMatch(_)) => Error::Precondition,
            (Error::NotFound, Precondition::None | Precondition::IfAbsent) => {
                Error::Unavailable(format!("bucket {} does not exist", self.transport.bucket()).into())
            }
            (error, _) => error,
        }
    }

    /// Returns the vendor's `ETag` of an object, and the time of its write.
    pub async fn head_etag(&self, key: &str) -> Result<(ETag, SystemTime)> {
        let response = self.transport.send(Request::new("HEAD", Some(key)), RetrySafety::Idempotent).await?;
        let etag = response.head.get("etag").map(unquote);
        let date = response.head.get("last-modified").and_then(|date| httpdate::parse_http_date(date).ok());
        etag.zip(date).ok_or_else(|| {
            Error::Unavailable("the object store returned no ETag or Last-Modified for the object".into())
        })
    }
}
