//! Number of bodies in progress, up and down. Bodies that are completely in memory, as small ones are, are not counted.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use crate::telemetry::{Kind, Metrics, Sample};

/// Counter of bodies in progress.
#[derive(Debug)]
pub struct Streams {
    up: Arc<AtomicU64>,
    down: Arc<AtomicU64>,
}

/// Guard of a body in progress.
#[derive(Debug)]
pub struct UnderWay(Arc<AtomicU64>);

impl Streams {
    /// Returns a new counter, registered with `metrics`.
    pub fn new(metrics: &Metrics) -> Self {
        let streams = Self { up: Arc::default(), down: Arc::default() };
        let shown = [("up", Arc::clone(&streams.up)), ("down", Arc::clone(&streams.down))];
        let help = "Bodies that are being received from clients (up) or sent to them (down), small ones aside.";
        metrics.watch("larder_streams", help, Kind::Gauge, move || {
            let sample = |(way, count): &(&str, Arc<AtomicU64>)| {
                Sample::labelled([("direction", way)], count.load(Ordering::Relaxed))
            };
            shown.iter().map(sample).collect()
        });
        streams
    }

    /// Counts an incoming body.
    pub fn up(&self) -> UnderWay {
        UnderWay::new(&self.up)
    }

    /// Counts an outgoing body.
    pub fn down(&self) -> UnderWay {
        UnderWay::new(&self.down)
    }
}

impl UnderWay {
    fn new(count: &Arc<AtomicU64>) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(count))
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
