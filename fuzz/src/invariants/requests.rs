//! Invariants of requests: routes, queries, headers and JSON bodies.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::FutureExt;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri, header};
use larder::{
    api::{
        REQUEST_ID,
        internals::{
            Endpoint, ProxiedCall, RunsCall, StoreCall, browser_policy, content, json_body,
            preconditions::{self, Verdict},
            request::{self, Query},
            route,
        },
    },
    clock::Timestamp,
    kv::{ContentCoding, InvalidKey, RecordKey},
    storage::{ByteRange, ByteStream, MemoryBudget},
};
use percent_encoding::percent_decode_str;

/// Maximum size of a JSON body.
const MAX_JSON_BYTES: u64 = 9_437_184;

/// Arbitrary moment.
const WRITTEN: Timestamp = Timestamp::from_millis(784_111_777_500);

/// Checks that a request line, without the version, is a call or is rejected as a client error, and that the key of a
/// call is valid and occurs in the line.
pub fn route(bytes: &[u8]) {
    let Some((method, uri)) = request_line(bytes) else { return };
    let called = match route::parse(&method, &uri) {
        Ok(call) => call.endpoint,
        Err(error) => {
            assert!(error.status().is_client_error(), "{}", error.status());
            return;
        }
    };
    if method == Method::GET && Query::new(uri.query()).text("method").is_none() {
        let head = route::parse(&Method::HEAD, &uri).map(|call| call.endpoint);
        let is_same = head.as_ref().is_ok_and(|head| *head == called);
        assert!(is_same || matches!(key_of(&called), Some((_, true))), "{head:?}");
    }
    if let Some((key, counts_as_record)) = key_of(&called) {
        assert!(!counts_as_record || route::is_record_path(uri.path()), "it is counted as a record");
        let segments: Vec<_> =
            uri.path().split('/').map(|segment| percent_decode_str(segment).decode_utf8_lossy()).collect();
        if let Ok(key) = key {
            assert_eq!(key.as_str().parse::<RecordKey>().as_ref(), Ok(key));
            assert!(segments.iter().any(|segment| segment == key.as_str()), "{key}");
        }
    }
    if let Endpoint::Proxied(ProxiedCall::OfRun(_, _, rest)) = &called {
        assert!(rest.is_empty() || rest.starts_with('/'), "{rest}");
        assert!(uri.path().ends_with(rest), "{rest}");
    }
}

/// Returns the key of a call, and whether the call is counted as one of a record.
fn key_of(called: &Endpoint) -> Option<(&Result<RecordKey, InvalidKey>, bool)> {
    let (Endpoint::Store(_, call) | Endpoint::Runs(RunsCall::Store(_, call))) = called else { return None };
    match call {
        StoreCall::GetRecord(key)
        | StoreCall::HeadRecord(key)
        | StoreCall::PutRecord(key)
        | StoreCall::DeleteRecord(key) => Some((key, true)),
        StoreCall::DirectUploadUrl(key) => Some((key, false)),
        _ => None,
    }
}

/// Checks that encoded parameters are read back, and that all values are within their bounds. Input of two lines: a
/// name and a value, which is read as a whole query, too.
pub fn query(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let (name, value) = text.split_once('\n').unwrap_or(("limit", text));
    let encoded = form_urlencoded::Serializer::new(String::new()).append_pair(name, value).finish();
    let read = Query::new(Some(&encoded)).text(name).map(std::borrow::Cow::into_owned);
    assert_eq!(read.as_deref(), Some(value).filter(|value| !value.is_empty()));
    for query in [encoded.as_str(), value].map(|text| Query::new(Some(text))) {
        for most in [1, 1000] {
            assert!(
                query.limit(most).is_ok_and(|limit| (1..=most).contains(&limit))
                    || query.number("limit", u64::MAX).is_err()
            );
            let most = most as u64;
            let bounded = query.number(name, most);
            assert!(
                bounded.as_ref().is_ok_and(|number| *number <= Some(most))
                    || bounded.is_err_and(|error| error.status() == 400)
            );
            assert!(
                query.capped_number(name, most).is_ok_and(|number| number <= Some(most))
                    || query.number(name, u64::MAX).is_err()
            );
        }
        assert!(query.offset().is_ok_and(|offset| offset < 1 << 53) || query.number("offset", u64::MAX).is_err());
        let _ = query.flag(name);
        let headers = HeaderMap::new();
        assert_eq!(request::token(&headers, &query), query.text("token"));
    }
}

/// Checks that a parsed range has the requested bytes of the record, or none. Input of two lines: a size and the
/// header.
pub fn range(bytes: &[u8]) {
    let Some((size, headers)) = sized(bytes, header::RANGE) else { return };
    let Some(range) = preconditions::range(&headers) else { return };
    let part = range.resolve(size);
    if let Some(part) = &part {
        assert!(part.start < part.end && part.end <= size, "{part:?} of {size}");
    }
    let expected = match range {
        ByteRange::Suffix(length) => size - length.min(size)..size,
        ByteRange::From(first) => first.min(size)..size,
        ByteRange::Bounded { first, last } => {
            assert!(first <= last);
            first.min(size)..if last < size { last + 1 } else { size }
        }
    };
    assert_eq!(part, Some(expected).filter(|expected| !expected.is_empty()));
}

