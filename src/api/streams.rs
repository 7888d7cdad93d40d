//! How many bodies are under way, up and down. Those that are in memory as a whole, as small ones are, are not counted.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use crate::telemetry::{Kind, Metrics, Sample};

/// Counts bodies under way.
#[derive(Debug)]
pub struct Streams {
    up: Arc<AtomicU64>,
    down: Arc<AtomicU64>,
}

/// A body under way, until this is dropped.
#[derive(Debug)]
pub struct UnderWay(Arc<AtomicU64>);

impl Streams {
    /// Nothing is under way yet; what will be, `metrics` shows.
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

    /// A body comes in.
    pub fn up(&self) -> UnderWay {
        UnderWay::new(&self.up)
    }

    /// A body goes out.
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
