//! Liveness and readiness of the gateway.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use async_trait::async_trait;
use http::{HeaderValue, Method, Response, StatusCode, header};
use serde::Serialize;
use serde_json::{Value, json};
use tokio::sync::Mutex;

use crate::{
    clock::{Clock, ClockGuard, SkewCorrectedClock, Suspension, Timestamp},
    jobs::{Job, JobReport},
    kv::{self, CheckError, Installation},
    server::DrainSignal,
    storage::{ObjectStore, embedded::FolderLost},
    telemetry::{MetricKind, Metrics, Sample},
};

/// Time for which a finding about the backend is fresh: frequent probes of an idle gateway must not all call it.
const RESULT_LIFETIME: Duration = Duration::from_secs(10);

/// The same for a problem: a recovered backend is used again soon.
const FAILURE_LIFETIME: Duration = Duration::from_secs(1);

/// Timeout for the one read of a check: hundreds of times its normal duration.
const READ_TIMEOUT: Duration = Duration::from_secs(5);

/// Answers `/health/live` and `/health/ready`.
#[derive(Debug)]
pub(super) struct Health {
    objects: Arc<dyn ObjectStore>,
    installation: Installation,
    clock: Arc<dyn Clock>,
    machine: Arc<dyn Clock>,
    guard: Arc<ClockGuard>,
    drain_signal: DrainSignal,
    last: Mutex<Option<Finding>>,
    /// The last finding, for metrics.
    is_ready: AtomicBool,
}

/// The finding of a check.
#[derive(Debug, Clone)]
struct Finding {
    at: Duration,
    /// Time since which checks have failed.
    unready_since: Option<Duration>,
    problem: Option<Problem>,
}

impl Finding {
    fn holds_for(&self) -> Duration {
        if self.problem.is_some() { FAILURE_LIFETIME } else { RESULT_LIFETIME }
    }
}

/// The reason why the gateway is not ready.
#[derive(Debug, Clone, Serialize)]
struct Problem {
    part: &'static str,
    message: String,
    /// The reason with all its causes, whose names are only for the log.
    #[serde(skip)]
    logged: String,
}

impl Problem {
    fn new(part: &'static str, message: impl Into<String>) -> Self {
        let message = message.into();
        Self { part, logged: message.clone(), message }
    }

    /// Describes a failed check. Clients see only causes that contain no names.
    fn of_storage(error: &CheckError) -> Self {
        let (mut logged, mut cause) = (error.to_string(), std::error::Error::source(error));
        let lost = cause.and_then(|cause| cause.downcast_ref::<FolderLost>());
        let message = lost.map_or_else(|| error.to_string(), FolderLost::to_string);
        while let Some(error) = cause {
            logged.push_str(": ");
            logged.push_str(&error.to_string());
            cause = error.source();
        }
        Self { part: "storage", message, logged }
    }
}

impl Health {
    /// Returns the health of a gateway that joined an `installation` in `objects` and uses one clock, on a machine
    /// with a clock of its own, until `drain_signal` begins.
    pub(super) fn new(
        objects: Arc<dyn ObjectStore>,
        installation: Installation,
        (clock, machine): (Arc<dyn Clock>, Arc<dyn Clock>),
        guard: Arc<ClockGuard>,
        drain_signal: DrainSignal,
    ) -> Self {
        Self {
            objects,
            installation,
            clock,
            machine,
            guard,
            drain_signal,
            last: Mutex::new(None),
            is_ready: AtomicBool::new(false),
        }
    }

    /// Returns whether the gateway is ready, by the last finding.
    pub(super) fn is_ready(&self) -> bool {
        self.is_ready.load(Relaxed) && !self.drain_signal.is_draining()
    }

    /// Checks whether the gateway is ready, unless the last finding is fresh.
    pub(super) async fn check(&self) {
        self.problem().await;
    }

