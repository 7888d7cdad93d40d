//! Detects the capabilities of an object store by a probe: vendors answer `200` to conditions that they do not know.
//!
//! The probe is concurrent where necessary: some servers check conditions in sequence and ignore them when several
//! writers come at once. A probe proves nothing about a cluster of many nodes, so a setting can override each finding.
//! The outcome is stored in the bucket for a day, since losing a race can take seconds (`SeaweedFS`). The checks of a
//! diagnosis that concern only buckets are here, too.

use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use larder_runtime::clock::{Clock, Random, Timestamp};

use super::{lifecycle::is_versioned, store::S3Store, upload};
use crate::{
    Attributes, ByteStream, Error, GetOptions, ObjectStore, Precondition, PutOptions, Result,
    conditions::Trial,
    examination::{Conditions, Outcome, PROBES},
};

/// Key of the stored outcome.
pub const OUTCOME_KEY: &str = "larder/capabilities";

/// Prefix of the keys that probes write.
const PROBE_PREFIX: &str = "larder/probe/";

/// Maximum age of a trusted outcome.
const OUTCOME_LIFETIME: Duration = Duration::from_hours(24);

/// Maximum bytes of an outcome.
const OUTCOME_LIMIT: u64 = 4096;

/// Version of the probe; outcomes of other versions are not trusted.
const VERSION: u32 = 2;

/// The text "larder" in the codings that clients use.
const CODED: [(&str, &[u8]); 2] = [
    (
        "gzip",
        b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x02\x03\xcb\x49\x2c\x4a\x49\x2d\x02\x00\x66\xb4\xcf\x42\x06\x00\x00\x00",
    ),
    ("br", b"\x8b\x02\x80larder\x03"),
];

/// Findings of a probe.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(clippy::struct_excessive_bools, reason = "each is a finding of its own")]
pub struct Findings {
    version: u32,
    #[serde(rename = "probedAt")]
    found_at: Timestamp,
    /// True if conditions of puts hold, even under contention.
    pub conditional_writes: bool,
    /// True if conditions of deletes hold.
    pub conditional_deletes: bool,
    /// True if conditions of completing a multipart upload hold.
    #[serde(rename = "conditionalMultipartCompletions")]
    pub conditional_completions: bool,
    /// True if validators in conditions are quoted.
    #[serde(rename = "quotedEtags")]
    pub quoted_validators: bool,
    /// True if objects come back in the coding in which they were stored.
    #[serde(rename = "contentEncodings")]
    pub codings: bool,
}

impl Findings {
    /// The assumption until a probe has run.
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
    /// Detects the capabilities of the object store, and applies them from now on.
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

    /// Detects the capabilities now, regardless of stored outcomes and settings. Stores nothing.
    pub async fn find_out_anew(&self, random: &dyn Random) -> Result<Findings> {
        self.go_by(&Findings::EVERYTHING);
        self.find_out(random, self.clock().now()).await
    }

    /// Returns the findings with the settings, which override them.
    pub fn overruled(&self, findings: &Findings) -> Findings {
        let options = &self.bucket().options;
        Findings {
            conditional_writes: options.conditional_writes.unwrap_or(findings.conditional_writes),
            conditional_deletes: options.conditional_deletes.unwrap_or(findings.conditional_deletes),
            quoted_validators: options.quoted_validators.unwrap_or(findings.quoted_validators),
            ..findings.clone()
        }
    }

    /// Applies findings of this probe or another.
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

    /// Returns whether objects below `folder` come back in the coding in which they were stored.
    pub async fn keeps_codings(&self, folder: &str) -> Result<bool> {
        for (coding, bytes) in CODED {
            let key = format!("{folder}{coding}");
            let attributes = Attributes {
                content_type: "text/normalized_action".to_owned(),
                content_encoding: Some(coding.to_owned()),
            };
            let options = PutOptions { attributes: attributes.clone(), precondition: Precondition::None };
            self.put(&key, ByteStream::from(Bytes::from_static(bytes)), options).await?;
            let object = match self.get(&key, GetOptions::default()).await {
                Ok(object) => object,
                // It was decoded despite the requested coding.
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

impl S3Store {
    /// Description of the check of codings.
    pub const CODINGS: &str = "store records in gzip and Brotli, and read them";

    /// Description of the check of old versions.
    pub const VERSIONS: &str = "ask whether the bucket keeps old versions of its objects";

    /// Detects again which conditions hold, and applies the result and the settings.
    pub async fn find_conditions(&self, random: &dyn Random) -> Result<Conditions> {
        let found = self.find_out_anew(random).await?;
        self.go_by(&self.overruled(&found));
        Ok(Conditions {
            of_writes: found.conditional_writes,
            of_deletes: found.conditional_deletes,
            of_completions: found.conditional_completions,
            quoted: found.quoted_validators,
            set: self.bucket().options.conditional_writes,
        })
    }

    /// Checks that records with a coding come back as they were stored.
    pub async fn examine_codings(&self, random: &dyn Random) -> Result<Outcome> {
        let own = random.characters(b"abcdefghijklmnopqrstuvwxyz0123456789", 16);
        let folder = format!("{PROBES}{}/", String::from_utf8_lossy(&own));
        let is_kept = self.keeps_codings(&folder).await?;
        let advice = "let the proxy before the object store decode nothing (nginx: gunzip off), or go round it";
        Ok(match (is_kept, self.bucket().decoding.is_noted()) {
            (true, false) => Outcome::ok("records in gzip and Brotli come back as they were stored"),
            (true, true) => Outcome::lacks(
                "something between the gateway and the object store decodes records; they come back as they were stored when their \
                 coding is asked for, so that each read of such a record takes two requests",
                advice,
            ),
            (false, _) => Outcome::wrong(
                "something between the gateway and the object store decodes records, or drops their Content-Encoding: writes of \
                 records with one are refused",
                advice,
            ),
        })
    }

    /// Checks whether the bucket keeps old versions.
    pub async fn examine_versions(&self) -> Result<Outcome> {
        Ok(if is_versioned(self.bucket()).await? {
            Outcome::lacks(
                "the bucket keeps old versions, or once did: everything that is replaced or deleted goes on taking space, but for \
                 records that expire, whose old versions a rule removes",
                "use a bucket that has never had versioning, or set a rule of your own that removes old versions below larder/",
            )
        } else {
            Outcome::ok("the bucket keeps no old versions: what is deleted takes no more space")
        })
    }
}
