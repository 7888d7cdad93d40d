//! What an object store can do, found out by trying: vendors answer `200` to conditions they do not know.
//!
//! Concurrently where it must be: there are servers that check conditions one after the other and forget them when several
//! writers come at once. A probe proves nothing about a cluster of many nodes, so that each finding can be overruled by a
//! setting. The outcome is kept in the bucket for a day, since losing a race can take seconds (`SeaweedFS`).

use std::time::Duration;

use bytes::Bytes;
use futures_util::future::join_all;
use serde::{Deserialize, Serialize};

use crate::clock::{Random, Timestamp};

use super::{
    super::{
        body::ByteStream,
        error::{Error, Result},
        object::{Attributes, ETag, GetOptions, Precondition, PutOptions, PutOutcome},
        store::ObjectStore,
    },
    store::S3Store,
    upload,
};

/// Where the outcome is kept.
const OUTCOME_KEY: &str = "larder/backend";

/// What probes write begins with this.
const PROBE_PREFIX: &str = "larder/probe/";

/// How long an outcome is believed.
const OUTCOME_LIFETIME: Duration = Duration::from_hours(24);

/// The most bytes of an outcome.
const OUTCOME_LIMIT: u64 = 4096;

/// What this probe looks for; an outcome of another version is not believed.
const VERSION: u32 = 1;

/// Writers that race for one object.
const RACERS: usize = 16;

/// How often an object is raced for, until a race is clear.
const TRIES: usize = 2;

/// Objects that are raced for, all at once.
const RACES: usize = 2;

/// What was found out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(clippy::struct_excessive_bools, reason = "each is a finding of its own")]
pub struct Findings {
    version: u32,
    found_at: Timestamp,
    /// Whether conditions of puts hold, also in a race.
    pub conditional_writes: bool,
    /// Whether conditions of deletes hold.
    pub conditional_deletes: bool,
    /// Whether conditions of completing an upload in parts hold.
    pub conditional_completions: bool,
    /// Whether validators in conditions stand in quotes.
    pub quoted_validators: bool,
}

impl S3Store {
    /// Finds out what the object store can do, and goes by it from now on.
    pub async fn probe(&self, random: &dyn Random) -> Result<Findings> {
        let now = self.bucket().transport.clock().now();
        let findings = if let Some(kept) = self.kept_findings(now).await? {
            kept
        } else {
            let found = self.find_out(random, now).await?;
            self.keep(&found).await?;
            found
        };
        let options = &self.bucket().options;
        let findings = Findings {
            conditional_writes: options.conditional_writes.unwrap_or(findings.conditional_writes),
            conditional_deletes: options.conditional_deletes.unwrap_or(findings.conditional_deletes),
            quoted_validators: options.quoted_validators.unwrap_or(findings.quoted_validators),
            ..findings
        };
        self.go_by(&findings);
        tracing::info!(
            conditional_writes = findings.conditional_writes,
            conditional_deletes = findings.conditional_deletes,
            quoted_validators = findings.quoted_validators,
            found_at = %findings.found_at,
            "what the object store can do"
        );
        Ok(findings)
    }

    /// Goes by what was found out, here or elsewhere.
    pub fn go_by(&self, findings: &Findings) {
        let powers = &self.bucket().powers;
        powers.set_conditional_puts(findings.conditional_writes);
        powers.set_conditional_deletes(findings.conditional_writes && findings.conditional_deletes);
        powers.set_conditional_completions(findings.conditional_completions);
        powers.set_quoted_validators(findings.quoted_validators);
    }

    async fn kept_findings(&self, now: Timestamp) -> Result<Option<Findings>> {
        let object = match self.get(OUTCOME_KEY, GetOptions::default()).await {
            Ok(object) => object,
            Err(Error::NotFound) => return Ok(None),
            Err(error) => return Err(error),
        };
        let bytes = object.body.into_bytes(OUTCOME_LIMIT).await.map_err(Error::Body)?;
        let findings: Option<Findings> = serde_json::from_slice(&bytes).ok();
        Ok(findings.filter(|kept| kept.version == VERSION && now.since(kept.found_at) < OUTCOME_LIFETIME))
    }

    async fn keep(&self, findings: &Findings) -> Result<()> {
        let text = serde_json::to_vec(findings).map_err(|error| Error::Unavailable(error.into()))?;
        self.write(OUTCOME_KEY, text, Precondition::None).await.map(drop)
    }

    async fn find_out(&self, random: &dyn Random, now: Timestamp) -> Result<Findings> {
        let own = random.characters(b"abcdefghijklmnopqrstuvwxyz0123456789", 16);
        let folder = format!("{PROBE_PREFIX}{}/", String::from_utf8_lossy(&own));
        let powers = &self.bucket().powers;
        let mut found = Findings {
            version: VERSION,
            found_at: now,
            conditional_writes: false,
            conditional_deletes: false,
            conditional_completions: false,
            quoted_validators: true,
        };
        for is_quoted in [true, false] {
            powers.set_quoted_validators(is_quoted);
            if self.keeps_conditions(&format!("{folder}{is_quoted}")).await? {
                found.quoted_validators = is_quoted;
                found.conditional_writes = self.survives_races(&folder).await?;
                found.conditional_deletes = self.keeps_conditions_of_deletes(&format!("{folder}deleted")).await?;
                found.conditional_completions = self.keeps_conditions_of_completions(&format!("{folder}parts")).await?;
                break;
            }
        }
        powers.set_quoted_validators(found.quoted_validators);
        let mut keys: Vec<_> = ["true", "false", "deleted", "parts"].map(|name| format!("{folder}{name}")).into();
        keys.extend((0..RACES).map(|race| format!("{folder}race-{race}")));
        self.delete_many(keys).await?;
        Ok(found)
    }

