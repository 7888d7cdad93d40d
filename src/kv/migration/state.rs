//! Progress of a migration, as recorded in its journal.

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;

/// Progress of a migration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MigrationState {
    /// Description of the source.
    pub from: String,
    /// Digest of the source's format and clock record at the start of the migration: another digest means that the
    /// source has been in use since.
    #[serde(rename = "sourceDigest")]
    pub source: String,
    /// Latest change of any object of the source at that time, by its object store's timestamps: a later one was made
    /// since.
    #[serde(rename = "lastModified")]
    pub latest: Timestamp,
    /// The current step.
    pub step: MigrationStep,
    /// Last key that is done.
    #[serde(rename = "lastKey", default, skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
    /// Number of objects that are done.
    pub objects: u64,
    /// Bytes in them.
    pub bytes: u64,
    /// Number of objects in the source at the start.
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
