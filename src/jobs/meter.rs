//! Metrics of jobs: runs, failures, and items worked on.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use crate::{
    kv,
    telemetry::{Kind, Metrics, Sample},
};

use super::job::Report;

/// The label that names a job. Prometheus reserves a label `job`, and would rename this one.
const LABEL: &str = "work";

/// Counts runs of jobs.
#[derive(Debug, Clone, Default)]
pub struct JobMeter {
    counted: Arc<Mutex<BTreeMap<&'static str, Counts>>>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Counts {
    succeeded: u64,
    failed: u64,
    panicked: u64,
    worked_on: u64,
}

impl JobMeter {
    /// Returns zero counters that `metrics` shows.
    pub fn new(metrics: &Metrics) -> Self {
        let meter = Self::default();
        let (runs, things) = (meter.clone(), meter.clone());
        let help = "Runs of jobs, by job and outcome; what failed is tried again by the next run.";
        metrics.watch("larder_job_runs_total", help, Kind::Counter, move || {
            runs.samples(|job, counts| {
                let of = |outcome, count| Sample::labelled([(LABEL, job), ("outcome", outcome)], count);
                vec![of("succeeded", counts.succeeded), of("failed", counts.failed), of("panicked", counts.panicked)]
            })
        });
        let help = "Things that jobs worked on: stores, places, runs, tokens, whatever they look after.";
        metrics.watch("larder_job_things_total", help, Kind::Counter, move || {
            things.samples(|job, counts| vec![Sample::labelled([(LABEL, job)], counts.worked_on)])
        });
        meter
    }

    /// Registers a job, so it is shown before its first run.
    pub fn know(&self, job: &'static str) {
        self.counted.lock().unwrap_or_else(PoisonError::into_inner).entry(job).or_default();
    }

    /// Counts a run of a job.
    pub fn count(&self, job: &'static str, outcome: &kv::Result<Report>) {
        let mut counted = self.counted.lock().unwrap_or_else(PoisonError::into_inner);
        let counts = counted.entry(job).or_default();
        match outcome {
            Ok(Report { worked_on }) => {
                counts.succeeded += 1;
                counts.worked_on += *worked_on as u64;
            }
            Err(_) => counts.failed += 1,
        }
    }

    /// Counts a panic in a run of a job.
    pub fn count_panic(&self, job: &'static str) {
        self.counted.lock().unwrap_or_else(PoisonError::into_inner).entry(job).or_default().panicked += 1;
    }

    fn samples(&self, of: impl Fn(&'static str, Counts) -> Vec<Sample>) -> Vec<Sample> {
        let counted = self.counted.lock().unwrap_or_else(PoisonError::into_inner);
        counted.iter().flat_map(|(job, counts)| of(job, *counts)).collect()
    }
}
