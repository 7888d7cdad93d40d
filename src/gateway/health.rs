//! Whether the gateway lives, and whether it is ready to serve.

use std::{sync::Arc, time::Duration};

use http::{HeaderValue, Method, Response, StatusCode, header};
use serde::Serialize;
use serde_json::{Value, json};
use tokio::sync::Mutex;

use crate::{
    clock::{AdjustedClock, Clock, ClockGuard, Suspension, Timestamp},
    server::Leaving,
    storage::{self, ObjectStore, embedded::FolderLost},
};

/// How long an answer about the backend holds: an idle gateway that is probed every second must not call it each time.
const FRESH: Duration = Duration::from_secs(10);

/// How long the backend may take before it counts as not ready.
const PATIENCE: Duration = Duration::from_secs(5);

/// Answers `/health/live` and `/health/ready`.
#[derive(Debug)]
pub(super) struct Health {
    objects: Arc<dyn ObjectStore>,
    clock: Arc<dyn Clock>,
    machine: Arc<dyn Clock>,
    guard: Arc<ClockGuard>,
    leaving: Leaving,
    last: Mutex<Option<Finding>>,
}

/// What a check found.
#[derive(Debug, Clone)]
struct Finding {
    at: Duration,
    problem: Option<Problem>,
}

/// Why the gateway is not ready.
#[derive(Debug, Clone, Serialize)]
struct Problem {
    part: &'static str,
    message: String,
}

impl Health {
    /// The health of what keeps `objects` and goes by one clock, on a machine with a clock of its own, until it is `leaving`.
    pub(super) fn new(
        objects: Arc<dyn ObjectStore>,
        (clock, machine): (Arc<dyn Clock>, Arc<dyn Clock>),
        guard: Arc<ClockGuard>,
        leaving: Leaving,
    ) -> Self {
        Self { objects, clock, machine, guard, leaving, last: Mutex::new(None) }
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
        let (status, mut body) = match self.problem().await {
            None => (StatusCode::OK, json!({ "status": "ready" })),
            Some(problem) => (StatusCode::SERVICE_UNAVAILABLE, json!({ "status": "not ready", "problems": [problem] })),
        };
        // Told, and no reason to send requests elsewhere.
        if let Some(Suspension { since, reason }) = self.guard.suspension() {
            body["deletionSuspended"] = json!({ "since": since, "reason": reason });
        }
        Some(reply(status, &body))
    }

    /// What is wrong with the backend, by the last check if that is fresh. Of many who ask at once, one checks.
    async fn problem(&self) -> Option<Problem> {
        if self.leaving.is_announced() {
            return Some(Problem { part: "gateway", message: "it was told to stop".to_owned() });
        }
        let mut last = self.last.lock().await;
        let now = self.clock.monotonic();
        if let Some(finding) = last.as_ref().filter(|finding| now.saturating_sub(finding.at) < FRESH) {
            return finding.problem.clone();
        }
        let storage = tokio::select! {
            checked = self.objects.check() => checked.err().map(|error| {
                tracing::warn!(error = &error as &dyn std::error::Error, "the backend is not ready");
                words_for(&error)
            }),
            () = self.clock.sleep(PATIENCE) => Some("the backend does not answer".to_owned()),
        };
        let storage = storage.map(|message| Problem { part: "storage", message });
        let problem = storage.or_else(|| clock_problem(self.clock.now(), self.machine.now()));
        *last = Some(Finding { at: self.clock.monotonic(), problem: problem.clone() });
        problem
    }
}

/// What anybody may be told of a backend that is not ready. Causes have names in them that are for the log alone, but for this one.
fn words_for(error: &storage::Error) -> String {
    let lost = std::error::Error::source(error).and_then(|cause| cause.downcast_ref::<FolderLost>());
    lost.map_or_else(|| error.to_string(), FolderLost::to_string)
}

/// What is wrong with the time of this machine, if the backend has another one.
fn clock_problem(backend: Timestamp, machine: Timestamp) -> Option<Problem> {
    let apart = Duration::from_millis(backend.as_millis().abs_diff(machine.as_millis()));
    (apart > AdjustedClock::TOLERATED).then(|| {
        let message = format!("the clock of this machine and that of the object store are {} s apart", apart.as_secs());
        tracing::warn!(message);
        Problem { part: "clock", message }
    })
}

