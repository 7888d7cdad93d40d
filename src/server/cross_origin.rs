//! CORS. Pages of any origin may read responses: they need a token, and never use a browser's credentials. Every
//! response has the header fields, since a page sees nothing of one without them.

use http::{HeaderMap, HeaderValue, header};

/// The header fields that pages may read beside the safelisted ones. `*` covers all, including those that an upstream
/// adds; browsers that do not know `*` use the names.
macro_rules! exposed_fields {
    () => {
        "*, Accept-Ranges, Allow, Content-Disposition, Content-Encoding, Content-Range, ETag, Location, Retry-After, \
         X-RateLimit-Limit, X-Request-Id"
    };
}
pub(super) use exposed_fields;

/// Allows pages of every origin to read a response.
pub fn allow_any_origin(headers: &mut HeaderMap) {
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static(exposed_fields!()));
}
