//! A stub for an object store that costs as little as possible: a hyper server that responds at once.
//!
//! Records of the cases are not stored: their bytes are generated from the key. Everything else is Larder's own, small,
//! and stored under the preconditions of its writes, so that Larder starts over it as over any other.

use std::{
    collections::BTreeMap,
    convert::Infallible,
    env,
    path::Path,
    process::Command,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::{
    Method, Request, Response, StatusCode,
    body::Incoming,
    header::{CONTENT_TYPE, ETAG, HeaderMap, HeaderValue, IF_MATCH, IF_NONE_MATCH, LAST_MODIFIED},
};

use crate::{
    load::{
        case::{LARGEST_BODY, bytes_of, pattern},
        hyper_baseline,
    },
    program::Program,
    report::Outcome,
};

/// The argument with which this program starts itself as the stub.
pub const ARGUMENT: &str = "--serve-stub";

/// The argument with which it takes its time.
pub const SLOW_ARGUMENT: &str = "--serve-slow-stub";

/// Its only bucket.
pub const BUCKET: &str = "stub";

/// Maximum size of a stored object, in bytes.
const KEPT_BYTES: usize = 1 << 20;

/// The validator of every record.
const RECORD_TAG: &str = "\"9e107d9d372bb6826bd81d3542a419d6\"";

/// When everything was written.
const DATE: &str = "Mon, 02 Nov 2026 09:00:00 GMT";

/// Starts it as a process of its own.
pub fn start(folder: &Path) -> Outcome<Program> {
    let mut command = Command::new(env::current_exe()?);
    command.arg(ARGUMENT);
    Program::start(command, &folder.join("stub.log"))
}

/// Serves until it is killed, and takes `time` for each record.
pub fn serve(time: Duration) -> Outcome<()> {
    let stub = Arc::new(Stub { record: Bytes::from(pattern(LARGEST_BODY)), kept: Mutex::default(), time });
    hyper_baseline::serve_with(move |request| {
        let stub = Arc::clone(&stub);
        async move { Ok::<_, Infallible>(stub.answer(request).await) }
    })
}

type Answer = Response<Full<Bytes>>;

struct Stub {
    record: Bytes,
    kept: Mutex<Kept>,
    time: Duration,
}

#[derive(Default)]
struct Kept {
    /// By path.
    objects: BTreeMap<String, Object>,
    writes: u64,
}

#[derive(Clone)]
struct Object {
    bytes: Bytes,
    tag: String,
    content_type: HeaderValue,
}

impl Stub {
    async fn answer(&self, request: Request<Incoming>) -> Answer {
        match (request.method(), bytes_of(request.uri().path())) {
            (&Method::GET, Some(count)) if count <= self.record.len() => {
                if !self.time.is_zero() {
                    tokio::time::sleep(self.time).await;
                }
                object(self.record.slice(..count), RECORD_TAG, HeaderValue::from_static("application/octet-stream"))
            }
            (&Method::PUT, Some(_)) => {
                if hyper_baseline::drain(request.into_body()).await {
                    written(RECORD_TAG)
                } else {
                    status(StatusCode::BAD_REQUEST)
                }
            }
            _ => self.answer_kept(request).await,
        }
    }

    async fn answer_kept(&self, request: Request<Incoming>) -> Answer {
        let path = request.uri().path().to_owned();
        // The bucket itself: it is there, and nothing in it is due.
        if path.trim_matches('/') == BUCKET {
            return match *request.method() {
                Method::GET => text("<ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>"),
                Method::POST => text("<DeleteResult/>"),
                _ => status(StatusCode::OK),
            };
        }
        let (head, body) = request.into_parts();
        let Ok(body) = Limited::new(body, KEPT_BYTES).collect().await else {
            return status(StatusCode::BAD_REQUEST);
        };
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let standing = kept.objects.get(&path).cloned();
        match head.method {
            // hyper leaves the body out where only the head was asked for.
            Method::GET | Method::HEAD => match standing {
                Some(Object { bytes, tag, content_type }) => object(bytes, &tag, content_type),
                None => status(StatusCode::NOT_FOUND),
            },
            Method::PUT | Method::DELETE if !allows(&head.headers, standing.as_ref()) => {
                status(StatusCode::PRECONDITION_FAILED)
            }
            Method::PUT => {
                kept.writes += 1;
                let tag = format!("\"{}\"", kept.writes);
                let content_type = head.headers.get(CONTENT_TYPE).cloned();
                let content_type = content_type.unwrap_or(HeaderValue::from_static("binary/octet-stream"));
                let answer = written(&tag);
                kept.objects.insert(path, Object { bytes: body.to_bytes(), tag, content_type });
                answer
            }
            Method::DELETE => {
                kept.objects.remove(&path);
                status(StatusCode::NO_CONTENT)
            }
            // Multipart uploads.
            _ => status(StatusCode::NOT_IMPLEMENTED),
        }
    }
}

/// Returns `true` if a write's precondition holds.
fn allows(headers: &HeaderMap, standing: Option<&Object>) -> bool {
    if headers.contains_key(IF_NONE_MATCH) {
        return standing.is_none();
    }
    match headers.get(IF_MATCH) {
        Some(tag) => standing.is_some_and(|standing| *tag == standing.tag.as_str()),
        None => true,
    }
}

fn object(bytes: Bytes, tag: &str, content_type: HeaderValue) -> Answer {
    let mut answer = written(tag);
    answer.headers_mut().insert(CONTENT_TYPE, content_type);
    answer.headers_mut().insert(LAST_MODIFIED, HeaderValue::from_static(DATE));
    *answer.body_mut() = Full::new(bytes);
    answer
}

fn written(tag: &str) -> Answer {
    let mut answer = status(StatusCode::OK);
    if let Ok(tag) = HeaderValue::from_str(tag) {
        answer.headers_mut().insert(ETAG, tag);
    }
    answer
}

fn text(document: &'static str) -> Answer {
    let mut answer = status(StatusCode::OK);
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/xml"));
    *answer.body_mut() = Full::from(document);
    answer
}

fn status(status: StatusCode) -> Answer {
    let mut answer = Response::new(Full::default());
    *answer.status_mut() = status;
    answer
}
