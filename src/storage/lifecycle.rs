//! The power of an object store to remove objects by itself, by rules that stand on the bucket.
//!
//! Rules are set for whole prefixes and in whole days, and several writers share one document of them without conditions.
//! What makes that safe is in the implementations; what is wanted, and for which prefixes, is not decided here.

use std::fmt::Debug;

use async_trait::async_trait;

use crate::clock::Timestamp;

use super::error::{Error, Result as StorageResult};

/// Objects under a prefix that are to be removed some days after they were written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WantedRule {
    /// What their keys begin with; ends in `/` and lies below the root.
    pub prefix: String,
    /// Days from an object's writing to its removal, at least 1; each number only once, since it names the rule.
    pub days: u16,
}

/// All rules that one installation wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WantedRules {
    /// What all keys of the installation begin with; ends in `/`. Rules of other roots are not looked at.
    pub root: String,
    /// What is to be removed. In a bucket that keeps old versions, those are removed a day after they became old.
    pub expirations: Vec<WantedRule>,
    /// Days from the beginning of an upload in parts below the root until it is given up; never when `None`.
    pub upload_days: Option<u16>,
}

/// What was done so that the rules are those that are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reconciled {
    /// Nothing: they stood there already.
    Unchanged,
    /// They were written, and read back as they were written.
    Written,
    /// Nothing: this object store has no lifecycle rules.
    Unsupported,
}

/// Rules that this object store cannot be given. Nothing is tried again before a restart.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UnfitRules {
    /// A rule lost the prefix that it is limited to: it would have removed everything.
    #[error(
        "the object store took a lifecycle rule ({rule}) and lost what it is limited to, so that it would remove what it \
         must not; what stood there before was put back, without whatever would lose its limits, and no rule will be written"
    )]
    FilterLost {
        /// Its id.
        rule: String,
    },
    /// A rule came back otherwise than it was written.
    #[error(
        "the object store changed a lifecycle rule ({rule}) when it took it; what stood there before was put back, and no \
         rule will be written"
    )]
    Altered {
        /// Its id.
        rule: String,
    },
    /// The bucket keeps old versions, and takes no rule that removes them.
    #[error(
        "the bucket keeps old versions of objects, and the object store takes no rule that removes them (it lost it from \
         {rule}), so that nothing that expires would free any space: use a bucket that has never had versioning, or another \
         LARDER_S3_BUCKET"
    )]
    VersionsStay {
        /// The id of the rule that came back without it.
        rule: String,
    },
}

/// The rules are not known to be as they are wanted.
#[derive(Debug, thiserror::Error)]
pub enum LifecycleError {
    /// They cannot be read or written just now, or not with these keys.
    #[error("the lifecycle rules of the bucket cannot be read or written")]
    Store(#[from] Error),
    /// What is read is not what was written, and nothing of it is dangerous: somebody else writes at the same time, or the
    /// object store shows what was written late.
    #[error(
        "the lifecycle rules of the bucket do not read back as they were written; somebody else may be writing them"
    )]
    Unsettled,
    /// A rule that came back otherwise than it was written stands on the bucket, and could not be taken away.
    #[error(
        "the lifecycle rule {rule} is not what was written, may REMOVE EVERYTHING in the bucket, and cannot be taken away: \
         remove it by hand, at once"
    )]
    Dangerous {
        /// Its id.
        rule: String,
        /// Why it stays.
        #[source]
        source: Error,
    },
    /// This object store cannot be given such rules.
    #[error(transparent)]
    Unfit(#[from] UnfitRules),
}

/// A multipart upload that was begun, and neither completed nor aborted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnfinishedUpload {
    /// The key that its object would have.
    pub key: String,
    /// Its id.
    pub id: String,
    /// When it was begun, by the object store's clock.
    pub began_at: Timestamp,
}

/// Unfinished uploads, and where the next page of them begins.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UploadPage {
    /// The uploads.
    pub uploads: Vec<UnfinishedUpload>,
    /// The object store's own mark of the next page; `None` behind the last.
    pub next: Option<UploadMark>,
}

/// A place in the list of unfinished uploads, in the object store's own words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UploadMark {
    /// A key, with the prefix of the installation.
    pub key: String,
    /// The id of an upload of that key.
    pub id: String,
}

/// An object store that can carry lifecycle rules, unless [`Reconciled::Unsupported`] says otherwise.
#[async_trait]
pub trait Lifecycle: Debug + Send + Sync {
    /// Makes the rules of one root those that are wanted, and leaves all others as they are. A rule that is not wanted any
    /// more is removed once there are no objects under its prefix. Writes only if something differs, and goes on to its end
    /// when the future is dropped.
    async fn reconcile(&self, wanted: &WantedRules) -> Result<Reconciled, LifecycleError>;

    /// Lists a page of the unfinished uploads whose keys begin with `root`, from a mark on. [`Error::Unsupported`] where the object store
    /// has no such list, or these keys may not see it.
    async fn unfinished_uploads(&self, root: &str, from: Option<&UploadMark>) -> StorageResult<UploadPage>;

    /// Returns when the last part of an upload was stored, by the object store's clock; `None` if it has no part, or is over.
    async fn last_part_at(&self, upload: &UnfinishedUpload) -> StorageResult<Option<Timestamp>>;

    /// Aborts an upload, whose parts are deleted. One that is over already is no error.
    async fn abort_upload(&self, upload: &UnfinishedUpload) -> StorageResult<()>;
}
