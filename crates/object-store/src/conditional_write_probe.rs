//! Probes whether an object store honours preconditions of writes. Some stores answer `200` to conditions that they do
//! not know. Others check them in sequence and ignore them when several writers come at once.

use bytes::Bytes;
use futures_util::future::join_all;

use super::{
    body::ByteStream,
    object::{Attributes, ETag, Precondition, PutOptions, PutOutcome},
    store::{Error, ObjectStore, Result},
};

/// Number of writers that race for one object.
const RACERS: usize = 16;

/// Maximum number of races for an object, until one is conclusive.
const MAX_RACE_ATTEMPTS: usize = 2;

/// Number of concurrent races, each for its own object.
const RACES: usize = 2;

/// A probe of an object store's conditional writes.
#[derive(Debug, Clone, Copy)]
pub struct ConditionalWriteProbe<'a> {
    /// The object store.
    pub objects: &'a dyn ObjectStore,
}

impl ConditionalWriteProbe<'_> {
    /// Checks, one write after the other, that exactly the permitted writes happen.
    pub async fn honours_preconditions(&self, key: &str) -> Result<bool> {
        let first = match self.write(key, "first", Precondition::IfAbsent).await {
            Ok(first) => first,
            Err(Error::Unsupported(_)) => return Ok(false),
            Err(error) => return Err(error),
        };
        if !is_rejected(self.write(key, "second", Precondition::IfAbsent).await)? {
            return Ok(false);
        }
        let second = match self.write(key, "third", Precondition::IfMatch(first.etag.clone())).await {
            Ok(second) => second,
            Err(Error::Precondition | Error::Unsupported(_)) => return Ok(false),
            Err(error) => return Err(error),
        };
        if first.etag == second.etag
            || !is_rejected(self.write(key, "fourth", Precondition::IfMatch(first.etag)).await)?
        {
            return Ok(false);
        }
        // An absent object matches no validator: otherwise a writer that replaces the version it has seen would restore
        // a deleted object. (MinIO until autumn 2025, https://github.com/minio/minio/issues/21526)
        self.objects.delete(key, Precondition::None).await?;
        is_rejected(self.write(key, "fifth", Precondition::IfMatch(second.etag)).await)
    }

    /// Checks the same for deletes.
    pub async fn honours_delete_preconditions(&self, key: &str) -> Result<bool> {
        let old = self.write(key, "old", Precondition::None).await?.etag;
        let new = self.write(key, "new", Precondition::None).await?.etag;
        let refused = self.objects.delete(key, Precondition::IfMatch(old)).await;
        if !matches!(refused, Err(Error::Precondition)) || matches!(self.objects.head(key).await, Err(Error::NotFound))
        {
            return Ok(false);
        }
        let deleted = self.objects.delete(key, Precondition::IfMatch(new)).await;
        Ok(deleted.is_ok() && matches!(self.objects.head(key).await, Err(Error::NotFound)))
    }

    /// Checks that of concurrent creations one wins, and then of concurrent replacements of the version seen.
    pub async fn honours_under_contention(&self, folder: &str) -> Result<bool> {
        let races = Self::race_keys(folder).into_iter().map(|key| self.has_one_winner(key));
        let won: Vec<bool> = join_all(races).await.into_iter().collect::<Result<_>>()?;
        Ok(won.into_iter().all(|won| won))
    }

    /// Returns the keys below a folder that are raced for.
    pub fn race_keys(folder: &str) -> Vec<String> {
        (0..RACES).map(|race| format!("{folder}race-{race}")).collect()
    }

    /// Checks a race, and repeats it once in case something else disturbed it.
    async fn has_one_winner(&self, key: String) -> Result<bool> {
        for _ in 0..MAX_RACE_ATTEMPTS {
            self.objects.delete(&key, Precondition::None).await?;
            if let Some(created) = self.race(&key, &Precondition::IfAbsent).await?
                && self.race(&key, &Precondition::IfMatch(created)).await?.is_some()
            {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Returns the winner's validator if there was exactly one winner, its object is there, and all others were told
    /// that they lost. (Ceph RGW 16 answers some of them with 500.)
    async fn race(&self, key: &str, precondition: &Precondition) -> Result<Option<ETag>> {
        let racers = (0..RACERS).map(|racer| {
            let text = format!("{key} {precondition:?} {racer}");
            self.write(key, text, precondition.clone())
        });
        let (mut winners, mut is_conclusive) = (Vec::new(), true);
        for outcome in join_all(racers).await {
            match outcome {
                Ok(outcome) => winners.push(outcome.etag),
                Err(Error::Precondition | Error::Throttled { .. }) => {}
                Err(Error::Timeout | Error::Unavailable(_)) => is_conclusive = false,
                Err(error) => return Err(error),
            }
        }
        let current = match self.objects.head(key).await {
            Ok(current) => current.etag,
            Err(Error::NotFound) => return Ok(None),
            Err(error) => return Err(error),
        };
        Ok(winners.pop().filter(|winner| is_conclusive && winners.is_empty() && *winner == current))
    }

    /// Writes a short text.
    pub async fn write(&self, key: &str, text: impl Into<Vec<u8>>, precondition: Precondition) -> Result<PutOutcome> {
        let attributes = Attributes { content_type: "application/json".to_owned(), content_encoding: None };
        let body = ByteStream::from(Bytes::from(text.into()));
        self.objects.put(key, body, PutOptions { attributes, precondition }).await
    }
}

fn is_rejected(outcome: Result<PutOutcome>) -> Result<bool> {
    match outcome {
        Ok(_) => Ok(false),
        Err(Error::Precondition) => Ok(true),
        Err(error) => Err(error),
    }
}
