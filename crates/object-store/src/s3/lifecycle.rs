//! Lifecycle rules on a bucket: one document, which all its users read and write as a whole, without conditions.
//!
//! Rules of others stay unchanged to the byte. So this bypasses the SDK, which would drop unknown elements. Written
//! rules are read back and compared, since some object stores drop unknown elements, too, and a rule without its prefix
//! removes everything (Garage 2.5, Ceph RGW 16).
//!
//! # Reconciliation
//!
//! All users of a bucket replace one document, without compare-and-swap: the last writer wins. Some object stores
//! store a rule without its filter, and such a rule removes every object. So each write is read back:
//!
//! 1. Read the document. A rule without limits in it was left by a process that crashed after step 3: restore
//!    (step 5), and write no rules from then on.
//! 2. Edit it: replace the wanted rules that are missing or differ, and drop obsolete ones under whose prefix no
//!    objects are left. All other rules stay, byte for byte. Without differences there is nothing to do.
//! 3. Write it. This is the commit point, and idempotent: it is retried after any failure.
//! 4. Read it back until it differs from step 1, since reads may be stale. As written: done. A rule is missing, but
//!    none is wrong: another writer won the race, so start again, at most 3 times.
//! 5. A rule is wrong, or the document cannot be read back: restore the document of step 1, without rules of ours that
//!    have no limits. If even that loses filters, delete all rules, since a missing rule only delays a removal. After a
//!    wrong rule, write no rules until a restart.
//!
//! A crash between steps 3 and 5 leaves the new document. The next reconciliation of any gateway finishes it.

use std::{fmt::Write as _, sync::Arc, time::Duration};

use base64::{Engine, prelude::BASE64_STANDARD};
use bytes::Bytes;
use md5::Md5;
use sha2::{Digest, Sha256};
use tokio::sync::Mutex;

use larder_runtime::clock::Clock;

use super::{
    bucket::Bucket,
    http1::{RequestBody, Response},
    lifecycle_document::{Document, Outline, Rule, malformed},
    location::query,
    signer::{Request, payload_hash},
    transport::RetrySafety,
};
use crate::{Error, LifecycleError, ListOptions, ObjectStore, Reconciled, Result, UnfitRules, WantedRule, WantedRules};

/// Maximum number of attempts to write rules, since other writers may interfere.
const MAX_ATTEMPTS: u32 = 3;

/// Maximum number of reads after a write, since the first ones may be stale.
const MAX_READS: u32 = 4;

/// Interval between two reads; between two attempts it grows with their number.
const RETRY_INTERVAL: Duration = Duration::from_millis(500);

/// Maximum bytes of a document: 1,000 rules, the limit of AWS, of 4 KiB.
const MAX_DOCUMENT_BYTES: u64 = 4 << 20;

/// The header with the default minimum size of objects that rules move to colder storage. A write without it resets it.
/// (<https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutBucketLifecycleConfiguration.html>)
const MIN_TRANSITION_SIZE_HEADER: &str = "x-amz-transition-default-minimum-object-size";

/// Reconciler of lifecycle rules. It remembers rules that the object store cannot represent until a restart.
#[derive(Debug, Clone, Default)]
pub struct RuleReconciler {
    unfit_rules: Arc<Mutex<Option<UnfitRules>>>,
}

