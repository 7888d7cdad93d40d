//! A request, taken apart.

use bytes::Bytes;
use http::{HeaderMap, Method, Request as HttpRequest};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use jiff::{Timestamp, tz::TimeZone};
use percent_encoding::percent_decode_str;

/// The largest body that is taken, in bytes: it is kept in memory.
const MOST_BYTES: usize = 256 << 20;

/// A request in path style, with its whole body.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) method: Method,
    pub(crate) bucket: String,
    /// Empty where the bucket itself is meant.
    pub(crate) key: String,
    query: Vec<(String, String)>,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Request {
    /// Reads it; `None` when its body breaks off: then nothing may come of it.
    pub(crate) async fn read(request: HttpRequest<Incoming>) -> Option<Self> {
        let (head, body) = request.into_parts();
        let body = Limited::new(body, MOST_BYTES).collect().await.ok()?.to_bytes();
        let path = head.uri.path().trim_start_matches('/').to_owned();
        let (bucket, key) = path.split_once('/').unwrap_or((&path, ""));
        let query = form_urlencoded::parse(head.uri.query().unwrap_or_default().as_bytes()).into_owned().collect();
        Some(Self {
            method: head.method,
            bucket: bucket.to_owned(),
            key: decoded(key),
            query,
            headers: head.headers,
            body,
        })
    }

    /// Returns a parameter of the query.
    pub(crate) fn parameter(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// Returns the value of a header.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// Returns the id of the key that it was signed with, and the region that it was signed for.
    pub(crate) fn signer(&self) -> Option<(&str, &str)> {
        let (_, scope) = self.header("authorization")?.split_once("Credential=")?;
        let mut parts = scope.split(['/', ',']);
        Some((parts.next()?, parts.nth(1)?))
    }

    /// Returns `true` if the time of its signature is a quarter of an hour or more away.
    pub(crate) fn is_mistimed(&self) -> bool {
        let Some(date) = self.header("x-amz-date") else { return false };
        let signed =
            jiff::civil::DateTime::strptime("%Y%m%dT%H%M%SZ", date).and_then(|date| date.to_zoned(TimeZone::UTC));
        let apart = signed.map(|signed| Timestamp::now().as_second().abs_diff(signed.timestamp().as_second()));
        apart.map_or(true, |seconds| seconds >= 900)
    }

    /// Returns the headers that are kept with an object.
    pub(crate) fn kept_headers(&self) -> HeaderMap {
        const KEPT: [&str; 5] =
            ["content-type", "content-encoding", "content-disposition", "content-language", "cache-control"];
        let kept = self
            .headers
            .iter()
            .filter(|(name, _)| KEPT.contains(&name.as_str()) || name.as_str().starts_with("x-amz-meta-"));
        kept.map(|(name, value)| (name.clone(), value.clone())).collect()
    }
}

/// Returns a piece of a path without its escapes.
pub(crate) fn decoded(text: &str) -> String {
    percent_decode_str(text).decode_utf8_lossy().into_owned()
}
