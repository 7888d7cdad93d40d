//! The requests for lifecycle rules.

use base64::{Engine, prelude::BASE64_STANDARD};
use bytes::Bytes;
use md5::{Digest, Md5};

use crate::{
    error::{Error, Result},
    s3::{
        address::query,
        bucket::Bucket,
        request::Request,
        signer::payload_hash,
        transport::Effect,
        wire::{Incoming, Outgoing},
    },
};

use super::{
    document::Document,
    element::{Outline, malformed},
};

/// Maximum bytes of a document: 1,000 rules, the limit of AWS, of 4 KiB.
const DOCUMENT_LIMIT: u64 = 4 << 20;

/// The header with the default minimum size of objects that rules move to colder storage. A write without it resets it.
/// (<https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutBucketLifecycleConfiguration.html>)
const SMALLEST_TRANSITION: &str = "x-amz-transition-default-minimum-object-size";

/// The lifecycle configuration of a bucket.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Standing {
    /// The rules.
    pub document: Document,
    /// The header that applies to all of them.
    smallest_transition: Option<String>,
}

impl Standing {
    /// Returns the configuration with other rules.
    pub fn with(&self, document: Document) -> Self {
        Self { document, smallest_transition: self.smallest_transition.clone() }
    }
}

/// Reads the rules of a bucket; [`Error::Unsupported`] if it can have none.
pub async fn read(bucket: &Bucket) -> Result<Standing> {
    let incoming = match ask(bucket, "GET", "lifecycle").await {
        Ok(incoming) => incoming,
        Err(Error::NotFound) => return Ok(Standing::default()),
        Err(error) => return Err(error),
    };
    let smallest_transition = incoming.head.get(SMALLEST_TRANSITION).map(str::to_owned);
    let text = text(incoming).await?;
    let document = if text.trim().is_empty() { Document::default() } else { Document::read(text)? };
    Ok(Standing { document, smallest_transition })
}

/// Replaces the rules of a bucket. Idempotent, so it is retried after any failure.
pub async fn write(bucket: &Bucket, standing: &Standing) -> Result<()> {
    let Some(text) = standing.document.text() else {
        return match ask(bucket, "DELETE", "lifecycle").await {
            Ok(_) | Err(Error::NotFound) => Ok(()),
            Err(error) => Err(error),
        };
    };
    let mut request = Request::new("PUT", None);
    request.query = query(&[("lifecycle", "")]);
    request.header("content-type", "application/xml");
    // S3 requires a checksum, and all vendors know this one.
    request.header("content-md5", BASE64_STANDARD.encode(Md5::digest(text.as_bytes())));
    if let Some(size) = &standing.smallest_transition {
        request.header(SMALLEST_TRANSITION, size.as_str());
    }
    request.payload = Some(payload_hash(text.as_bytes()));
    request.length = text.len() as u64;
    request.body = Outgoing::Bytes(Bytes::copy_from_slice(text.as_bytes()));
    let incoming = bucket.transport.send(request, Effect::Reads).await?;
    let _ = incoming.into_bytes(DOCUMENT_LIMIT).await;
    Ok(())
}

/// Returns whether a bucket has old versions of its objects: versioning is enabled or suspended.
pub async fn keeps_versions(bucket: &Bucket) -> Result<bool> {
    let incoming = match ask(bucket, "GET", "versioning").await {
        Ok(incoming) => incoming,
        Err(Error::NotFound | Error::Unsupported(_)) => return Ok(false),
        Err(error) => return Err(error),
    };
    let text = text(incoming).await?;
    if text.trim().is_empty() {
        return Ok(false);
    }
    let outline = Outline::of(&text)?;
    Ok(outline.parts.iter().any(|(_, part)| part.name == "Status" && !part.text.is_empty()))
}

async fn ask(bucket: &Bucket, method: &'static str, about: &str) -> Result<Incoming> {
    let mut request = Request::new(method, None);
    request.query = query(&[(about, "")]);
    bucket.transport.send(request, Effect::Reads).await
}

async fn text(incoming: Incoming) -> Result<String> {
    let bytes = incoming.into_bytes(DOCUMENT_LIMIT).await?;
    String::from_utf8(bytes.into()).map_err(|_| malformed("they are no text"))
}
