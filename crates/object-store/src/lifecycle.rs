//! Lifecycle rules: a bucket's own ability to remove expired objects.
//!
//! Rules cover whole prefixes and whole days, and several writers share one document of them without conditional
//! writes. The implementations make that safe; callers decide on rules and prefixes.

use std::fmt::Debug;

use async_trait::async_trait;

use larder_runtime::clock::Timestamp;

use super::store::{Error, Result as StorageResult};

/// A rule that removes objects under a prefix some days after they were written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WantedRule {
    /// Prefix of their keys; ends in `/` and lies below the root.
    pub prefix: String,
    /// Days from the write of an object to its removal, at least 1; unique, since the number names the rule.
    pub days: u16,
}

/// All rules that one installation wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WantedRules {
    /// Prefix of all keys of the installation; ends in `/`. Rules of other roots are ignored.
    pub root: String,
    /// Objects to remove. A bucket with versioning removes their old versions a day after they became noncurrent.
    pub expirations: Vec<WantedRule>,
    /// Days from the start of a multipart upload below the root until it is aborted; never if `None`.
    pub upload_days: Option<u16>,
}

/// Outcome of a reconciliation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reconciled {
    /// The rules were there already; nothing was written.
    Unchanged,
    /// The rules were written and read back unchanged.
    Written,
    /// This object store has no lifecycle rules; nothing was written.
    Unsupported,
}

/// Rules that this object store cannot represent. They are not retried before a restart.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UnfitRules {
    /// A rule lost its prefix: it would have removed everything.
    #[error(
        "the object store dropped the filter of the lifecycle rule {rule}, so that it would remove other objects; the \
         previous rules were restored, except those without limits, and no rules are written until a restart"
    )]
    FilterLost {
        /// Id of the rule.
        rule: String,
    },
    /// A rule read back differently than written.
    #[error(
        "the object store changed the lifecycle rule {rule}; the previous rules were restored, and no rules are written \
         until a restart"
    )]
    Altered {
        /// Id of the rule.
        rule: String,
    },
    /// The bucket keeps old versions, and accepts no rule that removes them.
    #[error(
        "the bucket keeps old versions of objects, and the object store accepts no rule that removes them (it changed \
         {rule}), so that expired objects would free no space; use a bucket that has never had versioning, or another \
         LARDER_S3_BUCKET"
    )]
    VersionsStay {
        /// Id of the rule that came back without it.
        rule: String,
    },
}

/// The rules could not be confirmed.
#[derive(Debug, thiserror::Error)]
pub enum LifecycleError {
    /// The rules cannot be read or written now, or not with these keys.
    #[error("cannot read or write the lifecycle rules of the bucket")]
    Store(#[from] Error),
    /// The rules read back differ from those written, harmlessly: another writer changes them at the same time, or the
    /// object store shows writes late.
    #[error(
        "cannot confirm the lifecycle rules of the bucket: they read back differently; another tool may be writing them"
    )]
    Unsettled,
    /// A rule that differs from the one written is on the bucket, and could not be removed.
    #[error(
        "cannot remove the lifecycle rule {rule}: it differs from the one written, and may REMOVE EVERYTHING in the \
         bucket; remove it by hand, at once"
    )]
    Dangerous {
        /// Id of the rule.
        rule: String,
        /// Reason why it could not be removed.
        #[source]
        source: Error,
    },
    /// This object store cannot represent such rules.
    #[error(transparent)]
    Unfit(#[from] UnfitRules),
}

/// A multipart upload that was started, and neither completed nor aborted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnfinishedUpload {
    /// Key of its future object.
    pub key: String,
    /// Id of the upload.
    pub id: String,
    /// Start time, by the object store's clock.
    pub began_at: Timestamp,
}

/// A page of unfinished uploads, and the marker of the next page.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UploadPage {
    /// The uploads.
    pub uploads: Vec<UnfinishedUpload>,
    /// Marker of the next page, from the object store; `None` after the last.
    pub next: Option<UploadPosition>,
}

/// A position in the list of unfinished uploads, in the object store's terms.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UploadPosition {
    /// A key, with the prefix of the installation.
    pub key: String,
    /// The id of an upload of that key.
    pub id: String,
}

/// An object store that may support lifecycle rules; [`Reconciled::Unsupported`] says that it does not.
#[async_trait]
pub trait Lifecycle: Debug + Send + Sync {
    /// Makes the rules of one root equal to `wanted`, and leaves all others as they are. Removes an obsolete rule once
    /// no objects are left under its prefix. Writes only differences, and runs to its end even if the future is
    /// dropped.
    async fn reconcile(&self, wanted: &WantedRules) -> Result<Reconciled, LifecycleError>;

    /// Lists a page of the unfinished uploads whose keys begin with `root`, from a marker on. Fails with
    /// [`Error::Unsupported`] if the object store has no such list, or these keys may not read it.
    async fn unfinished_uploads(&self, root: &str, from: Option<&UploadPosition>) -> StorageResult<UploadPage>;

    /// Returns when the last part of an upload was stored, by the object store's clock; `None` if it has no part, or
    /// has ended.
    async fn last_part_at(&self, upload: &UnfinishedUpload) -> StorageResult<Option<Timestamp>>;

    /// Aborts an upload and deletes its parts. Succeeds if it has ended already.
    async fn abort_upload(&self, upload: &UnfinishedUpload) -> StorageResult<()>;
}