    /// Answers a request for `path`; `None` if the path is not about health.
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
        // Reported, but no reason to route requests elsewhere.
        if let Some(Suspension { since, reason }) = self.guard.suspension() {
            body["deletionSuspended"] = json!({ "since": since, "reason": reason });
        }
        Some(reply(status, &body))
    }

    /// Returns the problem, if any, by a fresh finding. Concurrent callers share one check.
    async fn problem(&self) -> Option<Problem> {
        if self.drain_signal.is_draining() {
            return Some(Problem::new("gateway", "the gateway is shutting down"));
        }
        let mut last = self.last.lock().await;
        let now = self.clock.monotonic();
        if let Some(finding) = last.as_ref().filter(|finding| now.saturating_sub(finding.at) < finding.holds_for()) {
            return finding.problem.clone();
        }
        let storage = tokio::select! {
            checked = self.check_storage() => checked.err().map(|error| Problem::of_storage(&error)),
            () = self.clock.sleep(READ_TIMEOUT) => {
                let message = format!("the backend does not answer: no object was read within {READ_TIMEOUT:?}");
                Some(Problem::new("storage", message))
            }
        };
        let problem = storage.or_else(|| clock_problem(self.clock.now(), self.machine.now()));
        let at = self.clock.monotonic();
        let unready_since = last.as_ref().and_then(|finding| finding.unready_since);
        match (&problem, unready_since) {
            (Some(Problem { part, logged, .. }), None) => {
                tracing::error!(part, reason = logged, "readiness lost: the gateway is not ready to serve");
            }
            (None, Some(since)) => {
                let after_seconds = at.saturating_sub(since).as_secs();
                tracing::info!(after_seconds, "readiness restored: the gateway is ready to serve");
            }
            (Some(_), Some(_)) | (None, None) => {}
        }
        let unready_since = problem.as_ref().map(|_| unready_since.unwrap_or(at));
        self.is_ready.store(problem.is_none(), Relaxed);
        *last = Some(Finding { at, unready_since, problem: problem.clone() });
        problem
    }

    /// Checks the backend, and that its objects belong to the installation. One read.
    async fn check_storage(&self) -> Result<(), CheckError> {
        self.objects.check().await?;
        self.installation.check(self.objects.as_ref()).await
    }
}

