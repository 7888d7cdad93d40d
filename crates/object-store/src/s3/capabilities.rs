//! Capabilities of an object store, detected by a probe: vendors respond `200` to conditions that they do not know.
//!
//! The probe is concurrent where necessary: some servers check conditions in sequence and ignore them when several
//! writers come at once. A probe proves nothing about a cluster of many nodes, so a setting can override each result.
//!
//! 1. Read the stored capabilities ([`CAPABILITIES_KEY`]). If this version of the probe wrote them less than a day ago,
//!    use them: a probe takes seconds, since losing a race can (`SeaweedFS`).
//! 2. Otherwise assume all capabilities, and test them on objects of a random folder, which are deleted at the end.
//! 3. Store the result. Gateways that probe at the same time overwrite each other: last writer wins, with equal results.
//! 4. Apply the result with the overrides of the settings.
//!
//! A crash leaves objects below `larder/probe/`, and the next start probes again. The checks of a diagnosis that concern
//! only buckets are here, too.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use larder_runtime::clock::{Clock, Random, Timestamp};

use super::{lifecycle::is_versioned, store::S3Store, upload};
use crate::{
    Attributes, ByteStream, Error, GetOptions, ObjectStore, Precondition, PutOptions, Result,
    conditional_write_probe::ConditionalWriteProbe,
    diagnostics::{Conditions, Outcome, PROBES},
};

/// Key of the stored capabilities.
pub const CAPABILITIES_KEY: &str = "larder/capabilities";

/// Folder of the objects that probes write.
const PROBE_FOLDER: &str = "larder/probe/";

/// Maximum age of stored capabilities.
const MAX_CAPABILITIES_AGE: Duration = Duration::from_hours(24);

/// Maximum bytes of stored capabilities, and of an object that a probe reads.
const MAX_CAPABILITIES_BYTES: u64 = 4096;

/// Version of the probe. Stored capabilities of other versions are ignored.
const PROBE_VERSION: u32 = 2;

/// The text "larder" in the content encodings that clients use.
const ENCODED_SAMPLES: [(&str, &[u8]); 2] = [
    (
        "gzip",
        b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x02\x03\xcb\x49\x2c\x4a\x49\x2d\x02\x00\x66\xb4\xcf\x42\x06\x00\x00\x00",
    ),
    ("br", b"\x8b\x02\x80larder\x03"),
];

/// Capabilities of an object store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(clippy::struct_excessive_bools, reason = "each is a capability of its own")]
pub struct Capabilities {
    version: u32,
    probed_at: Timestamp,
    /// True if preconditions of puts are honoured, even under contention.
    pub conditional_writes: bool,
    /// True if preconditions of deletes are honoured.
    pub conditional_deletes: bool,
    /// True if preconditions of completing a multipart upload are honoured.
    #[serde(rename = "conditionalMultipartCompletions")]
    pub conditional_completions: bool,
    /// True if `ETag`s in conditions are quoted, as RFC 9110 requires. (Ceph RGW 16 accepts only unquoted ones.)
    pub quoted_etags: bool,
    /// True if objects come back in the content encoding in which they were stored.
    pub content_encodings: bool,
}

impl Capabilities {
    /// All capabilities, the assumption until a probe has run.
    pub const ALL: Self = Self {
        version: PROBE_VERSION,
        probed_at: Timestamp::from_millis(0),
        conditional_writes: true,
        conditional_deletes: true,
        conditional_completions: true,
        quoted_etags: true,
        content_encodings: true,
    };

    /// Returns whether deletes may have preconditions.
    pub fn allow_conditional_deletes(&self) -> bool {
        self.conditional_writes && self.conditional_deletes
    }
}

/// Detection of a proxy that decodes objects.
#[derive(Debug, Default)]
pub struct DecodingProxy(AtomicBool);

