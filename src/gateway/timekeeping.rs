//! The guard over the wall clock, with its persistent record and its metrics.

use std::sync::Arc;

use crate::{
    clock::{Clock, ClockGuard},
    kv::ClockRecords,
    storage::ObjectStore,
    telemetry::{Kind, Metrics, Sample},
};

use super::error::StartError;

/// Returns the clock record in `objects` by `clock`, on a machine whose own clock is `machine`. Shows in `metrics`
/// whether deletions are suspended. A gateway that is not a writer leaves the record to others.
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{ManualClock, Timestamp};

    #[test]
    fn suspended_deletions_are_shown_with_their_begin() {
        let clock = Arc::new(ManualClock::new(Timestamp::from_millis(1_767_225_600_000)));
        let (guard, metrics) = (Arc::new(ClockGuard::new(clock.clone(), clock.clone())), Metrics::default());
        show(&guard, &metrics);
        let shown = |state: &str, since: &str| {
            let text = metrics.render();
            for line in [
                format!("larder_deletion_suspended {state}"),
                format!("larder_deletion_suspended_since_timestamp_seconds {since}"),
            ] {
                assert!(text.lines().any(|shown| shown == line), "{line} is not in\n{text}");
            }
        };
        shown("0", "0");
        clock.jump(61_000);
        shown("1", "1767225661");
        guard.confirm();
        shown("0", "0");
    }
}
