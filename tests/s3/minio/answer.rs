//! Responses in the format of S3.

use std::time::SystemTime;

use bytes::Bytes;
use http::{Response, StatusCode, response::Builder};
use http_body_util::Full;

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
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>{code}</Code><Message>The stand-in says {code}.</Message>\
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