impl RuleReconciler {
    /// Makes the rules of `bucket` equal to `wanted`; `objects` are those of the bucket. Reconciliations of one process
    /// run one at a time.
    pub async fn reconcile(
        &self,
        bucket: &Bucket,
        objects: &dyn ObjectStore,
        wanted: &WantedRules,
    ) -> Result<Reconciled, LifecycleError> {
        let mut unfit_rules = self.unfit_rules.lock().await;
        if let Some(unfit) = unfit_rules.as_ref() {
            return Err(unfit.clone().into());
        }
        let outcome = Reconciliation { bucket, objects, wanted }.run().await;
        if let Err(LifecycleError::Unfit(unfit)) = &outcome {
            *unfit_rules = Some(unfit.clone());
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
        for attempt in 1..=MAX_ATTEMPTS {
            match self.attempt().await {
                Ok(Some(reconciled)) => return Ok(reconciled),
                Err(LifecycleError::Store(Error::Unsupported(_))) => return Ok(Reconciled::Unsupported),
                Err(error) => return Err(error),
                Ok(None) => self.bucket.transport.clock().sleep(RETRY_INTERVAL * attempt).await,
            }
        }
        Err(LifecycleError::Unsettled)
    }

    /// Returns `None` if another writer interfered.
    async fn attempt(&self) -> Result<Option<Reconciled>, LifecycleError> {
        let before = find_current(self.bucket).await?;
        let is_versioned = is_versioned(self.bucket).await?;
        let own = OwnRules::new(self.wanted, &self.bucket.options.prefix, is_versioned)?;
        if let Some(lost) = find_unbounded(&before.document, &own) {
            // Left by a process that ended before it could restore the old rules.
            let rule = lost.id().to_owned();
            self.restore(&before, &own, &rule).await?;
            return Err(UnfitRules::FilterLost { rule }.into());
        }
        let obsolete = self.find_obsolete(&before.document, &own).await?;
        let is_as_wanted = |rule: &Rule| own.wanted.iter().any(|(_, wanted)| wanted == rule);
        let occurs_once = |wanted: &Rule| before.document.rules().filter(|rule| *rule == wanted).count() == 1;
        let is_dropped =
            |rule: &Rule| obsolete.contains(rule) || (own.owns(rule) && own.wants(rule) && !is_as_wanted(rule));
        if own.wanted.iter().all(|(_, wanted)| occurs_once(wanted)) && !before.document.rules().any(is_dropped) {
            return Ok(Some(Reconciled::Unchanged));
        }
        // All wanted rules are written again, so that each occurs once.
        let texts: Vec<String> = own.wanted.iter().map(|(text, _)| text.clone()).collect();
        let is_replaced = |rule: &Rule| obsolete.contains(rule) || (own.owns(rule) && own.wants(rule));
        let sent = before.with(before.document.edited(is_replaced, &texts)?);
        replace(self.bucket, &sent).await?;
        let found = match self.read_back(&before, &sent, &own).await {
            Ok(found) => found,
            Err(unreadable) => {
                self.restore(&before, &own, "that was just written").await?;
                return Err(unreadable);
            }
        };
        match found {
            ReadBack::AsWritten => Ok(Some(Reconciled::Written)),
            ReadBack::Overwritten => Ok(None),
            ReadBack::Unfit(unfit) => {
                tracing::error!(%unfit, "restoring the previous lifecycle rules");
                let rule = match &unfit {
                    UnfitRules::FilterLost { rule }
                    | UnfitRules::Altered { rule }
                    | UnfitRules::VersionsStay { rule } => rule,
                };
                self.restore(&before, &own, rule).await?;
                Err(unfit.into())
            }
        }
    }

    /// Reads back a write and compares it. Reads of AWS may be stale for a while.
    async fn read_back(
        &self,
        before: &BucketRules,
        sent: &BucketRules,
        own: &OwnRules,
    ) -> Result<ReadBack, LifecycleError> {
        let mut found = find_current(self.bucket).await?;
        for _ in 1..MAX_READS {
            if found.document != before.document || found.document == sent.document {
                break;
            }
            self.bucket.transport.clock().sleep(RETRY_INTERVAL).await;
            found = find_current(self.bucket).await?;
        }
        Ok(compare(&sent.document, &found.document, own))
    }

    /// Restores the former rules, except those of ours without limits. If even the restored ones lose their filters,
    /// deletes all rules.
    async fn restore(&self, before: &BucketRules, own: &OwnRules, rule: &str) -> Result<(), LifecycleError> {
        let safe = before.document.edited(|rule| own.is_unbounded(rule), &[])?;
        let safe = before.with(safe);
        let done = match self.write_with_retry(&safe).await {
            Ok(found) if find_unbounded(&found, own).is_none() && !has_lost_filter(&safe.document, &found, own) => {
                Ok(())
            }
            Ok(_) => {
                tracing::error!(
                    "the object store drops the filters of lifecycle rules; deleting all rules of the bucket"
                );
                self.write_with_retry(&BucketRules::default()).await.map(drop)
            }
            Err(error) => Err(error),
        };
        done.map_err(|source| LifecycleError::Dangerous { rule: rule.to_owned(), source })
    }

    /// Writes rules, with retries, and returns the ones read back.
    async fn write_with_retry(&self, rules: &BucketRules) -> Result<Document, Error> {
        let mut attempt = 1;
        loop {
            let written = match replace(self.bucket, rules).await {
                Ok(()) => find_current(self.bucket).await,
                Err(error) => Err(error),
            };
            match written {
                Ok(found) => return Ok(found.document),
                Err(error) if attempt == MAX_ATTEMPTS => return Err(error),
                Err(_) => self.bucket.transport.clock().sleep(RETRY_INTERVAL * attempt).await,
            }
            attempt += 1;
        }
    }

    /// Returns our obsolete rules under whose prefixes no objects are left.
    async fn find_obsolete(&self, document: &Document, own: &OwnRules) -> Result<Vec<Rule>, LifecycleError> {
        let mut obsolete = Vec::new();
        for rule in document.rules().filter(|rule| own.owns(rule) && !own.wants(rule)) {
            let below = rule.prefix().and_then(|prefix| prefix.strip_prefix(&self.bucket.options.prefix));
            let Some(prefix) = below.map(str::to_owned) else { continue };
            let page = self.objects.list(ListOptions { prefix, start_after: None, limit: 1 }).await?;
            if page.objects.is_empty() && !page.is_truncated {
                obsolete.push(rule.clone());
            }
        }
        Ok(obsolete)
    }
}

/// Returns a rule without its limits, which would remove the wrong objects.
fn find_unbounded<'a>(document: &'a Document, own: &OwnRules) -> Option<&'a Rule> {
    document.rules().find(|rule| own.is_unbounded(rule))
}

