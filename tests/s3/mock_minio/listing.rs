//! Lists of keys.

use std::ops::Bound;

use http::StatusCode;

use super::deviations::Conflicts;
use super::http::{Answer, Request, Result, document, element, error, list_date};
use super::state;
use super::state::{Object, State};

/// Maximum number of keys of a page.
const MOST_KEYS: usize = 1000;

/// Returns a page of the objects whose keys begin with a prefix (`ListObjectsV2`, without delimiters).
pub(crate) fn list(state: &mut State, request: &Request) -> Result<Answer> {
    state.check_read()?;
    let deviations = state.deviations;
    if request.parameter("list-type") != Some("2") || request.parameter("delimiter").is_some_and(|it| !it.is_empty()) {
        return Err(error(StatusCode::NOT_IMPLEMENTED, "NotImplemented"));
    }
    let prefix = request.parameter("prefix").unwrap_or_default();
    let limit = request.parameter("max-keys").and_then(|limit| limit.parse().ok()).unwrap_or(MOST_KEYS).min(MOST_KEYS);
    let token = request.parameter("continuation-token");
    let start_after = request.parameter("start-after").filter(|key| token.is_none() && !key.is_empty());
    let objects = &state.bucket(&request.bucket)?.objects;

    // A token is the key after which the page starts.
    let from = token.or(start_after).unwrap_or_default();
    let is_shown = |key: &str| {
        deviations.conflicts != Conflicts::Hidden || !state::parents(key).any(|parent| objects.contains_key(parent))
    };
    let mut found = objects
        .range::<str, _>((Bound::Excluded(from), Bound::Unbounded))
        .filter(|(key, _)| key.starts_with(prefix) && is_shown(key));
    let page: Vec<(&String, &Object)> = found.by_ref().take(limit).collect();
    let next = found.next();

    let mut content = element("Name", &request.bucket) + &element("Prefix", prefix);
    content += &element("KeyCount", &page.len().to_string());
    content += &element("MaxKeys", &limit.to_string());
    content += &element("IsTruncated", if next.is_some() { "true" } else { "false" });
    if let Some(start_after) = start_after {
        content += &element("StartAfter", start_after);
    }
    if let (Some((next, _)), Some((last, _))) = (next, page.last()) {
        let leaves_out = deviations.token_leaves_a_key_out && start_after.is_some_and(|key| !objects.contains_key(key));
        content += &element("NextContinuationToken", if leaves_out { next } else { last });
    }
    for (key, object) in page {
        content += "<Contents>";
        content += &element("Key", key);
        content += &element("LastModified", &list_date(object.modified));
        content += &element("ETag", &format!("\"{}\"", object.etag));
        content += &element("Size", &object.bytes.len().to_string());
        content += "<StorageClass>STANDARD</StorageClass></Contents>";
    }
    Ok(document("ListBucketResult", &content))
}
