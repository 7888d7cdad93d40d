//! Makes the rules of a bucket equal to the wanted ones: reads them, writes differences, reads them back, and restores
//! the old ones if the object store changed them.

use std::{sync::Arc, time::Duration};

use base64::{Engine, prelude::BASE64_STANDARD};
use bytes::Bytes;
use md5::{Digest, Md5};
use tokio::sync::Mutex;

use larder_runtime::clock::Clock;

use super::{
    super::{
        bucket::Bucket,
        http1::{RequestBody, Response},
        location::query,
        request::Request,
        signer::payload_hash,
        transport::RetrySafety,
    },
    document::{Document, Outline, Rule, malformed},
    rules::{OwnRules, Verdict, compare},
};
use crate::{Error, LifecycleError, ListOptions, ObjectStore, Reconciled, UnfitRules, WantedRules};

/// Maximum number of attempts to write rules: other writers may interfere, and there is no lock.
const ATTEMPTS: u32 = 3;

/// Maximum number of reads until the old rules are no longer shown.
const READS: u32 = 4;

/// Delay between two reads, or two attempts.
const PAUSE: Duration = Duration::from_millis(500);

/// Refusal of lifecycle rules by the object store, in one process, between two reconciliations.
#[derive(Debug, Clone, Default)]
pub struct Rules {
    refused: Arc<Mutex<Option<UnfitRules>>>,
}

impl Rules {
    /// Makes the rules of `bucket` equal to `wanted`; `objects` are those of the bucket. One process does so once at a
    /// time, and no longer once the object store turned out to be unable to represent the rules.
    pub async fn reconcile(
        &self,
        bucket: &Bucket,
        objects: &dyn ObjectStore,
        wanted: &WantedRules,
    ) -> Result<Reconciled, LifecycleError> {
        let mut refused = self.refused.lock().await;
        if let Some(unfit) = refused.as_ref() {
            return Err(unfit.clone().into());
        }
        let outcome = Reconciliation { bucket, objects, wanted }.run().await;
        if let Err(LifecycleError::Unfit(unfit)) = &outcome {
            *refused = Some(unfit.clone());
        }
        outcome
    }
}

struct Reconciliation<'a> {
    bucket: &'a Bucket,
    objects: &'a dyn ObjectStore,
    wanted: &'a WantedRules,
}

impl Reconciliation<'_> {
    async fn run(&self) -> Result<Reconciled, LifecycleError> {
        for attempt in 1..=ATTEMPTS {
            match self.attempt().await {
                Ok(Some(reconciled)) => return Ok(reconciled),
                Err(LifecycleError::Store(Error::Unsupported(_))) => return Ok(Reconciled::Unsupported),
                Err(error) => return Err(error),
                Ok(None) => self.bucket.transport.clock().sleep(PAUSE * attempt).await,
            }
        }
        Err(LifecycleError::Unsettled)
    }

    /// Returns `None` if another writer interfered.
    async fn attempt(&self) -> Result<Option<Reconciled>, LifecycleError> {
        let before = read(self.bucket).await?;
        let keeps_versions = keeps_versions(self.bucket).await?;
        let own = OwnRules::new(self.wanted, &self.bucket.options.prefix, keeps_versions)?;
        if let Some(lost) = dangerous(&before.document, &own) {
            // Left by a process that ended before it could restore the old rules.
            let rule = lost.id().to_owned();
            self.put_back(&before, &own, &rule).await?;
            return Err(UnfitRules::FilterLost { rule }.into());
        }
        let done_with = self.done_with(&before.document, &own).await?;
        let is_as_wanted = |rule: &Rule| own.wanted.iter().any(|(_, wanted)| wanted == rule);
        let stands = |wanted: &Rule| before.document.rules().filter(|rule| *rule == wanted).count() == 1;
        let is_dropped =
            |rule: &Rule| done_with.contains(rule) || (own.has(rule) && own.wants(rule) && !is_as_wanted(rule));
        if own.wanted.iter().all(|(_, wanted)| stands(wanted)) && !before.document.rules().any(is_dropped) {
            return Ok(Some(Reconciled::Unchanged));
        }
        // All our wanted rules are written again, so that each is there once.
        let texts: Vec<String> = own.wanted.iter().map(|(text, _)| text.clone()).collect();
        let is_replaced = |rule: &Rule| done_with.contains(rule) || (own.has(rule) && own.wants(rule));
        let sent = before.with(before.document.changed(is_replaced, &texts)?);
        write(self.bucket, &sent).await?;
        let found = match self.read_back(&before, &sent, &own).await {
            Ok(found) => found,
            Err(unreadable) => {
                self.put_back(&before, &own, "that was just written").await?;
                return Err(unreadable);
            }
        };
        match found {
            Verdict::Kept => Ok(Some(Reconciled::Written)),
            Verdict::Other => Ok(None),
            Verdict::Unfit(unfit) => {
                tracing::error!(%unfit, "lifecycle rules are put back");
                let rule = match &unfit {
                    UnfitRules::FilterLost { rule }
                    | UnfitRules::Altered { rule }
                    | UnfitRules::VersionsStay { rule } => rule,
                };
                self.put_back(&before, &own, rule).await?;
                Err(unfit.into())
            }
        }
    }

    /// Reads back a write, and returns its result. AWS may show the old rules for a while.
    async fn read_back(&self, before: &Standing, sent: &Standing, own: &OwnRules) -> Result<Verdict, LifecycleError> {
        let mut found = read(self.bucket).await?;
        for _ in 1..READS {
            if found.document != before.document || found.document == sent.document {
                break;
            }
            self.bucket.transport.clock().sleep(PAUSE).await;
            found = read(self.bucket).await?;
        }
        Ok(compare(&sent.document, &found.document, own))
    }

    /// Restores the former rules, except those of ours without limits. If even the restored ones lose their limits,
    /// deletes all rules: a missing rule only delays a removal.
    async fn put_back(&self, before: &Standing, own: &OwnRules, rule: &str) -> Result<(), LifecycleError> {
        let safe = before.document.changed(|rule| own.are_spoilt_by(rule), &[])?;
        let safe = before.with(safe);
        let done = match self.write_surely(&safe).await {
            Ok(found) if dangerous(&found, own).is_none() && !has_lost_filter(&safe.document, &found, own) => Ok(()),
            Ok(_) => {
                tracing::error!("no lifecycle rule keeps what it is limited to: all of the bucket's rules are removed");
                self.write_surely(&Standing::default()).await.map(drop)
            }
            Err(error) => Err(error),
        };
        done.map_err(|source| LifecycleError::Dangerous { rule: rule.to_owned(), source })
    }

    /// Writes rules until that succeeds, and returns the ones read back.
    async fn write_surely(&self, standing: &Standing) -> Result<Document, Error> {
        let mut attempt = 1;
        loop {
            let written = match write(self.bucket, standing).await {
                Ok(()) => read(self.bucket).await,
                Err(error) => Err(error),
            };
            match written {
                Ok(found) => return Ok(found.document),
                Err(error) if attempt == ATTEMPTS => return Err(error),
                Err(_) => self.bucket.transport.clock().sleep(PAUSE * attempt).await,
            }
            attempt += 1;
        }
    }

    /// Returns our obsolete rules under whose prefixes no objects are left.
    async fn done_with(&self, document: &Document, own: &OwnRules) -> Result<Vec<Rule>, LifecycleError> {
        let mut done_with = Vec::new();
        for rule in document.rules().filter(|rule| own.has(rule) && !own.wants(rule)) {
            let below = rule.prefix().and_then(|prefix| prefix.strip_prefix(&self.bucket.options.prefix));
            let Some(prefix) = below.map(str::to_owned) else { continue };
            let page = self.objects.list(ListOptions { prefix, start_after: None, limit: 1 }).await?;
            if page.objects.is_empty() && !page.is_truncated {
                done_with.push(rule.clone());
            }
        }
        Ok(done_with)
    }
}

