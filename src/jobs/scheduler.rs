//! The interface of periodic jobs, their scheduling, and the metrics of their runs.

use std::{collections::BTreeMap, fmt::Debug, panic::AssertUnwindSafe, sync::Arc, time::Duration};

use async_trait::async_trait;
use futures_util::FutureExt;
use parking_lot::Mutex;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    clock::Clock,
    kv,
    storage::in_background,
    telemetry::{MetricKind, Metrics, Sample},
};

/// Time that a running job has to finish after the stop. A longer one waits for an object store that does not
/// respond.
const STOP_GRACE_PERIOD: Duration = Duration::from_secs(5);

/// Runs `job` repeatedly until `stop`. The first run is after one interval. At the stop, a run in progress has
/// [`STOP_GRACE_PERIOD`] to finish; then it is dropped, which leaves the state that a crash at that moment would leave. A
/// panicking run is counted, and the job runs again after its interval; the panic hook of the process logs the panic
/// with its location. Runs yield to requests.
pub fn schedule(
    job: Arc<dyn Job>,
    clock: Arc<dyn Clock>,
    meter: JobMetrics,
    tasks: &TaskTracker,
    stop: CancellationToken,
) {
    meter.register(job.name());
    tasks.spawn(async move {
        while stop.run_until_cancelled(clock.sleep(job.interval())).await.is_some() {
            // Jobs keep their state in the object store and under locks that survive a panic.
            let grace_is_over = async {
                stop.cancelled().await;
                clock.sleep(STOP_GRACE_PERIOD).await;
            };
            let ended = tokio::select! {
                biased;
                ended = AssertUnwindSafe(in_background(job.run_once())).catch_unwind() => ended,
                () = grace_is_over => {
                    tracing::warn!(job = job.name(), "job did not finish in time and was cancelled");
                    break;
                }
            };
            let Ok(outcome) = ended else {
                meter.count_panic(job.name());
                tracing::error!(job = job.name(), "job panicked, and will run again");
                continue;
            };
            meter.count(job.name(), &outcome);
            match outcome {
                Ok(JobReport { processed: 0 }) => {}
                Ok(JobReport { processed }) => tracing::debug!(job = job.name(), processed, "job done"),
                Err(error) => {
                    let error = &error as &dyn std::error::Error;
                    tracing::warn!(job = job.name(), error, "job failed, and will be tried again");
                }
            }
        }
    });
}

/// Result of a run of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct JobReport {
    /// Number of items it worked on; usually zero.
    pub processed: usize,
}

/// A periodic job.
#[async_trait]
pub trait Job: Debug + Send + Sync + 'static {
    /// The job's name in logs.
    fn name(&self) -> &'static str;

    /// Time from the end of one run to the beginning of the next.
    fn interval(&self) -> Duration;

    /// Runs the job once. The next run retries failures; concurrent runs are harmless.
    async fn run_once(&self) -> kv::Result<JobReport>;
}

/// The label that names a job. Prometheus reserves a label `job`, and would rename this one.
const LABEL: &str = "task";

/// Counts runs of jobs.
#[derive(Debug, Clone, Default)]
pub struct JobMetrics {
    counted: Arc<Mutex<BTreeMap<&'static str, Counts>>>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Counts {
    succeeded: u64,
    failed: u64,
    panicked: u64,
    processed: u64,
}

impl JobMetrics {
    /// Returns zero counters that `metrics` shows.
    pub fn new(metrics: &Metrics) -> Self {
        let meter = Self::default();
        let (runs, items) = (meter.clone(), meter.clone());
        let help = "Total number of runs of background jobs, by task and outcome.";
        metrics.register("larder_job_runs_total", help, MetricKind::Counter, move || {
            runs.samples(|job, counts| {
                let of = |outcome, count| Sample::with_labels([(LABEL, job), ("outcome", outcome)], count);
                vec![of("succeeded", counts.succeeded), of("failed", counts.failed), of("panicked", counts.panicked)]
            })
        });
        let help = "Total number of items that background jobs processed, by task.";
        metrics.register("larder_job_items_total", help, MetricKind::Counter, move || {
            items.samples(|job, counts| vec![Sample::with_labels([(LABEL, job)], counts.processed)])
        });
        meter
    }

    /// Registers a job, so it is shown before its first run.
    pub fn register(&self, job: &'static str) {
        self.counted.lock().entry(job).or_default();
    }

