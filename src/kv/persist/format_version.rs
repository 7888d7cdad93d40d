//! The storage format of an object store: one object, read once at the start of a gateway. A version of Larder that
//! would misread what a newer one wrote does not start. The same object identifies the installation (`installation`).
//!
//! A store document has a format of its own, since a running gateway does not reread this object: it leaves documents
//! of a newer version untouched. For raising the format see `docs/decisions/0009`.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::storage::{ETag, ObjectStore};

use super::{
    json::{JsonError, read_json},
    migration::MigrationState,
    object_keys,
};

/// The format that this version writes, the first one.
pub const FORMAT: u32 = 1;

/// Lowest format whose versions may read and write what this version writes.
const USABLE_FROM: u32 = 1;

/// The content of the object: the format, and the identity of the installation (`installation`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FormatObject {
    /// Format of the newest version that has run here.
    pub format: u32,
    /// Lowest format whose versions may read and write here.
    pub usable_from: u32,
    /// The version that wrote this object.
    pub written_by: String,
    /// The id of the installation; `None` during a migration.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub installation: Option<String>,
    /// The fingerprint of the master secret that all gateways share; `None` during a migration.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_fingerprint: Option<String>,
    /// State of an unfinished migration to this object store, during which no gateway starts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub migration: Option<MigrationState>,
    /// Members added by a newer version, written back unchanged.
    #[serde(flatten)]
    pub others: Map<String, Value>,
}

impl FormatObject {
    /// Returns an object with this version's format only.
    pub fn current() -> Self {
        Self {
            format: FORMAT,
            usable_from: USABLE_FROM,
            written_by: env!("CARGO_PKG_VERSION").to_owned(),
            installation: None,
            secret_fingerprint: None,
            migration: None,
            others: Map::new(),
        }
    }

    /// Returns the placeholder for the object during a migration. No version can use it, whether or not it supports
    /// migrations.
    pub fn migrating(state: MigrationState) -> Self {
        Self { format: u32::MAX, usable_from: u32::MAX, migration: Some(state), ..Self::current() }
    }

    /// Checks that this version may read and write this installation.
    pub fn check_usable(&self) -> Result<(), FormatError> {
        if let Some(MigrationState { from, .. }) = &self.migration {
            return Err(FormatError::HalfMigrated { from: from.clone() });
        }
        if self.usable_from > FORMAT {
            return Err(FormatError::Newer { found: self.format, by: self.written_by.clone() });
        }
        Ok(())
    }
}

/// The format is unreadable or unusable.
#[derive(Debug, thiserror::Error)]
pub enum FormatError {
    /// A newer version has run here.
    #[error(
        "cannot use this installation: Larder {by} wrote it in format {found}, and this version, {}, supports up to format \
         {FORMAT}; start Larder {by} or newer, or restore a backup from before the upgrade",
        env!("CARGO_PKG_VERSION")
    )]
    Newer {
        /// The format.
        found: u32,
        /// The version of Larder.
        by: String,
    },
    /// A migration to this object store is unfinished.
    #[error(
        "cannot use this installation: the migration from {from} has not ended; run `larder migrate` again with the same \
         settings until it reports completion, or delete everything that it has written here"
    )]
    HalfMigrated {
        /// Description of the source.
        from: String,
    },
    /// The format object cannot be read or written.
    #[error("cannot read or write the format of the installation")]
    Objects(#[from] JsonError),
}

/// Returns the format of the stored data if this version can use it; `None` if there is no installation. One read.
pub async fn check_format(objects: &dyn ObjectStore) -> Result<Option<u32>, FormatError> {
    Ok(read_format(objects).await?.map(|(found, _)| found.format))
}

/// Reads the object, if it is there. Fails with [`FormatError::Newer`] if this version may not use it.
pub async fn read_format(objects: &dyn ObjectStore) -> Result<Option<(FormatObject, ETag)>, FormatError> {
    let found = read_json::<FormatObject>(objects, object_keys::FORMAT).await?;
    if let Some((found, _)) = &found {
        found.check_usable()?;
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kv::persist::store_metadata::DOCUMENT_FORMAT;

    const _: () = assert!(FORMAT >= DOCUMENT_FORMAT, "a new document format is a new storage format");
}
