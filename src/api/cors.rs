//! Cross-origin requests: any page may call the API with a token that it was given, and never with the browser's own
//! credentials. `server/cross_origin.rs` decides which response headers pages may read.

use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header};

use super::{reply, reply_body::ReplyBody};

const METHODS: HeaderValue = HeaderValue::from_static("GET,HEAD,POST,PUT,DELETE,OPTIONS");

/// Headers that official clients send from browsers, for preflights that name none.
const USUAL_HEADERS: HeaderValue =
    HeaderValue::from_static("Authorization, Content-Type, Content-Encoding, X-Apify-Workflow-Key");

/// Maximum age of a cached preflight response, in seconds: a day.
const MAX_AGE: HeaderValue = HeaderValue::from_static("86400");

/// Returns the response to `OPTIONS`.
pub fn preflight(request: &HeaderMap) -> Response<ReplyBody> {
    const REQUESTED: HeaderName = header::ACCESS_CONTROL_REQUEST_HEADERS;
    let mut response = reply::empty(StatusCode::NO_CONTENT);
    let headers = response.headers_mut();
    headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, METHODS);
    headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, request.get(REQUESTED).cloned().unwrap_or(USUAL_HEADERS));
    headers.insert(header::ACCESS_CONTROL_MAX_AGE, MAX_AGE);
    headers.insert(header::VARY, HeaderValue::from_name(REQUESTED));
    response
}