/// Returns the problem with this machine's clock, if the backend has one of its own.
fn clock_problem(backend: Timestamp, machine: Timestamp) -> Option<Problem> {
    let apart = Duration::from_millis(backend.as_millis().abs_diff(machine.as_millis()));
    (apart > SkewCorrectedClock::MAX_SKEW).then(|| {
        let message = format!("the clock of this machine and that of the object store are {} s apart", apart.as_secs());
        Problem::new("clock", message)
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

/// Interval between two checks.
const CHECK_INTERVAL: Duration = Duration::from_secs(10);

/// A job that checks readiness even if no load balancer does: a lost installation must be detected while clients
/// write.
#[derive(Debug)]
pub(super) struct ReadinessCheck(Arc<Health>);

impl ReadinessCheck {
    /// Returns a job that checks `health`.
    pub(super) fn new(health: Arc<Health>) -> Self {
        Self(health)
    }
}

#[async_trait]
impl Job for ReadinessCheck {
    fn name(&self) -> &'static str {
        "readiness"
    }

    fn interval(&self) -> Duration {
        CHECK_INTERVAL
    }

    async fn run_once(&self) -> kv::Result<JobReport> {
        self.0.check().await;
        Ok(JobReport::default())
    }
}

/// Shows in `metrics` whether the gateway is ready.
pub(super) fn register_metrics(health: &Arc<Health>, metrics: &Metrics) {
    let health = Arc::clone(health);
    let help = "1 while the gateway is ready to serve, else 0; checked every ten seconds.";
    metrics.register("larder_ready", help, MetricKind::Gauge, move || vec![Sample::new(u64::from(health.is_ready()))]);
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use crate::{
        clock::{ManualClock, SeededRandom, Timestamp},
        jobs::Job,
        kv::SecretFingerprint,
        storage::{
            self, ByteStream, GetOptions, Operation, Precondition, PutOptions, in_memory::InMemoryStore,
            metrics_layer::MetricsLayer,
        },
    };
    use larder_test_kit::fault_injection::{Call, Fault, FaultInjector, Refusal};

    use super::{ReadinessCheck, *};

    struct Parts {
        clock: Arc<ManualClock>,
        memory: Arc<InMemoryStore>,
        faulty: Arc<FaultInjector<InMemoryStore>>,
        measured: Arc<MetricsLayer<FaultInjector<InMemoryStore>>>,
        installation: Installation,
        health: Health,
        drain_signal: DrainSignal,
    }

    struct Unnamed;

    impl SecretFingerprint for Unnamed {
        fn fingerprint(&self, _: &str) -> String {
            "00".to_owned()
        }
    }

    async fn parts() -> Parts {
        let clock = Arc::new(ManualClock::new(Timestamp::from_millis(0)));
        let memory = Arc::new(InMemoryStore::new(clock.clone()));
        let faulty = Arc::new(FaultInjector::new(memory.clone(), clock.clone()));
        let measured = Arc::new(MetricsLayer::new(Arc::clone(&faulty)));
        let installation = Installation::join(memory.as_ref(), &SeededRandom::new(1), &Unnamed, None).await;
        let installation = installation.expect("nothing stands in the way");
        let drain_signal = DrainSignal::default();
        let guard = Arc::new(ClockGuard::new(clock.clone(), clock.clone()));
        let clocks: (Arc<dyn Clock>, Arc<dyn Clock>) = (clock.clone(), clock.clone());
        let health = Health::new(measured.clone(), installation.clone(), clocks, guard, drain_signal.clone());
        Parts { clock, memory, faulty, measured, installation, health, drain_signal }
    }

    async fn ready(health: &Health) -> Response<String> {
        health.answer(&Method::GET, "/health/ready").await.expect("it is about health")
    }

    async fn is_unready(health: &Health, words: &str) {
        let answer = ready(health).await;
        assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert!(answer.body().contains(words) && !health.is_ready(), "{}", answer.body());
    }

    #[tokio::test]
    async fn a_backend_that_fails_is_named_and_asked_again_after_a_while() {
        let Parts { clock, faulty, measured, health, .. } = parts().await;
        faulty.inject(Call::default(), Fault::Refuse(Refusal::Unavailable));
        for _ in 0..100 {
            is_unready(&health, "storage").await;
        }
        clock.advance(RESULT_LIFETIME);
        assert_eq!(ready(&health).await.status(), StatusCode::OK);
        assert!(health.is_ready());
        assert_eq!(measured.counts().for_operation(Operation::Check).begun, 2);
        assert_eq!(
            measured.counts().for_operation(Operation::Get).begun,
            1,
            "one object is read for each check that goes so far"
        );
        assert_eq!(measured.counts().total(), 3);
    }

    #[tokio::test]
    async fn a_backend_that_does_not_answer_is_not_waited_for() {
        let Parts { clock, faulty, health, .. } = parts().await;
        faulty.inject(Call::default(), Fault::Delay(Duration::from_hours(1)));
        let moved = async {
            tokio::task::yield_now().await;
            clock.advance(READ_TIMEOUT);
        };
        tokio::join!(is_unready(&health, "does not answer"), moved);
    }

    #[tokio::test]
    async fn a_draining_gateway_is_not_ready_at_once_and_keeps_serving() {
        let Parts { health, drain_signal, .. } = parts().await;
        assert_eq!(ready(&health).await.status(), StatusCode::OK);
        drain_signal.begin();
        is_unready(&health, "shutting down").await;
        let live = health.answer(&Method::GET, "/health/live").await.expect("it is about health");
        assert_eq!(live.status(), StatusCode::OK);
    }

    #[tokio::test]
    async fn a_machine_whose_clock_is_wrong_is_not_ready() {
        for (apart, status) in [(60, StatusCode::OK), (61, StatusCode::SERVICE_UNAVAILABLE)] {
            let Parts { clock, measured, installation, .. } = parts().await;
            let machine = Arc::new(ManualClock::new(clock.now().plus(Duration::from_secs(apart))));
            let guard = Arc::new(ClockGuard::new(clock.clone(), machine.clone()));
            let answer =
                ready(&Health::new(measured, installation, (clock, machine), guard, DrainSignal::default())).await;
            assert_eq!(answer.status(), status);
            assert_eq!(answer.body().contains("are 61 s apart"), apart == 61, "{}", answer.body());
        }
    }

    #[tokio::test]
    async fn suspended_deletions_are_reported_and_leave_the_gateway_ready() {
        let Parts { clock, health, .. } = parts().await;
        assert!(!ready(&health).await.body().contains("deletionSuspended"));
        clock.jump(61_000);
        let answer = ready(&health).await;
        assert_eq!(answer.status(), StatusCode::OK);
        assert!(answer.body().contains("jumped forward by 61 s"), "{}", answer.body());
    }

    #[tokio::test]
    async fn slow_lists_and_failing_writes_leave_the_gateway_ready() {
        let Parts { clock, faulty, health, .. } = parts().await;
        for operation in [Operation::List, Operation::Put, Operation::Head] {
            let call = Call { operation: Some(operation), ..Call::default() };
            faulty.inject(call, Fault::Delay(Duration::from_hours(1)));
        }
        clock.advance(RESULT_LIFETIME);
        assert_eq!(ready(&health).await.status(), StatusCode::OK);
    }

    #[tokio::test]
    async fn an_installation_whose_objects_are_gone_is_fenced_off_until_they_are_back() {
        let Parts { clock, memory, installation, health, .. } = parts().await;
        let fenced = installation.fenced(memory.clone());
        let format = "larder/format";
        let object = memory.get(format, GetOptions::default()).await.expect("it is there");
        let bytes = object.body.into_bytes(1024).await.expect("it is whole");
        let put = async |text: &Bytes| {
            memory.put(format, ByteStream::from(text.clone()), PutOptions::default()).await.expect("it is stored");
        };
        let other = String::from_utf8_lossy(&bytes).replace(r#"Fingerprint":"00"#, r#"Fingerprint":"11"#).into();
        let strange = Bytes::from(r#"{"format":1,"usableFrom":1,"writtenBy":"1.2.3","installation":"strange"}"#);
        let newer = Bytes::from(r#"{"format":99,"usableFrom":99,"writtenBy":"9.8.7"}"#);
        let cases = [
            (None, "larder/format is missing", false),
            (Some(Bytes::from("[]")), "is damaged", false),
            (Some(strange), "another installation (strange", false),
            (Some(other), "LARDER_SECRET is 00 here, and 11", true),
            (Some(newer), "start Larder 9.8.7", true),
        ];
        for (replacement, words, reads) in cases {
            match replacement {
                Some(text) => put(&text).await,
                None => memory.delete(format, Precondition::None).await.expect("it is deleted"),
            }
            clock.advance(RESULT_LIFETIME);
            is_unready(&health, words).await;
            let write = fenced.put("k", ByteStream::from(Bytes::from("v")), PutOptions::default()).await;
            assert!(matches!(write, Err(storage::Error::Fenced(_))), "{words}: {write:?}");
            assert_eq!(!matches!(fenced.head("k").await, Err(storage::Error::Fenced(_))), reads, "{words}");
            put(&bytes).await;
            clock.advance(RESULT_LIFETIME);
            assert_eq!(ready(&health).await.status(), StatusCode::OK);
            fenced.delete("k", Precondition::None).await.expect("the fence is lowered");
        }
    }

    #[tokio::test]
    async fn living_needs_no_backend_and_health_is_only_read() {
        let Parts { faulty, measured, health, .. } = parts().await;
        faulty.inject(Call::default(), Fault::Refuse(Refusal::Unavailable));
        let live = health.answer(&Method::HEAD, "/health/live").await.expect("it is about health");
        assert_eq!(live.status(), StatusCode::OK);
        let post = health.answer(&Method::POST, "/health/ready").await.expect("it is about health");
        assert_eq!(post.status(), StatusCode::METHOD_NOT_ALLOWED);
        assert!(health.answer(&Method::GET, "/v2/health/live").await.is_none());
        assert_eq!(measured.counts().total(), 0);
    }

    #[tokio::test]
    async fn objects_that_are_gone_are_noticed_where_no_balancer_asks() {
        let Parts { clock, memory, installation, health, .. } = parts().await;
        let (health, fenced) = (Arc::new(health), installation.fenced(memory.clone()));
        let job = ReadinessCheck::new(Arc::clone(&health));
        job.run_once().await.expect("it never fails");
        assert!(health.is_ready());
        memory.delete("larder/format", Precondition::None).await.expect("it is deleted");
        clock.advance(job.interval());
        job.run_once().await.expect("it never fails");
        assert!(!health.is_ready());
        assert!(matches!(fenced.head("k").await, Err(storage::Error::Fenced(_))));
    }
}
