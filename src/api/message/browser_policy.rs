//! Headers for browsers: isolation of stored pages, and cross-origin requests.
//!
//! Any page may call the API with a token that it was given, and never with the browser's own credentials.
//! `server/handler.rs` decides which response headers pages may read.

use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header};

use super::{
    content::{attachment, essence, file_name},
    error::ApiError,
    response::{self, ResponseBody},
};

/// Content security policy of stored pages: display only. A page runs no scripts and submits no forms. It has its own
/// origin, so it reaches neither the API nor the page around it.
const SANDBOX: HeaderValue = HeaderValue::from_static(
    "sandbox; default-src 'none'; img-src * data:; media-src * data:; font-src * data:; style-src * 'unsafe-inline'",
);

/// The same policy without remote content: a request for an image would reveal to the page's author who views the page, and
/// when.
const SANDBOX_ISOLATED: HeaderValue = HeaderValue::from_static(
    "sandbox; default-src 'none'; img-src data:; media-src data:; font-src data:; style-src 'unsafe-inline'",
);

const DNS_PREFETCH: HeaderName = HeaderName::from_static("x-dns-prefetch-control");

/// Treatment of a record that a browser opens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Disposition {
    /// Inline, with its remote content.
    Inline,
    /// Inline without any further content.
    InlineIsolated,
    /// Saved as a file.
    Attachment,
}

const CSP: HeaderName = header::CONTENT_SECURITY_POLICY;

/// Request destinations for which a browser would execute the response, or style a page with it (Fetch Metadata, 2.1).
const CODE_DESTINATIONS: [&[u8]; 8] =
    [b"script", b"style", b"worker", b"sharedworker", b"serviceworker", b"audioworklet", b"paintworklet", b"xslt"];

const FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
const FETCH_DEST: HeaderName = HeaderName::from_static("sec-fetch-dest");

/// Header of a request for a service worker's script, on any connection (Service Workers, 4.1).
const SERVICE_WORKER: HeaderName = HeaderName::from_static("service-worker");

/// Rejects a request for the script of a page of this server. The only such pages are the console's, whose scripts are
/// not stored records: a stored script would get the rights of the signed-in user. Pages of other origins may use the
/// record as they like.
pub fn reject_code_request(headers: &HeaderMap) -> Result<(), ApiError> {
    let is = |name, values: &[&[u8]]| headers.get(name).is_some_and(|value| values.contains(&value.as_bytes()));
    if headers.contains_key(SERVICE_WORKER) || (is(FETCH_SITE, &[b"same-origin"]) && is(FETCH_DEST, &CODE_DESTINATIONS))
    {
        return Err(ApiError::code_request());
    }
    Ok(())
}

/// Sets the headers that isolate a record of that media type in a browser, or make the browser save it.
pub fn add_sandbox_headers(headers: &mut HeaderMap, content_type: &str, key: &str, disposition: Disposition) {
    match disposition {
        Disposition::Attachment => {
            headers.insert(header::CONTENT_DISPOSITION, attachment(file_name(key)));
        }
        Disposition::InlineIsolated => {
            headers.insert(CSP, SANDBOX_ISOLATED);
            headers.insert(DNS_PREFETCH, HeaderValue::from_static("off"));
        }
        Disposition::Inline if !is_passive(content_type) => {
            headers.insert(CSP, SANDBOX);
        }
        Disposition::Inline => {}
    }
}

/// Sets the same headers on a response of another server, in addition to that server's own.
pub fn add_sandbox_headers_to_proxied(headers: &mut HeaderMap) {
    let mut types = headers.get_all(header::CONTENT_TYPE).iter();
    let is_passive = types.next().and_then(|value| value.to_str().ok()).is_some_and(is_passive);
    if !is_passive || types.next().is_some() {
        headers.append(CSP, SANDBOX);
    }
}

/// Returns whether a browser only displays content of that type. Every unknown type counts as active. So does any value
/// with a comma, since browsers read it as several media types and use the last (Fetch, 2.2.2, "extract a MIME type").
fn is_passive(content_type: &str) -> bool {
    if content_type.contains(',') {
        return false;
    }
    let essence = essence(content_type).to_ascii_lowercase();
    let is_media = ["image/", "audio/", "video/", "font/"].iter().any(|kind| essence.starts_with(kind));
    (is_media && !essence.ends_with("xml"))
        || ["text/plain", "text/csv", "application/json", "application/octet-stream"].contains(&essence.as_str())
}

