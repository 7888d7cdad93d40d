//! Answers that are made at once: empty, or JSON.

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};
use serde::Serialize;

use super::reply_body::ReplyBody;

/// An answer without a body.
pub fn empty(status: StatusCode) -> Response<ReplyBody> {
    let mut response = Response::new(ReplyBody::empty());
    *response.status_mut() = status;
    response
}

/// An answer whose body is `value` as JSON.
pub fn json<T: Serialize>(status: StatusCode, value: &T) -> Response<ReplyBody> {
    let mut response = Response::new(ReplyBody::from(json_bytes(value)));
    *response.status_mut() = status;
    let json = HeaderValue::from_static("application/json; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, json);
    response
}

/// `value` as JSON. Our own types have string keys and finite numbers, which always have a form in JSON.
pub fn json_bytes<T: Serialize>(value: &T) -> Bytes {
    serde_json::to_vec(value).map_or_else(|_| Bytes::from_static(b"null"), Bytes::from)
}
