//! Which format everything in an object store has: one object, read once when a gateway starts, so that a version of Larder
//! which would misread what a newer one wrote does not begin. The same object identifies the installation (`installation`).
//!
//! A store's document has a format of its own, too, since a gateway that runs already does not look again: what a newer one
//! writes meanwhile it does not touch. What to do when the format rises: `docs/decisions/0009`.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::storage::{ETag, ObjectStore};

use super::{
    json_objects::{JsonError, read_json},
    layout,
    migration::MigrationState,
};

/// The format that this version writes, the first one.
pub const FORMAT: u32 = 1;

/// The lowest format whose versions may read and write what this version writes.
const USABLE_FROM: u32 = 1;

/// The content of the object: the format, and the identity of the installation (`installation`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FormatObject {
    /// What the newest version that was here writes.
    pub format: u32,
    /// The lowest format whose versions may read and write here.
    pub usable_from: u32,
    /// The version that said so.
    pub written_by: String,
    /// The id of the installation; `None` while a migration goes on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub installation: Option<String>,
    /// The fingerprint of the master secret of all gateways; `None` likewise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_fingerprint: Option<String>,
    /// State of an unfinished migration to here, during which no gateway starts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub migration: Option<MigrationState>,
    /// Members that a newer version has added: they are written back as they were read.
    #[serde(flatten)]
    pub others: Map<String, Value>,
}

impl FormatObject {
    /// Returns an object that names this version's format and nothing else.
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

    /// Returns what stands in place of the object while a migration goes on. No version can use it, whether it knows migrations or not.
    pub fn migrating(state: MigrationState) -> Self {
        Self { format: u32::MAX, usable_from: u32::MAX, migration: Some(state), ..Self::current() }
    }

    /// Checks that this version may read and write what the object speaks of.
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

/// The format cannot be had, or not be used.
#[derive(Debug, thiserror::Error)]
pub enum FormatError {
    /// A newer version was here.
    #[error(
        "Larder {by} wrote here in format {found}, and this version, {}, knows no higher one than {FORMAT}: start Larder {by} \
         or a newer one, or restore a backup from before that one was started",
        env!("CARGO_PKG_VERSION")
    )]
    Newer {
        /// The format.
        found: u32,
        /// The version of Larder.
        by: String,
    },
    /// A migration to here has not ended.
    #[error(
        "the migration from {from} to here has not ended: run `larder migrate` again with the same settings until it says that \
         it is done, or remove everything that it has written here"
    )]
    HalfMigrated {
        /// The source in words.
        from: String,
    },
    /// What is said of the format cannot be read or written.
    #[error("the format of what is stored cannot be read or written")]
    Objects(#[from] JsonError),
}

/// Returns the format of what is stored, which this version can use; `None` where there is no installation. One read.
pub async fn look_at_format(objects: &dyn ObjectStore) -> Result<Option<u32>, FormatError> {
    Ok(read_format(objects).await?.map(|(found, _)| found.format))
}

/// Reads the object, if it is there. Fails with [`FormatError::Newer`] if this version may not use it.
pub async fn read_format(objects: &dyn ObjectStore) -> Result<Option<(FormatObject, ETag)>, FormatError> {
    let found = read_json::<FormatObject>(objects, layout::FORMAT).await?;
    if let Some((found, _)) = &found {
        found.check_usable()?;
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kv::document::DOCUMENT_FORMAT;

    const _: () = assert!(FORMAT >= DOCUMENT_FORMAT, "a new format of documents is a new format of what is stored");
}
