//! Valid keys, and conflicts between keys.

use std::collections::BTreeMap;

use http::StatusCode;

use super::{
    answer::{Result, error},
    state::Object,
};

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
