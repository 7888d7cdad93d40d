//! When jobs run.

use std::sync::Arc;

use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::clock::Clock;

use super::{
    job::{Job, Report},
    meter::JobMeter,
};

/// Runs `job` again and again until `stop`; a run that has begun ends first. The first run is after one interval.
pub fn schedule(
    job: Arc<dyn Job>,
    clock: Arc<dyn Clock>,
    meter: JobMeter,
    tasks: &TaskTracker,
    stop: CancellationToken,
) {
    meter.know(job.name());
    tasks.spawn(async move {
        while stop.run_until_cancelled(clock.sleep(job.interval())).await.is_some() {
            let outcome = job.run_once().await;
            meter.count(job.name(), &outcome);
            match outcome {
                Ok(Report { worked_on: 0 }) => {}
                Ok(Report { worked_on }) => tracing::debug!(job = job.name(), worked_on, "job done"),
                Err(error) => {
                    let error = &error as &dyn std::error::Error;
                    tracing::warn!(job = job.name(), error, "job failed, and will be tried again");
                }
            }
        }
    });
}