fn has_lost_filter(sent: &Document, found: &Document, own: &OwnRules) -> bool {
    matches!(compare(sent, found, own), ReadBack::Unfit(UnfitRules::FilterLost { .. }))
}

/// The lifecycle configuration of a bucket.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BucketRules {
    /// The rules.
    pub document: Document,
    /// The header that applies to all of them.
    min_transition_size: Option<String>,
}

impl BucketRules {
    /// Returns the configuration with other rules.
    pub fn with(&self, document: Document) -> Self {
        Self { document, min_transition_size: self.min_transition_size.clone() }
    }
}

/// Reads the rules of a bucket. Fails with [`Error::Unsupported`] if it can have none.
pub async fn find_current(bucket: &Bucket) -> Result<BucketRules, Error> {
    let response = match send_subresource(bucket, "GET", "lifecycle").await {
        Ok(response) => response,
        Err(Error::NotFound) => return Ok(BucketRules::default()),
        Err(error) => return Err(error),
    };
    let min_transition_size = response.head.get(MIN_TRANSITION_SIZE_HEADER).map(str::to_owned);
    let text = text(response).await?;
    let document = if text.trim().is_empty() { Document::default() } else { Document::parse(text)? };
    Ok(BucketRules { document, min_transition_size })
}

/// Replaces the rules of a bucket. Idempotent, so it is retried after any failure.
pub async fn replace(bucket: &Bucket, rules: &BucketRules) -> Result<(), Error> {
    let Some(text) = rules.document.text() else {
        return match send_subresource(bucket, "DELETE", "lifecycle").await {
            Ok(_) | Err(Error::NotFound) => Ok(()),
            Err(error) => Err(error),
        };
    };
    let mut request = Request::new("PUT", None);
    request.query = query(&[("lifecycle", "")]);
    request.header("content-type", "application/xml");
    // S3 requires a checksum, and all vendors know this one.
    request.header("content-md5", BASE64_STANDARD.encode(Md5::digest(text.as_bytes())));
    if let Some(size) = &rules.min_transition_size {
        request.header(MIN_TRANSITION_SIZE_HEADER, size.as_str());
    }
    request.payload_hash = Some(payload_hash(text.as_bytes()));
    request.length = text.len() as u64;
    request.body = RequestBody::Bytes(Bytes::copy_from_slice(text.as_bytes()));
    let response = bucket.transport.send(request, RetrySafety::Idempotent).await?;
    let _ = response.into_bytes(MAX_DOCUMENT_BYTES).await;
    Ok(())
}

