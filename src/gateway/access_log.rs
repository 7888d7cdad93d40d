//! Access log entries: collected from a request's head, during its handling, and until the end of its response.

use std::{
    io::{self, IsTerminal},
    net::IpAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    thread,
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body::{Body, Frame, SizeHint};

use crate::{
    api::REQUEST_ID,
    clock::Clock,
    config::Config,
    server::ClientAddr,
    telemetry::{AccessLine, AccessLog, RequestFacts, shown_path},
};

use super::start::StartError;

/// Logs requests.
#[derive(Debug)]
pub(super) struct Accesses {
    log: AccessLog,
    clock: Arc<dyn Clock>,
}

/// A request in progress. Its line is written when this is dropped.
#[derive(Debug)]
pub(super) struct Access {
    accesses: Arc<Accesses>,
    facts: Arc<RequestFacts>,
    began: Duration,
    method: Method,
    path: String,
    address: Option<IpAddr>,
    request_id: Option<HeaderValue>,
    status: Option<StatusCode>,
    bytes: u64,
    is_whole: bool,
}

impl Accesses {
    /// Starts the access log of the configuration, if it has one, with the time of `clock`.
    pub(super) fn from_config(config: &Config, clock: &Arc<dyn Clock>) -> Result<Option<Arc<Self>>, StartError> {
        let Some(form) = config.telemetry.access_log_form(io::stderr().is_terminal()) else { return Ok(None) };
        let log = AccessLog::start(form).map_err(StartError::Threads)?;
        Ok(Some(Arc::new(Self { log, clock: Arc::clone(clock) })))
    }

    /// Writes the queued lines.
    pub(super) fn close(&self) {
        self.log.close();
    }

    /// Begins to observe a request, and attaches the observer to it.
    pub(super) fn begin<B>(self: &Arc<Self>, request: &mut Request<B>, source: &ClientAddr) -> Box<Access> {
        let facts = Arc::<RequestFacts>::default();
        let token = request.headers().get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        let token = token.map(|text| text.split_once(' ').map_or(text, |(_, token)| token).trim());
        let access = Access {
            accesses: Arc::clone(self),
            facts: Arc::clone(&facts),
            began: self.clock.monotonic(),
            method: request.method().clone(),
            path: shown_path(request.uri().path(), token),
            address: source.ip,
            request_id: None,
            status: None,
            bytes: 0,
            is_whole: false,
        };
        request.extensions_mut().insert(facts);
        Box::new(access)
    }
}

impl Access {
    /// Records the head of the response.
    pub(super) fn answered<B: Body>(&mut self, response: &Response<B>) {
        self.request_id = response.headers().get(REQUEST_ID).cloned();
        self.status = Some(response.status());
        // These responses have no body to wait for.
        let has_no_body = self.method == Method::HEAD || matches!(response.status().as_u16(), 204 | 304);
        self.is_whole = has_no_body || response.body().is_end_stream();
    }
}

impl Drop for Access {
    fn drop(&mut self) {
        let Accesses { log, clock } = self.accesses.as_ref();
        // A panic is answered with this status, but in another place.
        let status = self.status.or(thread::panicking().then_some(StatusCode::INTERNAL_SERVER_ERROR));
        log.write(&AccessLine {
            timestamp: clock.now(),
            method: method(&self.method),
            path: &self.path,
            status: status.map(|status| status.as_u16()),
            bytes: self.bytes,
            time: clock.monotonic().saturating_sub(self.began),
            caller: self.facts.caller(),
            address: self.address,
            request: self.request_id.as_ref().and_then(|id| id.to_str().ok()),
            object_calls: self.facts.object_calls(),
            cut_off: !self.is_whole,
        });
    }
}

/// Returns the name of a method. Any word is a valid method; unknown ones are not logged.
fn method(method: &Method) -> &str {
    match *method {
        Method::GET
        | Method::HEAD
        | Method::POST
        | Method::PUT
        | Method::DELETE
        | Method::PATCH
        | Method::OPTIONS
        | Method::CONNECT
        | Method::TRACE => method.as_str(),
        _ => "OTHER",
    }
}

/// A response body that counts its bytes for the log.
#[derive(Debug)]
pub(super) struct LoggedBody<B> {
    inner: B,
    access: Option<Box<Access>>,
}

impl<B> LoggedBody<B> {
    pub(super) fn new(inner: B, access: Option<Box<Access>>) -> Self {
        Self { inner, access }
    }
}

impl<B: Body<Data = Bytes> + Unpin> Body for LoggedBody<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let frame = Pin::new(&mut self.inner).poll_frame(context);
        let Self { inner, access } = &mut *self;
        if let (Some(access), Poll::Ready(frame)) = (access, &frame) {
            match frame {
                Some(Ok(frame)) => {
                    access.bytes += frame.data_ref().map_or(0, |data| data.len() as u64);
                    access.is_whole = inner.is_end_stream();
                }
                Some(Err(_)) => {}
                None => access.is_whole = true,
            }
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