fn reply(status: StatusCode, body: &Value) -> Response<String> {
    let mut reply = Response::new(format!("{body}\n"));
    *reply.status_mut() = status;
    let headers = reply.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json; charset=utf-8"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    reply
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        clock::{ManualClock, Timestamp},
        storage::{
            Operation,
            faulty::{Call, Fault, Faulty, Refusal},
            measured::Measured,
            memory::MemoryStore,
        },
    };

    struct Parts {
        clock: Arc<ManualClock>,
        faulty: Arc<Faulty<MemoryStore>>,
        measured: Arc<Measured<Faulty<MemoryStore>>>,
        health: Health,
        leaving: Leaving,
    }

    fn parts() -> Parts {
        let clock = Arc::new(ManualClock::new(Timestamp::from_millis(0)));
        let memory = Arc::new(MemoryStore::new(clock.clone()));
        let faulty = Arc::new(Faulty::new(memory, clock.clone()));
        let measured = Arc::new(Measured::new(Arc::clone(&faulty)));
        let leaving = Leaving::default();
        let guard = Arc::new(ClockGuard::new(clock.clone(), clock.clone()));
        let clocks: (Arc<dyn Clock>, Arc<dyn Clock>) = (clock.clone(), clock.clone());
        let health = Health::new(measured.clone(), clocks, guard, leaving.clone());
        Parts { clock, faulty, measured, health, leaving }
    }

    async fn ready(health: &Health) -> Response<String> {
        health.answer(&Method::GET, "/health/ready").await.expect("it is about health")
    }

    #[tokio::test]
    async fn a_backend_that_fails_is_named_and_asked_again_after_a_while() {
        let Parts { clock, faulty, measured, health, .. } = parts();
        faulty.disturb(Call::default(), Fault::Refuse(Refusal::Unavailable));
        for _ in 0..100 {
            let answer = ready(&health).await;
            assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
            assert!(answer.body().contains("storage"), "{}", answer.body());
        }
        clock.advance(FRESH);
        assert_eq!(ready(&health).await.status(), StatusCode::OK);
        assert_eq!(measured.counts().of(Operation::Check).begun, 2);
        assert_eq!(measured.counts().total(), 2);
    }

    #[tokio::test]
    async fn a_backend_that_does_not_answer_is_not_waited_for() {
        let Parts { clock, faulty, health, .. } = parts();
        faulty.disturb(Call::default(), Fault::Delay(Duration::from_hours(1)));
        let asked = async { ready(&health).await };
        let moved = async {
            tokio::task::yield_now().await;
            clock.advance(PATIENCE);
        };
        let (answer, ()) = tokio::join!(asked, moved);
        assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert!(answer.body().contains("does not answer"), "{}", answer.body());
    }

    #[tokio::test]
    async fn whoever_is_told_to_stop_is_not_ready_at_once_and_lives_on() {
        let Parts { health, leaving, .. } = parts();
        assert_eq!(ready(&health).await.status(), StatusCode::OK);
        leaving.announce();
        let answer = ready(&health).await;
        assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert!(answer.body().contains("told to stop"), "{}", answer.body());
        let live = health.answer(&Method::GET, "/health/live").await.expect("it is about health");
        assert_eq!(live.status(), StatusCode::OK);
    }

    #[tokio::test]
    async fn a_machine_whose_clock_is_wrong_is_not_ready() {
        for (apart, status) in [(60, StatusCode::OK), (61, StatusCode::SERVICE_UNAVAILABLE)] {
            let Parts { clock, measured, .. } = parts();
            let machine = Arc::new(ManualClock::new(clock.now().plus(Duration::from_secs(apart))));
            let guard = Arc::new(ClockGuard::new(clock.clone(), machine.clone()));
            let answer = ready(&Health::new(measured, (clock, machine), guard, Leaving::default())).await;
            assert_eq!(answer.status(), status);
            assert_eq!(answer.body().contains("are 61 s apart"), apart == 61, "{}", answer.body());
        }
    }

    #[tokio::test]
    async fn suspended_deletions_are_told_and_leave_the_gateway_ready() {
        let Parts { clock, health, .. } = parts();
        assert!(!ready(&health).await.body().contains("deletionSuspended"));
        clock.jump(61_000);
        let answer = ready(&health).await;
        assert_eq!(answer.status(), StatusCode::OK);
        assert!(answer.body().contains("jumped forward by 61 s"), "{}", answer.body());
    }

    #[tokio::test]
    async fn living_needs_no_backend_and_health_is_only_read() {
        let Parts { faulty, measured, health, .. } = parts();
        faulty.disturb(Call::default(), Fault::Refuse(Refusal::Unavailable));
        let live = health.answer(&Method::HEAD, "/health/live").await.expect("it is about health");
        assert_eq!(live.status(), StatusCode::OK);
        let post = health.answer(&Method::POST, "/health/ready").await.expect("it is about health");
        assert_eq!(post.status(), StatusCode::METHOD_NOT_ALLOWED);
        assert!(health.answer(&Method::GET, "/v2/health/live").await.is_none());
        assert_eq!(measured.counts().total(), 0);
    }
}