/// Returns whether a bucket may have old versions of its objects: versioning is enabled or suspended.
pub async fn is_versioned(bucket: &Bucket) -> Result<bool, Error> {
    let response = match send_subresource(bucket, "GET", "versioning").await {
        Ok(response) => response,
        Err(Error::NotFound | Error::Unsupported(_)) => return Ok(false),
        Err(error) => return Err(error),
    };
    let text = text(response).await?;
    if text.trim().is_empty() {
        return Ok(false);
    }
    let outline = Outline::parse(&text)?;
    Ok(outline.parts.iter().any(|(_, part)| part.name == "Status" && !part.text.is_empty()))
}

async fn send_subresource(bucket: &Bucket, method: &'static str, subresource: &str) -> Result<Response, Error> {
    let mut request = Request::new(method, None);
    request.query = query(&[(subresource, "")]);
    bucket.transport.send(request, RetrySafety::Idempotent).await
}

async fn text(response: Response) -> Result<String, Error> {
    let bytes = response.into_bytes(MAX_DOCUMENT_BYTES).await?;
    String::from_utf8(bytes.into()).map_err(|_| malformed("the document is not UTF-8"))
}

// The rules of one installation: their names, which distinguish them from all others, their text, and the comparison
// of the rules read back with those written.

/// Bytes of the hash in a rule's name.
const HASH_BYTES: usize = 8;

/// Action on old versions. Vendors that do not support it drop it.
pub const OLD_VERSIONS: &str = "NoncurrentVersionExpiration";

/// Days until a noncurrent version is deleted: it is never read again.
const OLD_VERSION_DAYS: u16 = 1;

/// The rules that one installation wants on a bucket.
#[derive(Debug)]
pub struct OwnRules {
    /// Prefix of the names of all its rules. Another root has another hash, so that two installations in one bucket do
    /// not affect each other.
    id_prefix: String,
    /// Prefix of all its keys, in the bucket.
    root: String,
    /// The rules, as text and by meaning.
    pub wanted: Vec<(String, Rule)>,
}

impl OwnRules {
    /// Returns `wanted` for a bucket where all keys begin with `prefix`, and which may keep old versions.
    pub fn new(wanted: &WantedRules, prefix: &str, is_versioned: bool) -> Result<Self> {
        let root = [prefix, &wanted.root].concat();
        let hash = Sha256::digest(root.as_bytes());
        let hash = hash.iter().take(HASH_BYTES).fold(String::new(), |mut hash, byte| {
            let _ = write!(hash, "{byte:02x}");
            hash
        });
        let id_prefix = format!("larder-{hash}-");
        let mut texts = Vec::new();
        for WantedRule { prefix: below, days } in &wanted.expirations {
            let mut actions = format!("<Expiration><Days>{days}</Days></Expiration>");
            if is_versioned {
                let days = OLD_VERSION_DAYS;
                let _ = write!(actions, "<{OLD_VERSIONS}><NoncurrentDays>{days}</NoncurrentDays></{OLD_VERSIONS}>");
            }
            texts.push(rule_xml(&format!("{id_prefix}{days}"), &[prefix, below].concat(), &actions));
        }
        if let Some(days) = wanted.upload_days {
            let action = format!(
                "<AbortIncompleteMultipartUpload><DaysAfterInitiation>{days}</DaysAfterInitiation>\
                 </AbortIncompleteMultipartUpload>"
            );
            texts.push(rule_xml(&format!("{id_prefix}uploads"), &root, &action));
        }
        let document = Document::from_rules(&texts)?;
        let wanted = texts.into_iter().zip(document.rules().cloned()).collect();
        Ok(Self { id_prefix, root, wanted })
    }