impl DecodingProxy {
    /// Records a response that was decoded; logs the first one.
    pub fn record(&self) {
        if !self.0.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                "a proxy between the gateway and the object store decodes objects: each read of a record with a \
                 Content-Encoding takes two requests; turn decoding off (nginx: gunzip off)"
            );
        }
    }

    /// Returns whether a response was decoded since the start.
    pub fn is_detected(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

impl S3Store {
    /// Detects the capabilities of the object store, and applies them from now on.
    pub async fn probe(&self, random: &dyn Random) -> Result<Capabilities> {
        let now = self.clock().now();
        let capabilities = if let Some(kept) = self.read_stored(now).await? {
            kept
        } else {
            tracing::info!(
                "probing the capabilities of the object store; this takes some seconds, and the result is kept for a day"
            );
            let found = self.detect(random, now).await?;
            self.store_capabilities(&found).await?;
            found
        };
        let capabilities = self.with_overrides(&capabilities);
        self.apply(&capabilities);
        tracing::info!(
            conditional_writes = capabilities.conditional_writes,
            conditional_deletes = capabilities.conditional_deletes,
            quoted_etags = capabilities.quoted_etags,
            content_encodings = capabilities.content_encodings,
            probed_at = %capabilities.probed_at,
            "capabilities of the object store"
        );
        Ok(capabilities)
    }

    /// Detects the capabilities now, regardless of stored ones and of settings. Stores nothing.
    pub async fn detect_uncached(&self, random: &dyn Random) -> Result<Capabilities> {
        self.apply(&Capabilities::ALL);
        self.detect(random, self.clock().now()).await
    }

    /// Returns the capabilities with the overrides of the settings.
    pub fn with_overrides(&self, capabilities: &Capabilities) -> Capabilities {
        let options = &self.bucket().options;
        Capabilities {
            conditional_writes: options.conditional_writes.unwrap_or(capabilities.conditional_writes),
            conditional_deletes: options.conditional_deletes.unwrap_or(capabilities.conditional_deletes),
            quoted_etags: options.quoted_etags.unwrap_or(capabilities.quoted_etags),
            ..capabilities.clone()
        }
    }

    /// Applies capabilities of this probe or another.
    pub fn apply(&self, capabilities: &Capabilities) {
        self.bucket().capabilities.store(Arc::new(capabilities.clone()));
    }

    fn quote_etags(&self, is_quoted: bool) {
        self.apply(&Capabilities { quoted_etags: is_quoted, ..(**self.bucket().capabilities.load()).clone() });
    }

    async fn read_stored(&self, now: Timestamp) -> Result<Option<Capabilities>> {
        let object = match self.get(CAPABILITIES_KEY, GetOptions::default()).await {
            Ok(object) => object,
            Err(Error::NotFound) => return Ok(None),
            Err(error) => return Err(error),
        };
        let bytes = object.body.into_bytes(MAX_CAPABILITIES_BYTES).await.map_err(Error::Body)?;
        let capabilities: Option<Capabilities> = serde_json::from_slice(&bytes).ok();
        Ok(capabilities
            .filter(|kept| kept.version == PROBE_VERSION && now.since(kept.probed_at) < MAX_CAPABILITIES_AGE))
    }

    async fn store_capabilities(&self, capabilities: &Capabilities) -> Result<()> {
        let text = serde_json::to_vec(capabilities).map_err(|error| Error::Unavailable(error.into()))?;
        ConditionalWriteProbe { objects: self }.write(CAPABILITIES_KEY, text, Precondition::None).await.map(drop)
    }

    async fn detect(&self, random: &dyn Random, now: Timestamp) -> Result<Capabilities> {
        let own = random.characters(b"abcdefghijklmnopqrstuvwxyz0123456789", 16);
        let folder = format!("{PROBE_FOLDER}{}/", String::from_utf8_lossy(&own));
        let probe = ConditionalWriteProbe { objects: self };
        let mut found = Capabilities {
            version: PROBE_VERSION,
            probed_at: now,
            conditional_writes: false,
            conditional_deletes: false,
            conditional_completions: false,
            quoted_etags: true,
            content_encodings: self.preserves_encodings(&folder).await?,
        };
        for is_quoted in [true, false] {
            self.quote_etags(is_quoted);
            if probe.honours_preconditions(&format!("{folder}{is_quoted}")).await? {
                found.quoted_etags = is_quoted;
                found.conditional_writes = probe.honours_under_contention(&folder).await?;
                found.conditional_deletes = probe.honours_delete_preconditions(&format!("{folder}deleted")).await?;
                found.conditional_completions =
                    self.honours_preconditions_of_completions(&format!("{folder}parts")).await?;
                break;
            }
        }
        self.quote_etags(found.quoted_etags);
        let mut keys: Vec<_> = ["true", "false", "deleted", "parts"].map(|name| format!("{folder}{name}")).into();
        keys.extend(ENCODED_SAMPLES.map(|(coding, _)| format!("{folder}{coding}")));
        keys.extend(ConditionalWriteProbe::race_keys(&folder));
        self.delete_many(keys).await?;
        Ok(found)
    }

    /// Returns whether objects below `folder` come back in the content encoding in which they were stored.
    pub async fn preserves_encodings(&self, folder: &str) -> Result<bool> {
        for (coding, bytes) in ENCODED_SAMPLES {
            let key = format!("{folder}{coding}");
            let attributes =
                Attributes { content_type: "text/plain".to_owned(), content_encoding: Some(coding.to_owned()) };
            let options = PutOptions { attributes: attributes.clone(), precondition: Precondition::None };
            self.put(&key, ByteStream::from(Bytes::from_static(bytes)), options).await?;
            let object = match self.get(&key, GetOptions::default()).await {
                Ok(object) => object,
                // It was decoded despite the requested encoding.
                Err(Error::Unavailable(_)) if self.bucket().decoding_proxy.is_detected() => return Ok(false),
                Err(error) => return Err(error),
            };
            let is_preserved = object.meta.attributes == attributes;
            if !is_preserved || object.body.into_bytes(MAX_CAPABILITIES_BYTES).await.ok().as_deref() != Some(bytes) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    async fn honours_preconditions_of_completions(&self, key: &str) -> Result<bool> {
        ConditionalWriteProbe { objects: self }.write(key, "whole", Precondition::None).await?;
        match upload::upload_as_one_part(self.bucket(), &self.bucket().full_key(key), &Precondition::IfAbsent).await {
            Ok(()) | Err(Error::Unsupported(_) | Error::Unavailable(_)) => Ok(false),
            Err(Error::Precondition) => Ok(true),
            Err(error) => Err(error),
        }
    }
}

impl S3Store {
    /// Description of the check of content encodings.
    pub const CONTENT_ENCODINGS_DESCRIPTION: &str = "store records encoded with gzip and Brotli, and read them";

    /// Description of the check of versioning.
    pub const VERSIONING_DESCRIPTION: &str = "check whether the bucket keeps old versions of objects";

    /// Detects again which preconditions are honoured, and applies the result with the overrides of the settings.
    pub async fn detect_conditions(&self, random: &dyn Random) -> Result<Conditions> {
        let found = self.detect_uncached(random).await?;
        self.apply(&self.with_overrides(&found));
        Ok(Conditions {
            of_writes: found.conditional_writes,
            of_deletes: found.conditional_deletes,
            of_completions: found.conditional_completions,
            quoted: found.quoted_etags,
            set: self.bucket().options.conditional_writes,
        })
    }

    /// Checks that records with a content encoding come back as they were stored.
    pub async fn check_content_encodings(&self, random: &dyn Random) -> Result<Outcome> {
        let own = random.characters(b"abcdefghijklmnopqrstuvwxyz0123456789", 16);
        let folder = format!("{PROBES}{}/", String::from_utf8_lossy(&own));
        let is_preserved = self.preserves_encodings(&folder).await?;
        let advice = "turn decoding off at the proxy before the object store (nginx: gunzip off), or bypass the proxy";
        Ok(match (is_preserved, self.bucket().decoding_proxy.is_detected()) {
            (true, false) => Outcome::pass("records in gzip and Brotli come back as they were stored"),
            (true, true) => Outcome::degraded(
                "a proxy between the gateway and the object store decodes records; they come back as they were stored when \
                 their encoding is requested, so that each read of such a record takes two requests",
                advice,
            ),
            (false, _) => Outcome::fail(
                "a proxy between the gateway and the object store decodes records or drops their Content-Encoding; writes \
                 of records with a Content-Encoding are refused",
                advice,
            ),
        })
    }

    /// Checks whether the bucket keeps old versions.
    pub async fn check_versioning(&self) -> Result<Outcome> {
        Ok(if is_versioned(self.bucket()).await? {
            Outcome::degraded(
                "the bucket keeps old versions, or once did: replaced and deleted objects go on taking space, except for \
                 expiring records, whose old versions a lifecycle rule removes",
                "use a bucket that has never had versioning, or add a lifecycle rule that removes old versions below larder/",
            )
        } else {
            Outcome::pass("the bucket keeps no old versions: deleted objects take no space")
        })
    }
}
