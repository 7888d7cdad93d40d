//! The guard over the wall clock, with the record that outlives processes and the figures that tell of it.

use std::sync::Arc;

use crate::{
    clock::{Clock, ClockGuard},
    kv::ClockRecords,
    storage::ObjectStore,
    telemetry::{Kind, Metrics, Sample},
};

use super::error::StartError;

/// Returns the record in `objects` of the time by `clock`, on a machine whose own clock is `machine`. Shows in `metrics`
/// whether deletions are suspended. A gateway that is no writer leaves the record to others.
pub(super) async fn open(
    objects: &Arc<dyn ObjectStore>,
    clock: &Arc<dyn Clock>,
    machine: &Arc<dyn Clock>,
    is_writer: bool,
    metrics: &Metrics,
) -> Result<Arc<ClockRecords>, StartError> {
    let guard = Arc::new(ClockGuard::new(Arc::clone(clock), Arc::clone(machine)));
    show(&guard, metrics);
    let records = ClockRecords::open(Arc::clone(objects), guard, is_writer).await;
    records.map(Arc::new).map_err(StartError::ClockRecord)
}

fn show(guard: &Arc<ClockGuard>, metrics: &Metrics) {
    let suspended = Arc::clone(guard);
    let help = "Whether deletions by time are suspended, because the wall clock is in doubt.";
    metrics.watch("larder_deletion_suspended", help, Kind::Gauge, move || {
        vec![Sample::plain(u64::from(suspended.suspension().is_some()))]
    });
    let since = Arc::clone(guard);
    let help = "Unix time since which deletions by time are suspended; 0 while they are not.";
    metrics.watch("larder_deletion_suspended_since_timestamp_seconds", help, Kind::Gauge, move || {
        let seconds = |millis: i64| u64::try_from(millis / 1000).unwrap_or_default();
        vec![Sample::plain(since.suspension().map_or(0, |held| seconds(held.since.as_millis())))]
    });
    let uptime = Arc::clone(guard);
    let help = "Accumulated running time of the installation, over all processes.";
    metrics.watch("larder_installation_uptime_seconds_total", help, Kind::Counter, move || {
        vec![Sample::plain(uptime.uptime().as_secs())]
    });
}