/// Returns a rule that would remove the wrong objects.
fn dangerous<'a>(document: &'a Document, own: &OwnRules) -> Option<&'a Rule> {
    document.rules().find(|rule| own.are_spoilt_by(rule))
}

fn has_lost_filter(sent: &Document, found: &Document, own: &OwnRules) -> bool {
    matches!(compare(sent, found, own), Verdict::Unfit(UnfitRules::FilterLost { .. }))
}

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
pub async fn read(bucket: &Bucket) -> Result<Standing, Error> {
    let response = match ask(bucket, "GET", "lifecycle").await {
        Ok(response) => response,
        Err(Error::NotFound) => return Ok(Standing::default()),
        Err(error) => return Err(error),
    };
    let smallest_transition = response.head.get(SMALLEST_TRANSITION).map(str::to_owned);
    let text = text(response).await?;
    let document = if text.trim().is_empty() { Document::default() } else { Document::read(text)? };
    Ok(Standing { document, smallest_transition })
}

/// Replaces the rules of a bucket. Idempotent, so it is retried after any failure.
pub async fn write(bucket: &Bucket, standing: &Standing) -> Result<(), Error> {
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
    request.body = RequestBody::Bytes(Bytes::copy_from_slice(text.as_bytes()));
    let response = bucket.transport.send(request, RetrySafety::Idempotent).await?;
    let _ = response.into_bytes(DOCUMENT_LIMIT).await;
    Ok(())
}

/// Returns whether a bucket has old versions of its objects: versioning is enabled or suspended.
pub async fn keeps_versions(bucket: &Bucket) -> Result<bool, Error> {
    let response = match ask(bucket, "GET", "versioning").await {
        Ok(response) => response,
        Err(Error::NotFound | Error::Unsupported(_)) => return Ok(false),
        Err(error) => return Err(error),
    };
    let text = text(response).await?;
    if text.trim().is_empty() {
        return Ok(false);
    }
    let outline = Outline::of(&text)?;
    Ok(outline.parts.iter().any(|(_, part)| part.name == "Status" && !part.text.is_empty()))
}

async fn ask(bucket: &Bucket, method: &'static str, about: &str) -> Result<Response, Error> {
    let mut request = Request::new(method, None);
    request.query = query(&[(about, "")]);
    bucket.transport.send(request, RetrySafety::Idempotent).await
}

async fn text(response: Response) -> Result<String, Error> {
    let bytes = response.into_bytes(DOCUMENT_LIMIT).await?;
    String::from_utf8(bytes.into()).map_err(|_| malformed("they are no text"))
}
