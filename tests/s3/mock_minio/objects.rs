//! Objects: put, copy, get, head, delete.

use bytes::Bytes;
use http::{HeaderValue, Method, StatusCode};
use http_body_util::Full;

use super::http::{Answer, Request, Result, decoded, document, element, empty, error, list_date, status, texts};
use super::state;
use super::state::{Object, State, unquoted};

/// Stores the body under the key.
pub(crate) fn put(state: &mut State, request: &Request) -> Result<Answer> {
    state.check_write(&request.bucket, &request.key)?;
    state.check_conditions(&request.bucket, &request.key, &request.headers)?;
    let object = Object::new(request.body.clone(), request.kept_headers());
    let answer = status(StatusCode::OK).header("etag", format!("\"{}\"", object.etag));
    state.bucket(&request.bucket)?.objects.insert(request.key.clone(), object);
    Ok(answer.body(Full::default()).expect("an answer"))
}

/// Stores a copy of another object under the key. The conditions of the source are looked at, those of the target not.
pub(crate) fn copy(state: &mut State, request: &Request, source: &str) -> Result<Answer> {
    state.check_write(&request.bucket, &request.key)?;
    state.check_read()?;
    let source = decoded(source.trim_start_matches('/'));
    let (bucket, key) = source.split_once('/').ok_or_else(|| error(StatusCode::BAD_REQUEST, "InvalidArgument"))?;
    let found = state.bucket(bucket)?.objects.get(key).cloned();
    let found = found.ok_or_else(|| error(StatusCode::NOT_FOUND, "NoSuchKey"))?;
    let wanted = request.header("x-amz-copy-source-if-match").map(unquoted);
    if wanted.is_some_and(|wanted| wanted != found.etag) {
        return Err(error(StatusCode::PRECONDITION_FAILED, "PreconditionFailed"));
    }
    let replaces = request.header("x-amz-metadata-directive") == Some("REPLACE");
    if !replaces && (bucket, key) == (&request.bucket, &request.key) {
        return Err(error(StatusCode::BAD_REQUEST, "InvalidRequest"));
    }
    let headers = if replaces { request.kept_headers() } else { found.headers };
    let object = Object::new(found.bytes, headers);
    let report =
        element("ETag", &format!("\"{}\"", object.etag)) + &element("LastModified", &list_date(object.modified));
    state.bucket(&request.bucket)?.objects.insert(request.key.clone(), object);
    Ok(document("CopyObjectResult", &report))
}

/// Responds with the object, a part of it, or its metadata.
pub(crate) fn get(state: &mut State, request: &Request) -> Result<Answer> {
    state::check(&request.key, state.deviations.keys_are_paths)?;
    state.check_read()?;
    let object = state.bucket(&request.bucket)?.objects.get(&request.key).cloned();
    let object = object.ok_or_else(|| error(StatusCode::NOT_FOUND, "NoSuchKey"))?;
    let is = |name: &str| request.header(name).map(|wanted| unquoted(wanted) == object.etag || wanted == "*");
    if is("if-match") == Some(false) {
        return Err(error(StatusCode::PRECONDITION_FAILED, "PreconditionFailed"));
    }
    let etag = HeaderValue::from_str(&format!("\"{}\"", object.etag)).expect("hexadecimal");
    if is("if-none-match") == Some(true) {
        return Ok(status(StatusCode::NOT_MODIFIED).header("etag", etag).body(Full::default()).expect("an answer"));
    }
    let size = object.bytes.len();
    let range = request.header("range").and_then(|range| range.strip_prefix("bytes="));
    let (mut answer, bytes) = match range.map(|range| resolved(range, size)) {
        None => (status(StatusCode::OK), object.bytes.clone()),
        Some(Some((first, end))) => {
            let said = format!("bytes {first}-{}/{size}", end - 1);
            (status(StatusCode::PARTIAL_CONTENT).header("content-range", said), object.bytes.slice(first..end))
        }
        Some(None) => {
            let mut refused = error(StatusCode::RANGE_NOT_SATISFIABLE, "InvalidRange");
            let said = HeaderValue::from_str(&format!("bytes */{size}")).expect("digits");
            refused.headers_mut().insert("content-range", said);
            return Err(refused);
        }
    };
    answer = answer.header("etag", etag).header("accept-ranges", "bytes").header("content-length", bytes.len());
    answer = answer.header("last-modified", httpdate::fmt_http_date(object.modified));
    for (name, value) in &object.headers {
        answer = answer.header(name, value);
    }
    let body = if request.method == Method::HEAD { Bytes::new() } else { bytes };
    Ok(answer.body(Full::from(body)).expect("an answer"))
}

/// Returns the bytes that a range means, from the first to behind the last; `None` when there are none.
fn resolved(range: &str, size: usize) -> Option<(usize, usize)> {
    let (first, last) = range.split_once('-')?;
    let number = |text: &str| text.parse::<u64>().ok().map(|number| usize::try_from(number).unwrap_or(usize::MAX));
    let (first, end) = match (number(first), number(last)) {
        (Some(first), Some(last)) => (first, last.saturating_add(1).min(size)),
        (Some(first), None) => (first, size),
        (None, Some(length)) => (size.saturating_sub(length), size),
        (None, None) => return None,
    };
    (first < end).then_some((first, end))
}

/// Deletes an object, if it is there.
pub(crate) fn delete(state: &mut State, request: &Request) -> Result<Answer> {
    state.bucket(&request.bucket)?;
    state::check(&request.key, state.deviations.keys_are_paths)?;
    if state.deviations.write_quorum_is_lost {
        return Err(error(StatusCode::SERVICE_UNAVAILABLE, "SlowDownWrite"));
    }
    if !state.deviations.ignores_conditions_of_deletes {
        state.check_conditions(&request.bucket, &request.key, &request.headers)?;
    }
    state.bucket(&request.bucket)?.objects.remove(&request.key);
    Ok(empty(StatusCode::NO_CONTENT))
}

/// Deletes many objects.
pub(crate) fn delete_many(state: &mut State, request: &Request) -> Result<Answer> {
    if state.deviations.write_quorum_is_lost {
        return Err(error(StatusCode::SERVICE_UNAVAILABLE, "SlowDownWrite"));
    }
    let keys = texts(&String::from_utf8_lossy(&request.body), "Key");
    let bucket = state.bucket(&request.bucket)?;
    for key in &keys {
        bucket.objects.remove(key);
    }
    let deleted: String = keys.iter().map(|key| ["<Deleted>", &element("Key", key), "</Deleted>"].concat()).collect();
    Ok(document("DeleteResult", &deleted))
}
