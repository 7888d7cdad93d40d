//! Requests, taken apart, and responses in the format of S3.

use std::time::SystemTime;

use bytes::Bytes;
use http::response::Builder;
use http::{HeaderMap, Method, Request as HttpRequest, Response, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use jiff::Timestamp;
use jiff::tz::TimeZone;
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

/// An answer, whole.
pub(crate) type Answer = Response<Full<Bytes>>;

/// A response, or an error response.
pub(crate) type Result<T> = std::result::Result<T, Box<Answer>>;

/// Value of `Retry-After` while MinIO is not ready or overloaded, in seconds.
const RETRY_AFTER: &str = "120";

/// Returns the beginning of a response, with the headers that all of them have.
pub(crate) fn status(status: StatusCode) -> Builder {
    Response::builder().status(status).header("server", "MinIO").header("date", httpdate::fmt_http_date(now()))
}

/// Returns a response without a body.
pub(crate) fn empty(status_code: StatusCode) -> Answer {
    status(status_code).body(Full::default()).expect("an answer")
}

/// Returns a response that is a document.
pub(crate) fn document(root: &str, content: &str) -> Answer {
    let text = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
         <{root} xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">{content}</{root}>"
    );
    status(StatusCode::OK).header("content-type", "application/xml").body(Full::from(text)).expect("an answer")
}

/// Returns an error.
pub(crate) fn error(status_code: StatusCode, code: &str) -> Box<Answer> {
    let mut answer = status(status_code).header("content-type", "application/xml");
    if matches!(code, "SlowDown" | "XMinioServerNotInitialized") {
        answer = answer.header("retry-after", RETRY_AFTER);
    }
    let text = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>{code}</Code><Message>The mock says {code}.</Message>\
         <RequestId>0</RequestId></Error>"
    );
    Box::new(answer.body(Full::from(text)).expect("an answer"))
}

/// Returns an element.
pub(crate) fn element(name: &str, text: &str) -> String {
    let escaped = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&#34;");
    format!("<{name}>{escaped}</{name}>")
}

/// Returns the texts of all elements of a name that have no elements inside, in a document that a client sent.
pub(crate) fn texts(document: &str, name: &str) -> Vec<String> {
    let (start, end) = (format!("<{name}>"), format!("</{name}>"));
    let inner = document.split(&start).skip(1).filter_map(|rest| rest.split(&end).next());
    inner
        .map(|text| {
            let plain =
                [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&#34;", "\""), ("&apos;", "'"), ("&#39;", "'")];
            let unescaped = plain.iter().fold(text.to_owned(), |text, (from, to)| text.replace(from, to));
            unescaped.replace("&amp;", "&")
        })
        .collect()
}

/// Returns a time as lists have it.
pub(crate) fn list_date(time: SystemTime) -> String {
    jiff::Timestamp::try_from(time).expect("a time of our days").strftime("%Y-%m-%dT%H:%M:%S.%3fZ").to_string()
}

/// Returns the time.
pub(crate) fn now() -> SystemTime {
    SystemTime::now()
}
