//! The journal of a migration of a whole installation, kept at its destination in place of the format until the
//! migration is complete.
//!
//! No version starts a gateway over a destination with a journal. The last write of a migration replaces it with the
//! format of the source. So at any instant a destination is either known to be half migrated, or complete.

use bytes::Bytes;

use crate::storage::{self, Attributes, ByteStream, ETag, ObjectStore, Precondition, PutOptions};

use super::{
    super::{
        format::FormatObject,
        json_objects::{JsonError, read_json},
        layout,
    },
    state::MigrationState,
};

/// The journal is unavailable.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// It cannot be read.
    #[error("the journal of the migration cannot be read")]
    Read(#[from] JsonError),
    /// It cannot be written.
    #[error("the journal of the migration cannot be written")]
    Write(#[source] storage::Error),
    /// Another process writes it.
    #[error("another migration to the same destination is going on")]
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
        let said = read_json::<FormatObject>(objects, layout::FORMAT).await?;
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
    match objects.put(layout::FORMAT, ByteStream::from(bytes), options).await {
        Ok(outcome) => Ok(outcome.etag),
        Err(storage::Error::Precondition) => Err(JournalError::Taken),
        Err(error) => Err(JournalError::Write(error)),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::{super::state::MigrationStep, *};
    use crate::{
        clock::{SystemClock, Timestamp},
        kv::{
            format::{FORMAT, FormatError, look_at_format},
            json_objects::create_json,
        },
        storage::memory::MemoryStore,
    };

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
        let [source, objects] = [(); 2].map(|()| MemoryStore::new(Arc::new(SystemClock)));
        create_json(&source, layout::FORMAT, &FormatObject::current()).await.expect("it is written");
        let mut journal = MigrationJournal::begin(&objects, state(None)).await.expect("nothing is there");
        let refused = look_at_format(&objects).await.expect_err("it is half migrated");
        assert!(matches!(&refused, FormatError::HalfMigrated { from } if from.ends_with("/srv/larder")), "{refused}");
        journal.state = state(Some("larder/stores/a"));
        journal.save(&objects).await.expect("it is ours");
        let found = MigrationJournal::find(&objects).await.expect("it is read").expect("it is there");
        assert_eq!(found.state, state(Some("larder/stores/a")));
        let said = source.get(layout::FORMAT, storage::GetOptions::default()).await.expect("it is there");
        let format = said.body.into_bytes(1 << 20).await.expect("it is whole");
        found.commit(&objects, format).await.expect("it is ours");
        assert!(matches!(look_at_format(&objects).await, Ok(Some(FORMAT))), "it is complete");
        assert!(MigrationJournal::find(&objects).await.expect("it is read").is_none());
    }

    #[tokio::test]
    async fn of_two_migrations_to_one_destination_the_first_notices_the_second() {
        let objects = MemoryStore::new(Arc::new(SystemClock));
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
