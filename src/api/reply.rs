//! Responses created at once: empty, or JSON.

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};
use serde::Serialize;

use super::reply_body::ReplyBody;

/// Capacity for the header fields of a response: no usual one has more, and repeated growth costs more than the space.
const USUAL_FIELDS: usize = 12;

/// Returns a response without a body.
pub fn empty(status: StatusCode) -> Response<ReplyBody> {
    let mut response = Response::new(ReplyBody::empty());
    *response.status_mut() = status;
    response.headers_mut().reserve(USUAL_FIELDS);
    response
}

/// Returns a response with `value` as JSON.
pub fn json<T: Serialize>(status: StatusCode, value: &T) -> Response<ReplyBody> {
    let mut response = empty(status);
    *response.body_mut() = ReplyBody::from(json_bytes(value));
    let json = HeaderValue::from_static("application/json; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, json);
    response
}

/// Serializes `value`. Our own types have string keys and finite numbers, which always have a form in JSON.
pub fn json_bytes<T: Serialize>(value: &T) -> Bytes {
    serde_json::to_vec(value).map_or_else(|_| Bytes::from_static(b"null"), Bytes::from)
}
