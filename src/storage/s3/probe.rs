//! What an object store can do, found out by trying: vendors answer `200` to conditions they do not know.
//!
//! Concurrently where it must be: there are servers that check conditions one after the other and forget them when several
//! writers come at once. A probe proves nothing about a cluster of many nodes, so that each finding can be overruled by a
//! setting. The outcome is kept in the bucket for a day, since losing a race can take seconds (`SeaweedFS`).

use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::clock::{Clock, Random, Timestamp};

use super::{
    super::{
        body::ByteStream,
        conditions::Trial,
        error::{Error, Result},
        object::{Attributes, GetOptions, Precondition, PutOptions},
        store::ObjectStore,
    },
    store::S3Store,
    upload,
};

/// Where the outcome is kept.
pub const OUTCOME_KEY: &str = "larder/capabilities";

/// What probes write begins with this.
const PROBE_PREFIX: &str = "larder/probe/";

/// How long an outcome is believed.
const OUTCOME_LIFETIME: Duration = Duration::from_hours(24);

/// The most bytes of an outcome.
const OUTCOME_LIMIT: u64 = 4096;

/// What this probe looks for; an outcome of another version is not believed.
const VERSION: u32 = 2;

/// The text "larder" in the codings that clients use.
const CODED: [(&str, &[u8]); 2] = [
    (
        "gzip",
        b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x02\x03\xcb\x49\x2c\x4a\x49\x2d\x02\x00\x66\xb4\xcf\x42\x06\x00\x00\x00",
    ),
    ("br", b"\x8b\x02\x80larder\x03"),
];

/// What was found out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(clippy::struct_excessive_bools, reason = "each is a finding of its own")]
pub struct Findings {
    version: u32,
    #[serde(rename = "probedAt")]
    found_at: Timestamp,
    /// Whether conditions of puts hold, also in a race.
    pub conditional_writes: bool,
    /// Whether conditions of deletes hold.
    pub conditional_deletes: bool,
    /// Whether conditions of completing an upload in parts hold.
    #[serde(rename = "conditionalMultipartCompletions")]
    pub conditional_completions: bool,
    /// Whether validators in conditions stand in quotes.
    #[serde(rename = "quotedEtags")]
    pub quoted_validators: bool,
    /// Whether objects come back in the coding that they were stored in.
    #[serde(rename = "contentEncodings")]
    pub codings: bool,
}

impl Findings {
    /// What is taken for granted until it is found otherwise.
    const EVERYTHING: Self = Self {
        version: VERSION,
        found_at: Timestamp::from_millis(0),
        conditional_writes: true,
        conditional_deletes: true,
        conditional_completions: true,
        quoted_validators: true,
        codings: true,
    };
}

impl S3Store {
    /// Finds out what the object store can do, and goes by it from now on.
    pub async fn probe(&self, random: &dyn Random) -> Result<Findings> {
        let now = self.clock().now();
        let findings = if let Some(kept) = self.kept_findings(now).await? {
            kept
        } else {
            tracing::info!("trying out what the object store can do, which takes some seconds, and holds for a day");
            let found = self.find_out(random, now).await?;
            self.keep(&found).await?;
            found
        };
        let findings = self.overruled(&findings);
        self.go_by(&findings);
        tracing::info!(
            conditional_writes = findings.conditional_writes,
            conditional_deletes = findings.conditional_deletes,
            quoted_validators = findings.quoted_validators,
            codings = findings.codings,
            found_at = %findings.found_at,
            "what the object store can do"
        );
        Ok(findings)
    }

    /// What is found out now, whatever was kept or is set. Nothing is kept of it.
    pub async fn find_out_anew(&self, random: &dyn Random) -> Result<Findings> {
        self.go_by(&Findings::EVERYTHING);
        self.find_out(random, self.clock().now()).await
    }

