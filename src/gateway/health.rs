//! Whether the gateway lives, and whether it is ready to serve.

use std::{sync::Arc, time::Duration};

use http::{HeaderValue, Method, Response, StatusCode, header};
use serde_json::{Value, json};
use tokio::sync::Mutex;

use crate::{clock::Clock, storage::ObjectStore};

/// How long an answer about the backend holds: an idle gateway that is probed every second must not call it each time.
const FRESH: Duration = Duration::from_secs(10);

/// How long the backend may take before it counts as not ready.
const PATIENCE: Duration = Duration::from_secs(5);

/// Answers `/health/live` and `/health/ready`.
#[derive(Debug)]
pub(super) struct Health {
    objects: Arc<dyn ObjectStore>,
    clock: Arc<dyn Clock>,
    last: Mutex<Option<Finding>>,
}

/// What a check found.
#[derive(Debug, Clone)]
struct Finding {
    at: Duration,
    problem: Option<String>,
}

impl Health {
    pub(super) fn new(objects: Arc<dyn ObjectStore>, clock: Arc<dyn Clock>) -> Self {
        Self { objects, clock, last: Mutex::new(None) }
    }

    /// The answer to a request for `path`, or `None` if that is not about health.
    pub(super) async fn answer(&self, method: &Method, path: &str) -> Option<Response<String>> {
        let is_about_readiness = match path {
            "/health/live" => false,
            "/health/ready" => true,
            _ => return None,
        };
        if method != Method::GET && method != Method::HEAD {
            let mut refusal = reply(StatusCode::METHOD_NOT_ALLOWED, &json!({ "status": "method not allowed" }));
            refusal.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET, HEAD"));
            return Some(refusal);
        }
        if !is_about_readiness {
            return Some(reply(StatusCode::OK, &json!({ "status": "live" })));
        }
        Some(match self.problem().await {
            None => reply(StatusCode::OK, &json!({ "status": "ready" })),
            Some(problem) => reply(
                StatusCode::SERVICE_UNAVAILABLE,
                &json!({ "status": "not ready", "problems": [{ "part": "storage", "message": problem }] }),
            ),
        })
    }

    /// What is wrong with the backend, by the last check if that is fresh. Of many who ask at once, one checks.
    async fn problem(&self) -> Option<String> {
        let mut last = self.last.lock().await;
        let now = self.clock.monotonic();
        if let Some(finding) = last.as_ref().filter(|finding| now.saturating_sub(finding.at) < FRESH) {
            return finding.problem.clone();
        }
        let problem = tokio::select! {
            checked = self.objects.check() => checked.err().map(|error| {
                tracing::warn!(error = &error as &dyn std::error::Error, "the backend is not ready");
                error.to_string()
            }),
            () = self.clock.sleep(PATIENCE) => Some("the backend does not answer".to_owned()),
        };
        *last = Some(Finding { at: self.clock.monotonic(), problem: problem.clone() });
        problem
    }
}

fn reply(status: StatusCode, body: &Value) -> Response<String> {
    let mut reply = Response::new(format!("{body}\n"));
    *reply.status_mut() = status;
    let headers = reply.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json; charset=utf-8"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    reply
}
