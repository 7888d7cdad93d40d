//! Cross-origin requests: any page may call the API with a token that it has been given. Never with credentials of the
//! browser's own. What pages may read of answers is in `server/cross_origin.rs`.

use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header};

use super::{reply, reply_body::ReplyBody};

const METHODS: HeaderValue = HeaderValue::from_static("GET,HEAD,POST,PUT,DELETE,OPTIONS");

/// What official clients send from browsers, for whoever does not say what he is going to send.
const USUAL_HEADERS: HeaderValue =
    HeaderValue::from_static("Authorization, Content-Type, Content-Encoding, X-Apify-Workflow-Key");

/// How long a browser may remember the answer to a preflight, in seconds: a day.
const MAX_AGE: HeaderValue = HeaderValue::from_static("86400");

/// The answer to `OPTIONS`.
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