    /// Counts a run of a job.
    pub fn count(&self, job: &'static str, outcome: &kv::Result<JobReport>) {
        let mut counted = self.counted.lock();
        let counts = counted.entry(job).or_default();
        match outcome {
            Ok(JobReport { processed }) => {
                counts.succeeded += 1;
                counts.processed += *processed as u64;
            }
            Err(_) => counts.failed += 1,
        }
    }

    /// Counts a panic in a run of a job.
    pub fn count_panic(&self, job: &'static str) {
        self.counted.lock().entry(job).or_default().panicked += 1;
    }

    fn samples(&self, of: impl Fn(&'static str, Counts) -> Vec<Sample>) -> Vec<Sample> {
        let counted = self.counted.lock();
        counted.iter().flat_map(|(job, counts)| of(job, *counts)).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::{
        sync::atomic::{AtomicUsize, Ordering},
        time::Duration,
    };

    use async_trait::async_trait;

    use crate::{
        clock::{ManualClock, Timestamp},
        kv,
        telemetry::Metrics,
    };

    use super::*;

    const INTERVAL: Duration = Duration::from_secs(15);

    #[derive(Debug)]
    struct Counted {
        name: &'static str,
        runs: AtomicUsize,
        panics_at: Option<usize>,
    }

    impl Counted {
        fn new(name: &'static str, panics_at: Option<usize>) -> Arc<Self> {
            Arc::new(Self { name, runs: AtomicUsize::new(0), panics_at })
        }

        fn runs(&self) -> usize {
            self.runs.load(Ordering::SeqCst)
        }
    }

    #[async_trait]
    impl Job for Counted {
        fn name(&self) -> &'static str {
            self.name
        }

        fn interval(&self) -> Duration {
            INTERVAL
        }

        async fn run_once(&self) -> kv::Result<JobReport> {
            let run = self.runs.fetch_add(1, Ordering::SeqCst);
            assert_ne!(self.panics_at, Some(run), "a job that panics");
            Ok(JobReport { processed: 1 })
        }
    }

    /// A job whose runs never end.
    #[derive(Debug, Default)]
    struct Stuck {
        has_begun: AtomicUsize,
    }

    #[async_trait]
    impl Job for Stuck {
        fn name(&self) -> &'static str {
            "stuck"
        }

        fn interval(&self) -> Duration {
            INTERVAL
        }

        async fn run_once(&self) -> kv::Result<JobReport> {
            self.has_begun.store(1, Ordering::SeqCst);
            std::future::pending().await
        }
    }

    #[tokio::test]
    async fn a_job_that_does_not_end_is_cut_off_after_the_grace() {
        let clock = Arc::new(ManualClock::new(Timestamp::from_millis(0)));
        let (job, tasks, stop) = (Arc::<Stuck>::default(), TaskTracker::new(), CancellationToken::new());
        schedule(job.clone(), clock.clone(), JobMetrics::new(&Metrics::default()), &tasks, stop.clone());
        while job.has_begun.load(Ordering::SeqCst) == 0 {
            tokio::task::yield_now().await;
            clock.advance(INTERVAL);
        }
        stop.cancel();
        tasks.close();
        for _ in 0..100 {
            tokio::task::yield_now().await;
            clock.advance(STOP_GRACE_PERIOD / 200);
        }
        assert!(!tasks.is_empty(), "the job was cut off too early");
        while !tasks.is_empty() {
            tokio::task::yield_now().await;
            clock.advance(STOP_GRACE_PERIOD / 200);
        }
    }

    #[tokio::test]
    async fn a_job_that_panics_is_counted_and_runs_again_beside_the_others() {
        let clock = Arc::new(ManualClock::new(Timestamp::from_millis(0)));
        let metrics = Metrics::default();
        let (meter, tasks, stop) = (JobMetrics::new(&metrics), TaskTracker::new(), CancellationToken::new());
        let (bad, good) = (Counted::new("bad", Some(0)), Counted::new("good", None));
        for job in [bad.clone(), good.clone()] {
            schedule(job, clock.clone(), meter.clone(), &tasks, stop.clone());
        }
        while bad.runs() < 3 || good.runs() < 3 {
            tokio::task::yield_now().await;
            clock.advance(INTERVAL);
        }
        stop.cancel();
        clock.advance(INTERVAL);
        tasks.close();
        tasks.wait().await;
        let shown = metrics.render();
        let panicked = |job: &str, count: u64| {
            let line = format!("larder_job_runs_total{{task=\"{job}\",outcome=\"panicked\"}} {count}");
            shown.lines().any(|found| found == line)
        };
        assert!(panicked("bad", 1) && panicked("good", 0), "{shown}");
    }
}
