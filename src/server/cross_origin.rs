//! What a page of another origin may read of an answer. Any page may: what it needs is a token, and never a browser's own
//! credentials. This is said on every answer, since a page sees nothing at all of one without it.

use http::{HeaderMap, HeaderValue, header};

/// The header fields that a page may read beside those that every page may. `*` has them all, and those that an upstream adds;
/// browsers that do not know it take the names.
macro_rules! exposed_fields {
    () => {
        "*, Accept-Ranges, Allow, Content-Disposition, Content-Encoding, Content-Range, ETag, Location, Retry-After, \
         X-RateLimit-Limit, X-Request-Id"
    };
}
pub(super) use exposed_fields;

/// Lets every page read an answer.
pub fn allow_any_origin(headers: &mut HeaderMap) {
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static(exposed_fields!()));
}
