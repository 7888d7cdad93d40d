//! Faults of requests and responses, error responses of the proxy itself, the plan of which request meets which fault, and
//! the log of the requests on the wire.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::framing::Head;

/// Fault of a request. Where a fault lets the request come to the object store whole, it is done there even if the
/// gateway has left by then: bytes that a network holds back arrive nevertheless.
#[derive(Debug, Clone)]
pub(crate) enum Fault {
    /// It waits before it goes on to the object store.
    DelayRequest(Duration),
    /// Its response waits before it goes on to the gateway.
    DelayAnswer(Duration),
    /// Only its beginning comes to the object store; then both connections end. If the request is cut after its last
    /// byte, the object store decides whether it is done.
    CutRequest(Place, Ending),
    /// Only the beginning of its response comes to the gateway; then both connections end.
    CutAnswer(Place, Ending),
    /// It is done, but the connection to the gateway ends without an answer.
    LoseResponse(Ending),
    /// The proxy responds; the object store does not see the request.
    Refuse(Refusal),
    /// Its response comes to the gateway bit by bit.
    TrickleAnswer(Pace),
    /// It is read whole, and never gets a response; the object store does not see it.
    NeverAnswer,
}

/// Number of bytes that pass before a cut.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Place {
    /// Counted from the first of the head.
    Head(u64),
    /// Counted from the first of the body, as it is on the wire: the frames of chunks count.
    Body(u64),
}

/// End of a connection to the gateway.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    /// In good order, as after a server's time limit (FIN).
    Close,
    /// At once, as after a crash or at a router that has forgotten the connection (RST).
    Reset,
}

/// Throttle for bytes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pace {
    /// So many at a time;
    pub(crate) bytes: usize,
    /// this long one after the other.
    pub(crate) every: Duration,
}

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

/// Number of requests for which a fault is armed.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Times {
    /// For so many, the next that it is meant for.
    Next(u64),
    /// For all that it is meant for.
    UntilDisarmed,
}

/// Faults in the order in which they were armed. A request meets with at most one: the first that is meant for it.
#[derive(Default)]
pub(crate) struct Plan(Mutex<Vec<Entry>>);

struct Entry {
    fault: Fault,
    is_meant: Box<dyn Fn(&Request) -> bool + Send>,
    left: Times,
    hits: Arc<AtomicU64>,
}

/// A fault that was armed. It stays armed when this is dropped.
pub(crate) struct Armed {
    plan: Arc<Plan>,
    hits: Arc<AtomicU64>,
}

impl Plan {
    /// Adds a fault for the requests that `is_meant` is true of.
    pub(crate) fn arm(
        self: &Arc<Self>,
        fault: Fault,
        times: Times,
        is_meant: impl Fn(&Request) -> bool + Send + 'static,
    ) -> Armed {
        let hits = Arc::new(AtomicU64::new(0));
        self.entries(|entries| {
            entries.push(Entry { fault, is_meant: Box::new(is_meant), left: times, hits: Arc::clone(&hits) });
        });
        Armed { plan: Arc::clone(self), hits }
    }

    /// Returns the fault that this request meets with; it counts as met from here on.
    pub(crate) fn fault_for(&self, request: &Request) -> Option<Fault> {
        self.entries(|entries| {
            let entry =
                entries.iter_mut().find(|entry| !matches!(entry.left, Times::Next(0)) && (entry.is_meant)(request))?;
            if let Times::Next(left) = &mut entry.left {
                *left -= 1;
            }
            entry.hits.fetch_add(1, Ordering::SeqCst);
            Some(entry.fault.clone())
        })
    }

    fn entries<T>(&self, work: impl FnOnce(&mut Vec<Entry>) -> T) -> T {
        work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Armed {
    /// Returns the number of requests that met with it.
    pub(crate) fn hits(&self) -> u64 {
        self.hits.load(Ordering::SeqCst)
    }

    /// Disarms the fault for further requests; begun ones go on.
    pub(crate) fn disarm(self) {
        self.plan.entries(|entries| entries.retain(|entry| !Arc::ptr_eq(&entry.hits, &self.hits)));
    }
}

/// A request, as the gateway sent it.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    /// On which of the gateway's connections, from 1.
    pub(crate) connection: u64,
    pub(crate) method: String,
    /// As it was sent: escaped, without the query.
    pub(crate) path: String,
    /// As it was sent, without the question mark; empty when there is none.
    pub(crate) query: String,
    headers: Vec<(String, String)>,
}

impl Request {
    /// Creates the log entry of a head.
    pub(crate) fn of(head: &Head, connection: u64) -> Self {
        let target = head.word(1);
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        Self {
            connection,
            method: head.word(0).to_owned(),
            path: path.to_owned(),
            query: query.to_owned(),
            headers: head.headers().to_vec(),
        }
    }

    /// Returns the value of a header, its name given in small letters.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

/// All of them, in the order in which their heads came.
#[derive(Debug, Default)]
pub(crate) struct Log(Mutex<Vec<Request>>);

impl Log {
    /// Adds one.
    pub(crate) fn add(&self, request: Request) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(request);
    }

    /// Returns all since the last time they were taken.
    pub(crate) fn all(&self) -> Vec<Request> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The same, and forgets them.
    pub(crate) fn take(&self) -> Vec<Request> {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
