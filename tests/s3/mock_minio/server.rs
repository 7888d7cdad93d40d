//! The mock itself: its port, its connections, and the methods for tests.

use std::{
    convert::Infallible,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
};

use http::{Method, StatusCode};
use hyper::{server::conn::http1::Builder, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::{
    net::TcpListener,
    task::{JoinHandle, JoinSet},
};

use super::deviations::Deviations;
use super::http::{Answer, Request, Result, empty, error};
use super::state::{Bucket, State};
use super::{listing, objects, rules, uploads};

/// A running stand-in; it ends, with all its state, when it is dropped.
pub(crate) struct MockMinio {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
    task: JoinHandle<()>,
}

impl MockMinio {
    /// Starts one, empty, on a free port of this machine.
    pub(crate) async fn start(deviations: Deviations) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("the system has a port");
        let address = listener.local_addr().expect("it is bound");
        let state = Arc::new(Mutex::new(State { deviations, ..State::default() }));
        let task = tokio::spawn(serve(listener, Arc::clone(&state)));
        Self { address, state, task }
    }

    /// Returns the address it listens on, as a gateway's setting for its object store. Any keys and any region will do.
    pub(crate) fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Changes its deviations, from the next request on.
    pub(crate) fn deviate(&self, change: impl FnOnce(&mut Deviations)) {
        change(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner).deviations);
    }

    /// Returns the keys of a bucket, as they are, whatever lists show of them.
    pub(crate) fn keys(&self, bucket: &str) -> Vec<String> {
        self.look(bucket, |bucket| bucket.objects.keys().cloned().collect())
    }

    /// Returns the id of the key that the last request was signed with.
    pub(crate) fn last_key(&self) -> String {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).last_key.clone()
    }

    /// Returns the number of a bucket's multipart uploads that were neither completed nor aborted.
    pub(crate) fn unfinished_uploads(&self, bucket: &str) -> usize {
        self.look(bucket, |bucket| bucket.uploads.len())
    }

    /// Returns the lifecycle rules of a bucket, as they are kept.
    pub(crate) fn rules(&self, bucket: &str) -> Option<String> {
        self.look(bucket, |bucket| bucket.rules.clone())
    }

    /// Writes foreign rules.
    pub(crate) fn set_rules(&self, bucket: &str, rules: &str) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.buckets.entry(bucket.to_owned()).or_default().rules = Some(rules.to_owned());
    }

    fn look<T: Default>(&self, bucket: &str, look: impl FnOnce(&Bucket) -> T) -> T {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).buckets.get(bucket).map(look).unwrap_or_default()
    }
}

impl Drop for MockMinio {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(listener: TcpListener, state: Arc<Mutex<State>>) {
    // Connections end with the server.
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let _ = stream.set_nodelay(true);
        let state = Arc::clone(&state);
        let respond = service_fn(move |request| {
            let state = Arc::clone(&state);
            async move {
                let Some(request) = Request::read(request).await else {
                    return Ok::<Answer, Infallible>(*error(StatusCode::BAD_REQUEST, "IncompleteBody"));
                };
                let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
                let mut answer = answer(&mut state, &request).unwrap_or_else(|refused| *refused);
                if request.method == Method::HEAD && !answer.status().is_success() {
                    *answer.body_mut() = http_body_util::Full::default();
                }
                Ok(answer)
            }
        });
        connections.spawn(Builder::new().serve_connection(TokioIo::new(stream), respond));
    }
}

fn answer(state: &mut State, request: &Request) -> Result<Answer> {
    for (left, code) in [
        (&mut state.deviations.requests_before_ready, "XMinioServerNotInitialized"),
        (&mut state.deviations.requests_before_calm, "SlowDown"),
    ] {
        if *left > 0 {
            *left -= 1;
            return Err(error(StatusCode::SERVICE_UNAVAILABLE, code));
        }
    }
    if request.is_mistimed() {
        return Err(error(StatusCode::FORBIDDEN, "RequestTimeTooSkewed"));
    }
    let (key, region) = request.signer().unwrap_or_default();
    key.clone_into(&mut state.last_key);
    if state.deviations.only_key.is_some_and(|only| only != key) {
        return Err(error(StatusCode::FORBIDDEN, "InvalidAccessKeyId"));
    }
    if let Some(own) = state.deviations.region.filter(|own| *own != region) {
        let mut refused = error(StatusCode::BAD_REQUEST, "AuthorizationHeaderMalformed");
        refused.headers_mut().insert("x-amz-bucket-region", own.parse().expect("a region"));
        return Err(refused);
    }
    if request.key.is_empty() { answer_about_bucket(state, request) } else { answer_about_object(state, request) }
}

fn answer_about_bucket(state: &mut State, request: &Request) -> Result<Answer> {
    match request.method {
        _ if request.parameter("lifecycle").is_some() => rules::answer(state, request),
        Method::PUT if state.buckets.contains_key(&request.bucket) => {
            Err(error(StatusCode::CONFLICT, "BucketAlreadyOwnedByYou"))
        }
        Method::PUT => {
            state.buckets.insert(request.bucket.clone(), Bucket::default());
            Ok(empty(StatusCode::OK))
        }
        Method::HEAD => state.bucket(&request.bucket).map(|_| empty(StatusCode::OK)),
        Method::GET if request.parameter("versioning").is_some() => rules::versioning(state, request),
        Method::GET => listing::list(state, request),
        Method::POST if request.parameter("delete").is_some() => objects::delete_many(state, request),
        _ => Err(error(StatusCode::NOT_IMPLEMENTED, "NotImplemented")),
    }
}

fn answer_about_object(state: &mut State, request: &Request) -> Result<Answer> {
    let upload = request.parameter("uploadId");
    match (&request.method, upload) {
        (&Method::PUT, Some(id)) => uploads::put_part(state, request, id),
        (&Method::PUT, None) => match request.header("x-amz-copy-source") {
            Some(source) => objects::copy(state, request, source),
            None => objects::put(state, request),
        },
        (&Method::GET | &Method::HEAD, None) => objects::get(state, request),
        (&Method::DELETE, Some(id)) => uploads::abort(state, request, id),
        (&Method::DELETE, None) => objects::delete(state, request),
        (&Method::POST, Some(id)) => uploads::complete(state, request, id),
        (&Method::POST, None) if request.parameter("uploads").is_some() => uploads::begin(state, request),
        _ => Err(error(StatusCode::NOT_IMPLEMENTED, "NotImplemented")),
    }
}