const ALLOWED_METHODS: HeaderValue = HeaderValue::from_static("GET,HEAD,POST,PUT,DELETE,OPTIONS");

/// Headers that official clients send from browsers, for preflights that name none.
const DEFAULT_ALLOWED_HEADERS: HeaderValue =
    HeaderValue::from_static("Authorization, Content-Type, Content-Encoding, X-Apify-Workflow-Key");

/// Maximum age of a cached preflight response, in seconds: a day.
const PREFLIGHT_MAX_AGE: HeaderValue = HeaderValue::from_static("86400");

/// Returns the response to `OPTIONS`.
pub fn preflight(request: &HeaderMap) -> Response<ResponseBody> {
    const REQUESTED: HeaderName = header::ACCESS_CONTROL_REQUEST_HEADERS;
    let mut response = response::empty(StatusCode::NO_CONTENT);
    let headers = response.headers_mut();
    headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, ALLOWED_METHODS);
    headers.insert(
        header::ACCESS_CONTROL_ALLOW_HEADERS,
        request.get(REQUESTED).cloned().unwrap_or(DEFAULT_ALLOWED_HEADERS),
    );
    headers.insert(header::ACCESS_CONTROL_MAX_AGE, PREFLIGHT_MAX_AGE);
    headers.insert(header::VARY, HeaderValue::from_name(REQUESTED));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(name: &HeaderName, values: &[&str]) -> HeaderMap {
        values.iter().map(|value| (name.clone(), value.parse().expect("a valid header"))).collect()
    }

    #[test]
    fn whatever_may_be_active_is_sandboxed_unless_it_is_downloaded() {
        let policy = |content_type: &str, as_attachment| {
            let mut headers = HeaderMap::new();
            let disposition = if as_attachment { Disposition::Attachment } else { Disposition::Inline };
            add_sandbox_headers(&mut headers, content_type, "a'b", disposition);
            headers.contains_key(CSP)
        };
        let active = ["text/html", "TEXT/HTML; charset=utf-8", "image/svg+xml", "application/pdf", "text/xml", "a/b"];
        assert_eq!(active.map(|content_type| policy(content_type, false)), [true; 6]);
        let several = ["text/plain; a=b, text/html", "image/png;a,text/html", "text/plain; a=\"b,c\""];
        assert_eq!(several.map(|content_type| policy(content_type, false)), [true; 3]);
        let passive = ["image/png", "text/plain; charset=utf-8", "application/json", "video/mp4"];
        assert_eq!(passive.map(|content_type| policy(content_type, false)), [false; 4]);
        assert!(!policy("text/html", true));
    }

    #[test]
    fn what_another_server_says_is_kept_and_what_may_be_active_is_sandboxed_too() {
        let policies = |types: &[&str]| {
            let mut headers_of_response = headers(&header::CONTENT_TYPE, types);
            headers_of_response.insert(CSP, HeaderValue::from_static("img-src 'none'"));
            add_sandbox_headers_to_proxied(&mut headers_of_response);
            headers_of_response.get_all(CSP).iter().count()
        };
        let content_types =
            [&[][..], &["text/html"], &["text/plain", "text/html"], &["application/json"], &["text/csv"]];
        assert_eq!(content_types.map(policies), [2, 2, 2, 1, 1]);
    }

    #[test]
    fn only_pages_of_this_server_are_refused_scripts() {
        let is_refused = |fields: &[(HeaderName, &'static str)]| {
            let fields = fields.iter().cloned().map(|(name, value)| (name, HeaderValue::from_static(value)));
            reject_code_request(&fields.collect()).is_err()
        };
        for (site, destination, refused) in [
            ("same-origin", "script", true),
            ("same-origin", "serviceworker", true),
            ("same-origin", "style", true),
            ("same-origin", "empty", false),
            ("same-origin", "image", false),
            ("same-origin", "document", false),
            ("cross-site", "script", false),
            ("none", "document", false),
        ] {
            let is_rejected = is_refused(&[(FETCH_SITE, site), (FETCH_DEST, destination)]);
            assert_eq!(is_rejected, refused, "{destination} for {site}");
        }
        assert!(is_refused(&[(SERVICE_WORKER, "script")]) && !is_refused(&[]));
    }
}
