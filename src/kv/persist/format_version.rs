//! The storage format of an object store: one object, read once at the start of a gateway. A version of Larder that
//! would misread what a newer one wrote does not start. The same object identifies the installation (`installation`).
//!
//! A store document has a format of its own, since a running gateway does not reread this object: it leaves documents
//! of a newer version untouched. For raising the format see `docs/decisions/0009`.
//!
//! # Migration
//!
//! The journal of a migration of a whole installation is kept at its destination in place of the format until the
//! migration is complete.
//!
//! No version starts a gateway over a destination with a journal. The last write of a migration replaces it with the
//! format of the source. So at any instant a destination is either known to be half migrated, or complete.

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{
    clock::Timestamp,
    kv::model::retention::LifecycleClass,
    storage::{self, Attributes, ByteStream, ETag, ObjectStore, Precondition, PutOptions},
};

use super::{
    json::{JsonError, read_json},
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

/// The journal is unavailable.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// It cannot be read.
    #[error("cannot read the journal of the migration")]
    Read(#[from] JsonError),
    /// It cannot be written.
    #[error("cannot write the journal of the migration")]
    Write(#[source] storage::Error),
    /// Another process writes it.
    #[error("another migration to the same destination is running")]
    Taken,
}

/// Journal of a migration to an object store.
#[derive(Debug, Clone)]
pub struct MigrationJournal {
    etag: ETag,
    /// Its content; [`MigrationJournal::save`] writes it.
    pub state: MigrationState,
}

impl MigrationJournal {
    /// Reads the journal; `None` if no migration to `objects` was begun, or it has ended.
    pub async fn find(objects: &dyn ObjectStore) -> Result<Option<Self>, JournalError> {
        let said = read_json::<FormatObject>(objects, object_keys::FORMAT).await?;
        Ok(said.and_then(|(said, etag)| Some(Self { etag, state: said.migration? })))
    }

    /// Begins a journal in `objects`, which has no format yet.
    pub async fn begin(objects: &dyn ObjectStore, state: MigrationState) -> Result<Self, JournalError> {
        let etag = put(objects, &state, Precondition::IfAbsent).await?;
        Ok(Self { etag, state })
    }

    /// Saves the current state unless another process has written the journal since.
    pub async fn save(&mut self, objects: &dyn ObjectStore) -> Result<(), JournalError> {
        match put(objects, &self.state, Precondition::IfMatch(self.etag.clone())).await {
            Ok(etag) => self.etag = etag,
            // The write may have taken effect nevertheless.
            Err(error) => match Self::find(objects).await? {
                Some(found) if found.state == self.state => self.etag = found.etag,
                Some(_) | None => return Err(error),
            },
        }
        Ok(())
    }

    /// Commits the migration: replaces the journal with the format of the source.
    pub async fn commit(self, objects: &dyn ObjectStore, format: Bytes) -> Result<(), JournalError> {
        put_bytes(objects, format, Precondition::IfMatch(self.etag)).await.map(drop)
    }
}

async fn put(objects: &dyn ObjectStore, state: &MigrationState, on: Precondition) -> Result<ETag, JournalError> {
    let bytes = serde_json::to_vec(&FormatObject::migrating(state.clone()));
    let bytes = bytes.map_err(|error| JournalError::Write(storage::Error::Unavailable(error.into())))?;
    put_bytes(objects, bytes.into(), on).await
}

async fn put_bytes(objects: &dyn ObjectStore, bytes: Bytes, on: Precondition) -> Result<ETag, JournalError> {
    let attributes = Attributes { content_type: "application/json".to_owned(), content_encoding: None };
    let options = PutOptions { attributes, precondition: on };
    match objects.put(object_keys::FORMAT, ByteStream::from(bytes), options).await {
        Ok(outcome) => Ok(outcome.etag),
        Err(storage::Error::Precondition) => Err(JournalError::Taken),
        Err(error) => Err(JournalError::Write(error)),
    }
}

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

/// Prefixes of all objects of this module that a migration copies, each a folder whose keys are listed in byte order,
/// or one object.
pub const PREFIXES: [&str; 9] = [
    "larder/stores/",
    "larder/names/",
    "larder/permanent/",
    "larder/expiring/",
    "larder/store-index/",
    "larder/store-usage/",
    "larder/stores-due/",
    "larder/stores-due-by-uptime/",
    object_keys::CLOCK,
];

/// Returns whether an object concerns only the object store it is in: the canaries of lifecycle rules.
pub fn is_backend_specific(key: &str) -> bool {
    key == object_keys::canaries()
        || key == object_keys::permanent_canary()
        || LifecycleClass::ALL.into_iter().any(|class| key == object_keys::expiring_canary(class))
}

/// Returns whether a lifecycle rule may delete the object at any time.
pub fn may_expire(key: &str) -> bool {
    LifecycleClass::ALL.into_iter().any(|class| key.starts_with(&object_keys::class(class)))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use crate::{
        clock::{SystemClock, Timestamp},
        kv::persist::{json::create_json, store_metadata::DOCUMENT_FORMAT},
        storage::in_memory::InMemoryStore,
    };

    use super::*;

    const _: () = assert!(FORMAT >= DOCUMENT_FORMAT, "a new document format is a new storage format");

    fn state(after: Option<&str>) -> MigrationState {
        MigrationState {
            from: "the data folder /srv/larder".to_owned(),
            source: "digest".to_owned(),
            latest: Timestamp::from_millis(7),
            step: MigrationStep::Copying,
            after: after.map(str::to_owned),
            objects: 1,
            bytes: 2,
            total_objects: 3,
            total_bytes: 4,
        }
    }

    #[tokio::test]
    async fn nothing_starts_over_a_journal_and_its_end_is_the_format_of_the_source() {
        let [source, objects] = [(); 2].map(|()| InMemoryStore::new(Arc::new(SystemClock)));
        create_json(&source, object_keys::FORMAT, &FormatObject::current()).await.expect("it is written");
        let mut journal = MigrationJournal::begin(&objects, state(None)).await.expect("nothing is there");
        let refused = check_format(&objects).await.expect_err("it is half migrated");
        assert!(matches!(&refused, FormatError::HalfMigrated { from } if from.ends_with("/srv/larder")), "{refused}");
        journal.state = state(Some("larder/stores/a"));
        journal.save(&objects).await.expect("it is ours");
        let found = MigrationJournal::find(&objects).await.expect("it is read").expect("it is there");
        assert_eq!(found.state, state(Some("larder/stores/a")));
        let said = source.get(object_keys::FORMAT, storage::GetOptions::default()).await.expect("it is there");
        let format = said.body.into_bytes(1 << 20).await.expect("it is whole");
        found.commit(&objects, format).await.expect("it is ours");
        assert!(matches!(check_format(&objects).await, Ok(Some(FORMAT))), "it is complete");
        assert!(MigrationJournal::find(&objects).await.expect("it is read").is_none());
    }

    #[tokio::test]
    async fn of_two_migrations_to_one_destination_the_first_notices_the_second() {
        let objects = InMemoryStore::new(Arc::new(SystemClock));
        let mut first = MigrationJournal::begin(&objects, state(None)).await.expect("nothing is there");
        MigrationJournal::begin(&objects, state(None)).await.expect_err("one was begun");
        let mut second = MigrationJournal::find(&objects).await.expect("it is read").expect("it is there");
        second.state = state(Some("larder/stores/b"));
        second.save(&objects).await.expect("no other gateway has");
        first.state = state(Some("larder/stores/c"));
        assert!(matches!(first.save(&objects).await, Err(JournalError::Taken)));
        assert!(matches!(first.commit(&objects, Bytes::new()).await, Err(JournalError::Taken)));
    }
}