    /// Returns whether a rule belongs to this installation, now or formerly.
    pub fn owns(&self, rule: &Rule) -> bool {
        rule.id().starts_with(&self.id_prefix)
    }

    /// Returns whether a rule lost its limits: one of this installation that reaches beyond it, or one of another
    /// without any limit, which Larder never writes.
    pub fn is_unbounded(&self, rule: &Rule) -> bool {
        if !self.owns(rule) {
            return rule.filter().is_empty() && is_larder_id(rule.id());
        }
        !rule.prefix().is_some_and(|prefix| prefix.starts_with(&self.root) && prefix.ends_with('/'))
    }

    /// Returns whether a wanted rule has the same name.
    pub fn wants(&self, rule: &Rule) -> bool {
        self.wanted.iter().any(|(_, wanted)| wanted.id() == rule.id())
    }
}

/// Returns whether an id is one of an installation of Larder.
fn is_larder_id(id: &str) -> bool {
    let hash = id.strip_prefix("larder-").and_then(|rest| rest.split_once('-'));
    hash.is_some_and(|(hash, _)| hash.len() == 2 * HASH_BYTES && hash.bytes().all(|digit| digit.is_ascii_hexdigit()))
}

/// Returns the text of a rule, in a form that every vendor accepts.
fn rule_xml(id: &str, prefix: &str, actions: &str) -> String {
    let prefix = quick_xml::escape::escape(prefix);
    format!("<Rule><ID>{id}</ID><Filter><Prefix>{prefix}</Prefix></Filter><Status>Enabled</Status>{actions}</Rule>")
}

/// Result of comparing the rules read back with those written.
#[derive(Debug, PartialEq, Eq)]
pub enum ReadBack {
    /// All rules are as written; another writer may have added rules since.
    AsWritten,
    /// A rule is missing, and none is wrong: another writer won the race, or the read is stale.
    Overwritten,
    /// The object store cannot represent such rules.
    Unfit(UnfitRules),
}

/// Compares the written rules with those read back.
pub fn compare(sent: &Document, found: &Document, own: &OwnRules) -> ReadBack {
    let (missing, new) = (difference(sent, found), difference(found, sent));
    // A rule of any owner that lost its filter, or its id with it.
    let lost = new.iter().find(|rule| {
        let was = sent.rules().find(|sent| sent.id() == rule.id());
        match was {
            Some(was) => was.filter().iter().any(|condition| !rule.filter().contains(condition)),
            None => rule.id().is_empty() && rule.filter().is_empty() && !missing.is_empty(),
        }
    });
    if let Some(rule) = lost {
        return ReadBack::Unfit(UnfitRules::FilterLost { rule: rule.id().to_owned() });
    }
    let altered = new.iter().find_map(|rule| own.wanted.iter().find(|(_, wanted)| wanted.id() == rule.id()));
    if let Some((_, wanted)) = altered {
        let rule = wanted.id().to_owned();
        let is_but_for_versions = new.iter().any(|rule| **rule == wanted.without(OLD_VERSIONS));
        return ReadBack::Unfit(if is_but_for_versions {
            UnfitRules::VersionsStay { rule }
        } else {
            UnfitRules::Altered { rule }
        });
    }
    if missing.is_empty() { ReadBack::AsWritten } else { ReadBack::Overwritten }
}

