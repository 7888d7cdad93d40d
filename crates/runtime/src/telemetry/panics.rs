//! Panics of the whole process: logged with their location, and counted.

use std::{
    panic,
    sync::atomic::{AtomicU64, Ordering},
};

use super::metrics::{Kind, Metrics, Sample};

/// Panics since the start of the process.
static COUNT: AtomicU64 = AtomicU64::new(0);

/// Installs a hook that logs every panic with its location, and counts it.
pub(super) fn log_and_count() {
    panic::set_hook(Box::new(|panic| {
        COUNT.fetch_add(1, Ordering::Relaxed);
        let message = panic.payload_as_str().unwrap_or("no message");
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        tracing::error!(place, "panic: {message}");
    }));
}

/// Shows the number of panics in `metrics`.
pub fn show(metrics: &Metrics) {
    let help = "Panics of requests, jobs and other tasks, each a defect; the log has their places.";
    metrics.watch("larder_panics_total", help, Kind::Counter, || vec![Sample::plain(COUNT.load(Ordering::Relaxed))]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_counted() {
        let count = || COUNT.load(Ordering::Relaxed);
        log_and_count();
        let before = count();
        assert!(panic::catch_unwind(|| panic!("on purpose")).is_err());
        let _ = panic::take_hook();
        assert!(count() > before);
        let metrics = Metrics::default();
        show(&metrics);
        assert!(metrics.render().contains("larder_panics_total"));
    }
}
