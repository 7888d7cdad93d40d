//! A bucket, with its clients and capabilities.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::SystemTime,
};

use tokio_util::task::TaskTracker;

use super::{
    bucket_admin::ControlPlane,
    etag::unquote,
    listing::{DOCUMENT_LIMIT, no_list, read_list},
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
    /// Capabilities of the object store.
    pub powers: Powers,
    /// True if a proxy decodes objects.
    pub decoding: Decoding,
}

/// Capabilities of an object store, as a probe detected them. Until then all are assumed.
#[derive(Debug)]
pub struct Powers {
    conditional_puts: AtomicBool,
    conditional_deletes: AtomicBool,
    conditional_completions: AtomicBool,
    quoted_validators: AtomicBool,
    codings: AtomicBool,
}

/// Detection of a proxy that decodes objects.
#[derive(Debug, Default)]
pub struct Decoding(AtomicBool);

impl Decoding {
    /// Records a response that was decoded; logs the first one.
    pub fn note(&self) {
        if !self.0.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                "a proxy between the gateway and the object store decodes objects: each read of a record with a Content-Encoding \
                 takes two requests until that is turned off (nginx: gunzip off)"
            );
        }
    }

    /// Returns whether a response was decoded since the start.
    pub fn is_noted(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

impl Default for Powers {
    fn default() -> Self {
        Self {
            conditional_puts: AtomicBool::new(true),
            conditional_deletes: AtomicBool::new(true),
            conditional_completions: AtomicBool::new(true),
            quoted_validators: AtomicBool::new(true),
            codings: AtomicBool::new(true),
        }
    }
}

impl Powers {
    /// Sets whether puts may be conditional.
    pub fn set_conditional_puts(&self, is_so: bool) {
        self.conditional_puts.store(is_so, Ordering::Relaxed);
    }

    /// Sets whether deletes may be conditional.
    pub fn set_conditional_deletes(&self, is_so: bool) {
        self.conditional_deletes.store(is_so, Ordering::Relaxed);
    }

    /// Sets whether completing a multipart upload may be conditional.
    pub fn set_conditional_completions(&self, is_so: bool) {
        self.conditional_completions.store(is_so, Ordering::Relaxed);
    }

    /// Sets whether validators in conditions are quoted, as the standard requires. (Ceph RGW 16 accepts none that are.)
    pub fn set_quoted_validators(&self, is_so: bool) {
        self.quoted_validators.store(is_so, Ordering::Relaxed);
    }

    /// Sets whether objects come back in the coding in which they were stored.
    pub fn set_codings(&self, is_so: bool) {
        self.codings.store(is_so, Ordering::Relaxed);
    }

    /// Returns whether objects come back in the coding in which they were stored.
    pub fn has_codings(&self) -> bool {
        self.codings.load(Ordering::Relaxed)
    }

    /// Returns whether puts may be conditional.
    pub fn has_conditional_puts(&self) -> bool {
        self.conditional_puts.load(Ordering::Relaxed)
    }

    /// Returns whether completing a multipart upload may be conditional.
    pub fn has_conditional_completions(&self) -> bool {
        self.conditional_completions.load(Ordering::Relaxed)
    }

    /// Returns whether deletes may be conditional.
    pub fn has_conditional_deletes(&self) -> bool {
        self.conditional_deletes.load(Ordering::Relaxed)
    }
}

impl Bucket {
    /// Returns whether the bucket exists, by a list of one key: unlike a HEAD, its errors have a text, and it shows
    /// whether the server has the API of S3.
    pub async fn exists(&self) -> Result<bool> {
        let origin = self.transport.origin();
        let mut request = Request::new("GET", None);
        request.query = query(&[("list-type", "2"), ("max-keys", "1"), ("prefix", &self.options.prefix)]);
        let response = match self.transport.try_send(request, RetrySafety::Idempotent).await? {
            Ok(response) => response,
            Err(error) if error.code == "NoSuchBucket" => return Ok(false),
            Err(error) if error.status == 404 && !error.is_not_s3() => return Ok(false),
            Err(error) if error.code.is_empty() => return Err(Error::Unavailable(error.describe(origin).into())),
            Err(error) => return Err(error.into_error(origin)),
        };
        let head = response.head.clone();
        let document = response.into_bytes(DOCUMENT_LIMIT).await?;
        match read_list(&document, &self.options.prefix) {
            Ok(_) => Ok(true),
            Err(_) => Err(Error::Unavailable(no_list(&head, origin).into())),
        }
    }

    /// Returns the full key of an object.
    pub fn whole_key(&self, key: &str) -> String {
        [&self.options.prefix, key].concat()
    }

    /// Returns the headers of a put's condition.
    pub fn condition_of(&self, precondition: &Precondition) -> Result<Condition> {
        if *precondition != Precondition::None && !self.powers.has_conditional_puts() {
            return Err(Error::Unsupported("conditional writes"));
        }
        object_headers::condition(precondition, self.powers.quoted_validators.load(Ordering::Relaxed))
    }

    /// Adds the headers of a condition.
    pub fn condition(&self, request: &mut Request<'_>, precondition: &Precondition) -> Result<()> {
        let Condition { if_match, if_none_match } = self.condition_of(precondition)?;
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

    /// Maps the error of a write: an absent object matches no validator.
    pub fn of_write(&self, error: Error, precondition: &Precondition) -> Error {
        match (error, precondition) {
            (Error::NotFound, Precondition::IfMatch(_)) => Error::Precondition,
            (Error::NotFound, Precondition::None | Precondition::IfAbsent) => {
                Error::Unavailable(format!("there is no bucket {}", self.transport.bucket()).into())
            }
            (error, _) => error,
        }
    }

    /// Returns the vendor's validator of an object, and the time of its write.
    pub async fn validator(&self, key: &str) -> Result<(ETag, SystemTime)> {
        let response = self.transport.send(Request::new("HEAD", Some(key)), RetrySafety::Idempotent).await?;
        let etag = response.head.get("etag").map(unquote);
        let date = response.head.get("last-modified").and_then(|date| httpdate::parse_http_date(date).ok());
        etag.zip(date).ok_or_else(|| Error::Unavailable("the object store gave the object no ETag or date".into()))
    }
}