/// Returns the rules of one document that the other lacks, or has less often.
fn difference<'a>(document: &'a Document, other: &Document) -> Vec<&'a Rule> {
    let mut left: Vec<&Rule> = other.rules().collect();
    document
        .rules()
        .filter(|rule| match left.iter().position(|known| known == rule) {
            Some(at) => {
                left.swap_remove(at);
                false
            }
            None => true,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_rule_has_a_name_and_a_prefix_of_its_installation() {
        let expirations = vec![WantedRule { prefix: "larder/expiring/5/".to_owned(), days: 5 }];
        let wanted = WantedRules { root: "larder/".to_owned(), expirations, upload_days: Some(7) };
        let [one, other] = ["", "a&b/"].map(|prefix| OwnRules::new(&wanted, prefix, true).expect("rules"));
        assert_eq!(other.wanted[0].1.prefix(), Some("a&b/larder/expiring/5/"));
        for (_, rule) in &one.wanted {
            assert!(one.owns(rule) && !other.owns(rule) && !one.is_unbounded(rule) && !other.is_unbounded(rule));
            let lost = rule.without("Filter");
            assert!(one.is_unbounded(&lost) && other.is_unbounded(&lost), "{lost:?}");
        }
        let texts =
            ["larder-of-grandma", "larder-0123456789abcdef", "another"].map(|id| rule_xml(id, "", "<Expiration/>"));
        let theirs = Document::from_rules(&texts).expect("a document");
        assert!(theirs.rules().all(|rule| !one.is_unbounded(rule)), "of others, whatever they are limited to");
        assert!(one.wanted[0].1.id().ends_with("-5") && one.wanted[1].1.id().ends_with("-uploads"));
    }

    fn own(is_versioned: bool) -> OwnRules {
        let expirations = vec![WantedRule { prefix: "larder/expiring/5/".to_owned(), days: 5 }];
        let wanted = WantedRules { root: "larder/".to_owned(), expirations, upload_days: Some(7) };
        OwnRules::new(&wanted, "", is_versioned).expect("rules")
    }

    const TAGGED: &str = "<Rule><ID>theirs</ID><Filter><And><Prefix>a/</Prefix><Tag><Key>k</Key><Value>v</Value></Tag></And>\
        </Filter><Status>Enabled</Status><Expiration><Days>1</Days></Expiration></Rule>";

    const SIZED: &str = "<Rule><ID>sized</ID><Filter><ObjectSizeGreaterThan>9</ObjectSizeGreaterThan></Filter>\
        <Status>Enabled</Status><Expiration><Days>1</Days></Expiration></Rule>";

    /// Returns the result for our rules and two others on a vendor that writes `new` for `old`.
    fn read_back(own: &OwnRules, old: &str, new: &str) -> ReadBack {
        let mut texts: Vec<_> = own.wanted.iter().map(|(text, _)| text.clone()).collect();
        texts.extend([TAGGED, SIZED].map(str::to_owned));
        let sent = Document::from_rules(&texts).expect("a document");
        let stored = sent.text().expect("rules").replace(old, new);
        compare(&sent, &Document::parse(stored).expect("a document"), own)
    }

    #[test]
    fn different_notations_of_vendors_are_equal() {
        for (old, new) in [
            ("", ""),
            ("><", ">\n  <"),
            ("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n", ""),
            (" xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"", ""),
            ("<Filter><Prefix>larder/</Prefix></Filter>", "<Filter><And><Prefix>larder/</Prefix></And></Filter>"),
            ("<Filter><Prefix>larder/expiring/5/</Prefix></Filter>", "<Prefix>larder/expiring/5/</Prefix>"),
            ("<Expiration>", "<Expiration><ExpiredObjectDeleteMarker>false</ExpiredObjectDeleteMarker>"),
            (
                "<Status>Enabled</Status><Expiration><Days>5</Days></Expiration>",
                "<Expiration><Days>5</Days></Expiration><Status>Enabled</Status>",
            ),
        ] {
            assert_eq!(read_back(&own(false), old, new), ReadBack::AsWritten, "{old} as {new}");
        }
    }

    #[test]
    fn a_lost_filter_is_found_in_rules_of_any_owner() {
        let lost = |rule: &str| ReadBack::Unfit(UnfitRules::FilterLost { rule: rule.to_owned() });
        let own = own(false);
        let [expiration, uploads] = [0, 1].map(|at: usize| own.wanted[at].1.id());
        for (old, new, rule) in [
            ("<Filter><Prefix>larder/expiring/5/</Prefix></Filter>", "", expiration),
            ("<Filter><Prefix>larder/expiring/5/</Prefix></Filter>", "<Filter/>", expiration),
            ("<Prefix>larder/expiring/5/</Prefix>", "<Prefix/>", expiration),
            ("<Prefix>larder/expiring/5/</Prefix>", "<Prefix>larder/</Prefix>", expiration),
            ("<Filter><Prefix>larder/</Prefix></Filter>", "<Prefix></Prefix>", uploads),
            ("<Tag><Key>k</Key><Value>v</Value></Tag>", "", "theirs"),
            ("<ObjectSizeGreaterThan>9</ObjectSizeGreaterThan>", "<Prefix/>", "sized"),
            (
                "<ID>theirs</ID><Filter><And><Prefix>a/</Prefix><Tag><Key>k</Key><Value>v</Value></Tag></And></Filter>",
                "",
                "",
            ),
        ] {
            assert_eq!(read_back(&own, old, new), lost(rule), "{old} as {new}");
        }
    }

    #[test]
    fn our_rules_must_come_back_with_their_days_their_status_and_their_actions() {
        let altered = |rule: &str| ReadBack::Unfit(UnfitRules::Altered { rule: rule.to_owned() });
        let own_rules = own(false);
        let [expiration, uploads] = [0, 1].map(|at: usize| own_rules.wanted[at].1.id());
        for (old, new, rule) in [
            ("<Days>5</Days>", "<Days>1</Days>", expiration),
            ("<Status>Enabled</Status><Expiration><Days>5", "<Status>Disabled</Status><Expiration><Days>5", expiration),
            ("<DaysAfterInitiation>7</DaysAfterInitiation>", "", uploads),
        ] {
            assert_eq!(read_back(&own_rules, old, new), altered(rule), "{old} as {new}");
        }
        let versioned = own(true);
        assert_eq!(read_back(&versioned, "", ""), ReadBack::AsWritten);
        let old = format!("<{OLD_VERSIONS}><NoncurrentDays>1</NoncurrentDays></{OLD_VERSIONS}>");
        let rule = versioned.wanted[0].1.id().to_owned();
        assert_eq!(read_back(&versioned, &old, ""), ReadBack::Unfit(UnfitRules::VersionsStay { rule }));
    }

    #[test]
    fn changes_of_another_writer_are_distinguished_from_those_of_the_vendor() {
        let own = own(false);
        let added = format!("{TAGGED}<Rule><ID>new</ID><Filter/><Status>Enabled</Status></Rule>");
        assert_eq!(read_back(&own, TAGGED, &added), ReadBack::AsWritten, "a rule of theirs that is new");
        assert_eq!(read_back(&own, TAGGED, ""), ReadBack::Overwritten, "a rule of theirs that is gone");
        let ours = own.wanted[0].0.clone();
        assert_eq!(read_back(&own, &ours, ""), ReadBack::Overwritten, "a rule of ours that is gone");
        assert_eq!(
            read_back(&own, "<Days>1</Days>", "<Days>2</Days>"),
            ReadBack::Overwritten,
            "theirs with other days"
        );
    }
}