    /// One after the other: what may be written is, and nothing else.
    async fn keeps_conditions(&self, key: &str) -> Result<bool> {
        let first = match self.write(key, "first", Precondition::IfAbsent).await {
            Ok(first) => first,
            Err(Error::Unsupported(_)) => return Ok(false),
            Err(error) => return Err(error),
        };
        if !is_refused(self.write(key, "second", Precondition::IfAbsent).await)? {
            return Ok(false);
        }
        let second = match self.write(key, "third", Precondition::IfMatch(first.etag.clone())).await {
            Ok(second) => second,
            Err(Error::Precondition | Error::Unsupported(_)) => return Ok(false),
            Err(error) => return Err(error),
        };
        if first.etag == second.etag || !is_refused(self.write(key, "fourth", Precondition::IfMatch(first.etag)).await)?
        {
            return Ok(false);
        }
        // What is not there matches nothing: else who replaces what he saw brings back what was deleted. (MinIO until
        // autumn 2025, https://github.com/minio/minio/issues/21526)
        self.delete(key, Precondition::None).await?;
        is_refused(self.write(key, "fifth", Precondition::IfMatch(second.etag)).await)
    }

    async fn keeps_conditions_of_completions(&self, key: &str) -> Result<bool> {
        self.write(key, "whole", Precondition::None).await?;
        match upload::store_as_part(self.bucket(), &self.bucket().whole_key(key), &Precondition::IfAbsent).await {
            Ok(()) | Err(Error::Unsupported(_) | Error::Unavailable(_)) => Ok(false),
            Err(Error::Precondition) => Ok(true),
            Err(error) => Err(error),
        }
    }

    async fn keeps_conditions_of_deletes(&self, key: &str) -> Result<bool> {
        let old = self.write(key, "old", Precondition::None).await?.etag;
        let new = self.write(key, "new", Precondition::None).await?.etag;
        let refused = self.delete(key, Precondition::IfMatch(old)).await;
        if !matches!(refused, Err(Error::Precondition)) || matches!(self.head(key).await, Err(Error::NotFound)) {
            return Ok(false);
        }
        let deleted = self.delete(key, Precondition::IfMatch(new)).await;
        Ok(deleted.is_ok() && matches!(self.head(key).await, Err(Error::NotFound)))
    }

    /// Many at once: of those who create an object one wins, and then of those who replace what they saw.
    async fn survives_races(&self, folder: &str) -> Result<bool> {
        let races = (0..RACES).map(|race| self.survives_race(format!("{folder}race-{race}")));
        let won: Vec<bool> = join_all(races).await.into_iter().collect::<Result<_>>()?;
        Ok(won.into_iter().all(|won| won))
    }

    /// A second try is for those who were disturbed by something else.
    async fn survives_race(&self, key: String) -> Result<bool> {
        for _ in 0..TRIES {
            self.delete(&key, Precondition::None).await?;
            if let Some(created) = self.race(&key, &Precondition::IfAbsent).await?
                && self.race(&key, &Precondition::IfMatch(created)).await?.is_some()
            {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The winner's validator, if there was exactly one winner, its object is there, and all others were told that they
    /// have lost. (Ceph RGW 16 answers some of them with 500.)
    async fn race(&self, key: &str, precondition: &Precondition) -> Result<Option<ETag>> {
        let racers = (0..RACERS).map(|racer| {
            let text = format!("{key} {precondition:?} {racer}");
            self.write(key, text, precondition.clone())
        });
        let (mut winners, mut is_clear) = (Vec::new(), true);
        for outcome in join_all(racers).await {
            match outcome {
                Ok(outcome) => winners.push(outcome.etag),
                Err(Error::Precondition | Error::Throttled { .. }) => {}
                Err(Error::Timeout | Error::Unavailable(_)) => is_clear = false,
                Err(error) => return Err(error),
            }
        }
        let standing = match self.head(key).await {
            Ok(standing) => standing.etag,
            Err(Error::NotFound) => return Ok(None),
            Err(error) => return Err(error),
        };
        Ok(winners.pop().filter(|winner| is_clear && winners.is_empty() && *winner == standing))
    }

    async fn write(&self, key: &str, text: impl Into<Vec<u8>>, precondition: Precondition) -> Result<PutOutcome> {
        let attributes = Attributes { content_type: "application/json".to_owned(), content_encoding: None };
        let body = ByteStream::from(Bytes::from(text.into()));
        self.put(key, body, PutOptions { attributes, precondition }).await
    }
}

fn is_refused(outcome: Result<PutOutcome>) -> Result<bool> {
    match outcome {
        Ok(_) => Ok(false),
        Err(Error::Precondition) => Ok(true),
        Err(error) => Err(error),
    }
}
