//! How far a migration has come, as its journal says it.

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;

/// Progress of a migration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MigrationState {
    /// The source in words.
    pub from: String,
    /// Digest of what the source said of its format and its time when the migration began: another one means that the source has been in
    /// use since.
    #[serde(rename = "sourceDigest")]
    pub source: String,
    /// The latest change of any object of the source then, by the stamps of its own object store: a later one was made since.
    #[serde(rename = "lastModified")]
    pub latest: Timestamp,
    /// The current step.
    pub step: MigrationStep,
    /// The key up to which it is done.
    #[serde(rename = "lastKey", default, skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
    /// Objects for which it is done.
    pub objects: u64,
    /// Bytes in them.
    pub bytes: u64,
    /// Objects of the source when the migration began.
    pub total_objects: u64,
    /// Bytes in them.
    pub total_bytes: u64,
}

/// Step of a migration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum MigrationStep {
    /// Copies objects.
    Copying,
    /// Compares the copies with the source.
    Verifying,
}
