//! Makes the rules of a bucket equal to the wanted ones: reads them, writes differences, reads them back, and restores
//! the old ones if the object store changed them.

use std::time::Duration;

use async_trait::async_trait;

use crate::{
    error::Error,
    lifecycle::{
        Lifecycle, LifecycleError, Reconciled, UnfinishedUpload, UnfitRules, UploadMark, UploadPage, WantedRules,
    },
    object::ListOptions,
    s3::{bucket::Bucket, store::S3Store},
    store::ObjectStore,
};
use larder_runtime::clock::{Clock, Timestamp};

use super::{
    comparison::{Verdict, compare},
    document::{Document, Rule},
    own::OwnRules,
    requests::{Standing, keeps_versions, read, write},
};

/// Maximum number of attempts to write rules: other writers may interfere, and there is no lock.
const ATTEMPTS: u32 = 3;

/// Maximum number of reads until the old rules are no longer shown.
const READS: u32 = 4;

/// Delay between two reads, or two attempts.
const PAUSE: Duration = Duration::from_millis(500);

#[async_trait]
impl Lifecycle for S3Store {
    async fn reconcile(&self, wanted: &WantedRules) -> Result<Reconciled, LifecycleError> {
        let (store, wanted) = (self.clone(), wanted.clone());
        // Written rules must be read back, even if the caller is gone.
        let task = self.bucket().tasks.spawn(async move {
            let mut refused = store.rules().lock().await;
            if let Some(unfit) = refused.as_ref() {
                return Err(unfit.clone().into());
            }
            let reconciliation = Reconciliation { bucket: store.bucket(), store: &store, wanted: &wanted };
            let outcome = reconciliation.run().await;
            if let Err(LifecycleError::Unfit(unfit)) = &outcome {
                *refused = Some(unfit.clone());
            }
            outcome
        });
        task.await.unwrap_or_else(|error| Err(Error::Unavailable(error.into()).into()))
    }

    async fn unfinished_uploads(&self, root: &str, from: Option<&UploadMark>) -> Result<UploadPage, Error> {
        let bucket = self.bucket();
        let root = bucket.whole_key(root);
        bucket.transport.patiently(|| bucket.control.unfinished_uploads(&root, &bucket.options.prefix, from)).await
    }

    async fn last_part_at(&self, upload: &UnfinishedUpload) -> Result<Option<Timestamp>, Error> {
        let bucket = self.bucket();
        let key = bucket.whole_key(&upload.key);
        bucket.transport.patiently(|| bucket.control.last_part_at(&key, &upload.id)).await
    }

    async fn abort_upload(&self, upload: &UnfinishedUpload) -> Result<(), Error> {
        let bucket = self.bucket();
        let key = bucket.whole_key(&upload.key);
        match bucket.transport.patiently(|| bucket.control.abort_upload(&key, &upload.id)).await {
            Err(Error::NotFound) => Ok(()),
            aborted => aborted,
        }
    }
}

struct Reconciliation<'a> {
    store: &'a S3Store,
    bucket: &'a Bucket,
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
            let page = self.store.list(ListOptions { prefix, start_after: None, limit: 1 }).await?;
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
