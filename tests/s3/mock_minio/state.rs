//! State of the mock: buckets, objects, unfinished uploads; valid keys, and conflicts between keys. All access is under one
//! lock, so that conditions hold against all other requests.

use std::collections::BTreeMap;
use std::time::SystemTime;

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use sha2::{Digest, Sha256};

use super::deviations::{Conflicts, Deviations};
use super::http::{Result, error, now};

/// Everything.
#[derive(Debug, Default)]
pub(crate) struct State {
    pub(crate) deviations: Deviations,
    /// The id of the key that the last request was signed with.
    pub(crate) last_key: String,
    pub(crate) buckets: BTreeMap<String, Bucket>,
}

/// A bucket.
#[derive(Debug, Default)]
pub(crate) struct Bucket {
    pub(crate) objects: BTreeMap<String, Object>,
    pub(crate) uploads: BTreeMap<String, Upload>,
    pub(crate) begun_uploads: u64,
    /// Its lifecycle rules.
    pub(crate) rules: Option<String>,
}

/// An object.
#[derive(Debug, Clone)]
pub(crate) struct Object {
    pub(crate) bytes: Bytes,
    /// Without quotes.
    pub(crate) etag: String,
    /// Fields that are returned as they were sent.
    pub(crate) headers: HeaderMap,
    pub(crate) modified: SystemTime,
}

/// An unfinished upload.
#[derive(Debug)]
pub(crate) struct Upload {
    pub(crate) key: String,
    pub(crate) headers: HeaderMap,
    pub(crate) parts: BTreeMap<u32, Bytes>,
}

impl Object {
    /// Creates an object. Its entity tag is a digest of its bytes, though not the one that S3 uses: a client must not
    /// rely on that.
    pub(crate) fn new(bytes: Bytes, headers: HeaderMap) -> Self {
        let digest = Sha256::digest(&bytes);
        let etag = digest.iter().take(16).fold(String::new(), |etag, byte| etag + &format!("{byte:02x}"));
        Self { bytes, etag, headers, modified: now() }
    }
}

impl State {
    /// Returns a bucket that exists.
    pub(crate) fn bucket(&mut self, name: &str) -> Result<&mut Bucket> {
        self.buckets.get_mut(name).ok_or_else(|| error(StatusCode::NOT_FOUND, "NoSuchBucket"))
    }

    /// Checks that a key may be written: its name, its neighbours, room, and enough drives.
    pub(crate) fn check_write(&mut self, bucket: &str, key: &str) -> Result<()> {
        let deviations = self.deviations;
        let objects = &self.bucket(bucket)?.objects;
        check(key, deviations.keys_are_paths)?;
        if deviations.conflicts == Conflicts::Refused {
            if parents(key).any(|parent| objects.contains_key(parent)) {
                return Err(error(StatusCode::BAD_REQUEST, "XMinioParentIsObject"));
            }
            if is_parent_of_any(key, objects) {
                return Err(error(StatusCode::CONFLICT, "XMinioObjectExistsAsDirectory"));
            }
        }
        if deviations.write_quorum_is_lost {
            return Err(error(StatusCode::SERVICE_UNAVAILABLE, "SlowDownWrite"));
        }
        if deviations.is_full {
            return Err(error(StatusCode::INSUFFICIENT_STORAGE, "XMinioStorageFull"));
        }
        Ok(())
    }

    /// Checks the preconditions of a write against the present object.
    pub(crate) fn check_conditions(&mut self, bucket: &str, key: &str, request: &HeaderMap) -> Result<()> {
        let deviations = self.deviations;
        if deviations.read_quorum_is_lost {
            return Ok(());
        }
        let header = |name: &str| request.get(name).and_then(|value| value.to_str().ok()).map(unquoted);
        let there = self.bucket(bucket)?.objects.get(key).map(|object| object.etag.as_str());
        let fails = || Err(error(StatusCode::PRECONDITION_FAILED, "PreconditionFailed"));
        match (header("if-none-match"), there) {
            (Some("*"), Some(_)) if !deviations.takes_star_for_a_validator => return fails(),
            (Some(wanted), Some(there)) if wanted == there => return fails(),
            _ => {}
        }
        match (header("if-match"), there) {
            (Some(_), None) if !deviations.writes_what_is_absent => Err(error(StatusCode::NOT_FOUND, "NoSuchKey")),
            (Some(wanted), Some(there)) if wanted != there && wanted != "*" => fails(),
            _ => Ok(()),
        }
    }

    /// Checks that reads are possible.
    pub(crate) fn check_read(&self) -> Result<()> {
        if self.deviations.read_quorum_is_lost {
            return Err(error(StatusCode::SERVICE_UNAVAILABLE, "SlowDownRead"));
        }
        Ok(())
    }
}

/// Returns a validator without its quotes: MinIO takes it with and without.
pub(crate) fn unquoted(validator: &str) -> &str {
    validator.trim().trim_matches('"')
}

/// The longest key, in bytes.
const LONGEST: usize = 1024;

/// The longest part of a key between slashes, where keys are paths: the longest name of a file.
const LONGEST_SEGMENT: usize = 255;

/// Refuses a key that cannot be.
pub(crate) fn check(key: &str, is_path: bool) -> Result<()> {
    if key.len() > LONGEST {
        return Err(error(StatusCode::BAD_REQUEST, "KeyTooLongError"));
    }
    if !is_path {
        return Ok(());
    }
    // A trailing slash is the mark of an empty folder, which may be kept.
    let segments = || key.strip_suffix('/').unwrap_or(key).split('/');
    if segments().any(|segment| matches!(segment, "." | "..")) {
        return Err(error(StatusCode::BAD_REQUEST, "XMinioInvalidResourceName"));
    }
    if segments().any(|segment| segment.is_empty() || segment.len() > LONGEST_SEGMENT) {
        return Err(error(StatusCode::BAD_REQUEST, "XMinioInvalidObjectName"));
    }
    Ok(())
}

/// Returns the keys that would be folders on the way to this one.
pub(crate) fn parents(key: &str) -> impl Iterator<Item = &str> {
    key.match_indices('/').map(|(at, _)| &key[..at])
}

/// Returns `true` if this key would be a folder on the way to an object.
pub(crate) fn is_parent_of_any(key: &str, objects: &BTreeMap<String, Object>) -> bool {
    let below = format!("{key}/");
    objects.range(below.clone()..).next().is_some_and(|(other, _)| other.starts_with(&below))
}
