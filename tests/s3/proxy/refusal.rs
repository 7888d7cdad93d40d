//! Responses of the proxy itself, in the format of S3.

use std::fmt::Write as _;

/// An error response as object stores send it. (<https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html>)
#[derive(Debug, Clone)]
pub(crate) struct Refusal {
    /// The status and its phrase.
    status: &'static str,
    /// Error code in the body.
    code: &'static str,
    retry_after: Option<u32>,
    /// `true` if it comes before the body of the request was read.
    pub(crate) is_early: bool,
    /// `true` if the body is a page for people.
    is_page: bool,
}

impl Refusal {
    /// 503: too many requests for now.
    pub(crate) fn slow_down() -> Self {
        Self::new("503 Service Unavailable", "SlowDown")
    }

    /// 500: something broke.
    pub(crate) fn internal_error() -> Self {
        Self::new("500 Internal Server Error", "InternalError")
    }

    /// 200, and an error behind it, as when an upload is completed that takes a while.
    pub(crate) fn error_behind_success() -> Self {
        Self::new("200 OK", "InternalError")
    }

    /// 503 from a proxy on the way, which knows no codes of object stores.
    pub(crate) fn gateway_says_unavailable() -> Self {
        Self::new("503 Service Unavailable", "")
    }

    /// 429, as some other object stores say it.
    pub(crate) fn too_many_requests() -> Self {
        Self::new("429 Too Many Requests", "TooManyRequests")
    }

    /// Creates an error of the object store's with any status and code.
    pub(crate) fn of(status: &'static str, code: &'static str) -> Self {
        Self::new(status, code)
    }

    /// Creates an error of a web server before the object store, which knows nothing of S3.
    pub(crate) fn of_web_server(status: &'static str) -> Self {
        Self { is_page: true, ..Self::new(status, "") }
    }

    fn new(status: &'static str, code: &'static str) -> Self {
        Self { status, code, retry_after: None, is_early: false, is_page: false }
    }

    /// Adds a header with the seconds until a retry.
    pub(crate) fn with_retry_after(self, seconds: u32) -> Self {
        Self { retry_after: Some(seconds), ..self }
    }

    /// The same before the body of the request was read; the connection ends after it.
    pub(crate) fn before_the_body(self) -> Self {
        Self { is_early: true, ..self }
    }

    /// As it goes over the wire.
    pub(crate) fn bytes(&self, method: &str) -> Vec<u8> {
        let code = self.code;
        let status = self.status;
        let page = format!("<html><head><title>{status}</title></head><body><h1>{status}</h1></body></html>");
        let document = format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>{code}</Code>\
             <Message>The proxy refuses.</Message><RequestId>0</RequestId></Error>"
        );
        let (body, made_by) =
            if self.is_page { (page, "text/html\r\nserver: nginx/1.2.3") } else { (document, "application/xml") };
        let mut answer = format!("HTTP/1.1 {status}\r\ncontent-type: {made_by}\r\n");
        if let Some(seconds) = self.retry_after {
            let _ = write!(answer, "retry-after: {seconds}\r\n");
        }
        if self.is_early {
            answer.push_str("connection: close\r\n");
        }
        let _ = write!(answer, "content-length: {}\r\n\r\n", body.len());
        if method != "HEAD" {
            answer.push_str(&body);
        }
        answer.into_bytes()
    }
}
