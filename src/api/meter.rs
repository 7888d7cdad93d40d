//! Metrics of requests: count by operation and status, and time to the beginning of the response.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use http::StatusCode;

use crate::telemetry::{Durations, Kind, Metrics, Sample};

use super::operation::Operation;

/// Statuses that are counted separately; all others are counted together.
const STATUSES: [u16; 26] = [
    200, 201, 204, 206, 304, 400, 401, 402, 403, 404, 405, 406, 408, 409, 410, 411, 412, 413, 415, 416, 429, 500, 502,
    503, 507, 508,
];

const OPERATIONS: usize = Operation::NAMES.len();

/// Counter of requests.
#[derive(Debug)]
pub struct Meter {
    counted: Arc<[OperationMeter; OPERATIONS]>,
    durations: [Durations; OPERATIONS],
}

/// Requests of one operation, by status.
#[derive(Debug, Default)]
struct OperationMeter {
    known: [AtomicU64; STATUSES.len()],
    other: AtomicU64,
}

impl Meter {
    /// Returns a new counter, registered with `metrics`.
    pub fn new(metrics: &Metrics) -> Self {
        let counted: Arc<[OperationMeter; OPERATIONS]> = Arc::new(std::array::from_fn(|_| OperationMeter::default()));
        let shown = Arc::clone(&counted);
        let help = "Requests of the API, by what was called and the status of the answer.";
        metrics.watch("larder_requests_total", help, Kind::Counter, move || samples(&shown));
        let help = "Time from a request's head to the beginning of its answer, by what was called.";
        let durations = metrics.durations("larder_request_duration_seconds", help, "operation", Operation::NAMES);
        Self { counted, durations }
    }

    /// Counts a completed request.
    pub fn count(&self, operation: Operation, status: StatusCode, took: Duration) {
        let OperationMeter { known, other } = &self.counted[operation as usize];
        let at = STATUSES.iter().position(|known| *known == status.as_u16());
        at.map_or(other, |at| &known[at]).fetch_add(1, Ordering::Relaxed);
        self.durations[operation as usize].observe(took);
    }
}

/// Returns the nonzero counts.
fn samples(counted: &[OperationMeter; OPERATIONS]) -> Vec<Sample> {
    let of_operation = |(name, meter): (&&'static str, &OperationMeter)| {
        let known = STATUSES.iter().zip(&meter.known).map(|(status, count)| (status.to_string(), count));
        let all = known.chain([("other".to_owned(), &meter.other)]);
        let counts = all.map(|(status, count)| (status, count.load(Ordering::Relaxed))).filter(|(_, count)| *count > 0);
        let sample = |(status, count): (String, u64)| {
            Sample::labelled([("operation", name), ("status", status.as_str())], count)
        };
        counts.map(sample).collect::<Vec<_>>()
    };
    Operation::NAMES.iter().zip(counted).flat_map(of_operation).collect()
}