    /// What holds in the end: settings overrule what was found.
    pub fn overruled(&self, findings: &Findings) -> Findings {
        let options = &self.bucket().options;
        Findings {
            conditional_writes: options.conditional_writes.unwrap_or(findings.conditional_writes),
            conditional_deletes: options.conditional_deletes.unwrap_or(findings.conditional_deletes),
            quoted_validators: options.quoted_validators.unwrap_or(findings.quoted_validators),
            ..findings.clone()
        }
    }

    /// Goes by what was found out, here or elsewhere.
    pub fn go_by(&self, findings: &Findings) {
        let powers = &self.bucket().powers;
        powers.set_conditional_puts(findings.conditional_writes);
        powers.set_conditional_deletes(findings.conditional_writes && findings.conditional_deletes);
        powers.set_conditional_completions(findings.conditional_completions);
        powers.set_quoted_validators(findings.quoted_validators);
        powers.set_codings(findings.codings);
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
        Trial { objects: self }.write(OUTCOME_KEY, text, Precondition::None).await.map(drop)
    }

    async fn find_out(&self, random: &dyn Random, now: Timestamp) -> Result<Findings> {
        let own = random.characters(b"abcdefghijklmnopqrstuvwxyz0123456789", 16);
        let folder = format!("{PROBE_PREFIX}{}/", String::from_utf8_lossy(&own));
        let (powers, trial) = (&self.bucket().powers, Trial { objects: self });
        let mut found = Findings {
            version: VERSION,
            found_at: now,
            conditional_writes: false,
            conditional_deletes: false,
            conditional_completions: false,
            quoted_validators: true,
            codings: self.keeps_codings(&folder).await?,
        };
        for is_quoted in [true, false] {
            powers.set_quoted_validators(is_quoted);
            if trial.keeps_conditions(&format!("{folder}{is_quoted}")).await? {
                found.quoted_validators = is_quoted;
                found.conditional_writes = trial.survives_races(&folder).await?;
                found.conditional_deletes = trial.keeps_conditions_of_deletes(&format!("{folder}deleted")).await?;
                found.conditional_completions = self.keeps_conditions_of_completions(&format!("{folder}parts")).await?;
                break;
            }
        }
        powers.set_quoted_validators(found.quoted_validators);
        let mut keys: Vec<_> = ["true", "false", "deleted", "parts"].map(|name| format!("{folder}{name}")).into();
        keys.extend(CODED.map(|(coding, _)| format!("{folder}{coding}")));
        keys.extend(Trial::raced_for(&folder));
        self.delete_many(keys).await?;
        Ok(found)
    }

    /// Tries whether objects come back in the coding that they were stored in, below `folder`.
    pub async fn keeps_codings(&self, folder: &str) -> Result<bool> {
        for (coding, bytes) in CODED {
            let key = format!("{folder}{coding}");
            let attributes =
                Attributes { content_type: "text/plain".to_owned(), content_encoding: Some(coding.to_owned()) };
            let options = PutOptions { attributes: attributes.clone(), precondition: Precondition::None };
            self.put(&key, ByteStream::from(Bytes::from_static(bytes)), options).await?;
            let object = match self.get(&key, GetOptions::default()).await {
                Ok(object) => object,
                // It was decoded, whatever was asked for.
                Err(Error::Unavailable(_)) if self.bucket().decoding.is_noted() => return Ok(false),
                Err(error) => return Err(error),
            };
            let is_kept = object.meta.attributes == attributes;
            if !is_kept || object.body.into_bytes(OUTCOME_LIMIT).await.ok().as_deref() != Some(bytes) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    async fn keeps_conditions_of_completions(&self, key: &str) -> Result<bool> {
        Trial { objects: self }.write(key, "whole", Precondition::None).await?;
        match upload::store_as_part(self.bucket(), &self.bucket().whole_key(key), &Precondition::IfAbsent).await {
            Ok(()) | Err(Error::Unsupported(_) | Error::Unavailable(_)) => Ok(false),
            Err(Error::Precondition) => Ok(true),
            Err(error) => Err(error),
        }
    }
}