/// Checks that preconditions hold for the named record only. Input of two lines: an `ETag` and the header.
pub fn conditions(bytes: &[u8]) {
    let end = bytes.iter().position(|byte| *byte == b'\n').unwrap_or(bytes.len());
    let (own, value) = (&bytes[..end], bytes.get(end + 1..).unwrap_or_default());
    // As object stores create them, without characters that are special in headers.
    let etag: String = own.iter().filter(|byte| byte.is_ascii_alphanumeric()).map(|byte| char::from(*byte)).collect();
    let etag = format!("own{etag}");
    let Ok(value) = HeaderValue::from_bytes(value) else { return };
    let text = value.to_str().unwrap_or_default();
    let names_it = text.contains(&etag) || text.contains('*');
    let with = |name: HeaderName| HeaderMap::from_iter([(name, value.clone())]);
    for is_decoded in [false, true] {
        let verdict = |headers: &HeaderMap| preconditions::evaluate(headers, &etag, is_decoded, WRITTEN);
        assert!(names_it || verdict(&with(header::IF_MATCH)) == Verdict::Failed, "{text}");
        assert!(names_it || verdict(&with(header::IF_NONE_MATCH)) == Verdict::Send, "{text}");
        assert_ne!(verdict(&with(header::IF_MODIFIED_SINCE)), Verdict::Failed);
        assert_ne!(verdict(&with(header::IF_UNMODIFIED_SINCE)), Verdict::NotModified);
        let own = HeaderValue::try_from(preconditions::entity_tag(&etag, is_decoded)).expect("a header");
        let own = |name: HeaderName| HeaderMap::from_iter([(name, own.clone())]);
        assert_eq!(verdict(&own(header::IF_MATCH)), Verdict::Send);
        assert_eq!(verdict(&own(header::IF_NONE_MATCH)), Verdict::NotModified);
    }
    let is_date = httpdate::parse_http_date(text.trim()).is_ok();
    let is_meant = preconditions::if_range_matches(&with(header::IF_RANGE), &etag, WRITTEN, WRITTEN);
    assert!(!is_meant || text.contains(&etag), "{text}");
    assert!(!(is_meant && is_date), "no date vouches for what has just been written");
}

/// Checks that an accepted media type is stored exactly, and that browsers only display what they may. Checks that a
/// coding is decodable or rejected.
pub fn content(bytes: &[u8]) {
    let Ok(value) = HeaderValue::from_bytes(bytes) else { return };
    let text = value.to_str().unwrap_or_default();
    let with = |name: HeaderName| HeaderMap::from_iter([(name, value.clone())]);
    match content::content_type(&with(header::CONTENT_TYPE)) {
        Err(error) => assert_eq!(error.status(), 400),
        Ok(content_type) => {
            assert!(content_type == text || text.trim().is_empty());
            let mut headers = HeaderMap::new();
            browser_policy::add_sandbox_headers(&mut headers, &content_type, "a", browser_policy::Disposition::Inline);
            let essence = content_type.split([';', ',']).next_back().unwrap_or_default().trim().to_ascii_lowercase();
            let is_page =
                ["text/html", "application/xhtml+xml", "image/svg+xml", "text/xml"].contains(&essence.as_str());
            let is_several = content_type.contains(',');
            let is_guarded = headers.contains_key(header::CONTENT_SECURITY_POLICY);
            assert!(is_guarded || !(is_page && (is_several || !content_type.contains(';'))), "{content_type}");
        }
    }
    match content::content_coding(&with(header::CONTENT_ENCODING)) {
        Err(error) => assert!(error.status().is_client_error()),
        Ok(None) => assert!(text.trim().is_empty() || text.trim().eq_ignore_ascii_case("identity"), "{text}"),
        Ok(Some(coding)) => assert_eq!(ContentCoding::parse(text.trim()), Some(coding)),
    }
    let accepts = |coding| content::accepts(&with(header::ACCEPT_ENCODING), coding);
    for coding in ContentCoding::ALL {
        let is_named = text.to_ascii_lowercase().contains(coding.as_str()) || text.contains('*');
        assert!(is_named || !accepts(coding), "{text}");
    }
    let headers = with(header::AUTHORIZATION);
    let token = request::token(&headers, &Query::new(Some("token=other")));
    assert!(token.is_some_and(|token| text.contains(token.as_ref())), "the header wins: {text}");
    let _ = request::forwarded_request_id(&with(REQUEST_ID));
}

/// Checks that a JSON body is an object of bounded size, or rejected as a client error. The first byte chooses the
/// coding.
pub fn json_body(bytes: &[u8]) {
    let Some((choice, body)) = bytes.split_first() else { return };
    let coding = ["identity", "gzip", "br", "deflate"][usize::from(*choice) % 4];
    let headers = HeaderMap::from_iter([(header::CONTENT_ENCODING, HeaderValue::from_static(coding))]);
    let body = ByteStream::from(Bytes::copy_from_slice(body));
    let lease = Arc::new(MemoryBudget::default()).lease();
    match json_body::read_members(&headers, body, MAX_JSON_BYTES, &["name"], &lease)
        .now_or_never()
        .expect("all of it is there")
    {
        Ok(_) => {}
        Err(error) => assert!(error.status().is_client_error(), "{}", error.status()),
    }
}

/// Returns a method and a target as a client may send them.
fn request_line(bytes: &[u8]) -> Option<(Method, Uri)> {
    let at = bytes.iter().position(|byte| *byte == b' ')?;
    let method = Method::from_bytes(&bytes[..at]).ok()?;
    Some((method, Uri::try_from(&bytes[at + 1..]).ok()?))
}

/// Returns the number in the first line, and the rest as a header.
fn sized(bytes: &[u8], name: HeaderName) -> Option<(u64, HeaderMap)> {
    let at = bytes.iter().position(|byte| *byte == b'\n')?;
    let size = std::str::from_utf8(&bytes[..at]).ok()?.parse().ok()?;
    let value = HeaderValue::from_bytes(&bytes[at + 1..]).ok()?;
    Some((size, HeaderMap::from_iter([(name, value)])))
}
