//! Metrics in the Prometheus format.
//!
//! Each module holds its own counters and registers a reader for them. This module holds only histograms of durations.
//! No label takes its values from outside, so the number of series does not depend on the number of stores, users or
//! keys.

use std::{fmt, time::Duration};

use prometheus::{
    Encoder, Histogram, HistogramOpts, HistogramVec, Registry, TextEncoder,
    core::{Collector, Desc},
    proto::{Counter, Gauge, LabelPair, Metric, MetricFamily, MetricType},
};

/// Upper bounds of the duration buckets in seconds: from a cached response to the timeouts of clients.
const DURATION_BUCKETS: [f64; 14] =
    [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 60.0];

/// The registry of all metrics.
#[derive(Debug, Clone, Default)]
pub struct Metrics {
    registry: Registry,
}

/// Type of a metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MetricKind {
    /// Monotonically increasing until the process ends.
    Counter,
    /// Goes up and down.
    Gauge,
}

/// A value of a metric, with its label values.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    labels: Vec<(&'static str, String)>,
    value: f64,
}

impl Sample {
    /// Returns a value without labels.
    pub fn new(value: u64) -> Self {
        Self::with_labels([], value)
    }

    /// Returns a value with labels.
    pub fn with_labels<const N: usize>(labels: [(&'static str, &str); N], value: u64) -> Self {
        #[expect(clippy::cast_precision_loss, reason = "Prometheus knows no other numbers")]
        let value = value as f64;
        Self { labels: labels.map(|(name, value)| (name, value.to_owned())).into(), value }
    }
}

/// A histogram of durations.
#[derive(Debug, Clone)]
pub struct DurationHistogram(Histogram);

impl DurationHistogram {
    /// Records a duration.
    pub fn observe(&self, duration: Duration) {
        self.0.observe(duration.as_secs_f64());
    }
}

impl Metrics {
    /// Returns a registry with the metrics of the process: memory, CPU time and open files.
    pub fn with_process_metrics() -> Self {
        let metrics = Self::default();
        #[cfg(target_os = "linux")]
        metrics.register_collector(prometheus::process_collector::ProcessCollector::for_self());
        metrics
    }

    /// Registers a metric that `read` computes on each scrape.
    ///
    /// # Panics
    /// Panics if the name is taken or invalid.
    pub fn register(
        &self,
        name: &'static str,
        help: &'static str,
        kind: MetricKind,
        read: impl Fn() -> Vec<Sample> + Send + Sync + 'static,
    ) {
        let desc = Desc::new(name.to_owned(), help.to_owned(), Vec::new(), std::collections::HashMap::new());
        let desc = desc.expect("names and help texts are written here");
        self.register_collector(RegisteredMetric { desc, name, help, kind, read: Box::new(read) });
    }

    /// Registers a histogram for each value of its label, in order.
    ///
    /// # Panics
    /// Panics if the name is taken or invalid.
    pub fn register_histograms<const N: usize>(
        &self,
        name: &'static str,
        help: &'static str,
        label: &'static str,
        values: [&'static str; N],
    ) -> [DurationHistogram; N] {
        let options = HistogramOpts::new(name, help).buckets(DURATION_BUCKETS.to_vec());
        let all = HistogramVec::new(options, &[label]).expect("names and help texts are written here");
        let histograms = values.map(|value| DurationHistogram(all.with_label_values(&[value])));
        self.register_collector(all);
        histograms
    }

    fn register_collector(&self, collector: impl Collector + 'static) {
        self.registry.register(Box::new(collector)).expect("no two metrics have one name");
    }

    /// Returns all metrics in the Prometheus text format.
    pub fn render(&self) -> String {
        let mut text = Vec::new();
        let encoded = TextEncoder::new().encode(&self.registry.gather(), &mut text);
        // The encoder rejects only families without a sample, and those are left out.
        debug_assert!(encoded.is_ok(), "{encoded:?}");
        String::from_utf8(text).unwrap_or_default()
    }
}

/// Reader of a metric.
type Read = Box<dyn Fn() -> Vec<Sample> + Send + Sync>;

/// A metric whose values another module holds.
struct RegisteredMetric {
    desc: Desc,
    name: &'static str,
    help: &'static str,
    kind: MetricKind,
    read: Read,
}

impl fmt::Debug for RegisteredMetric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RegisteredMetric").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Collector for RegisteredMetric {
    fn desc(&self) -> Vec<&Desc> {
        vec![&self.desc]
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let samples = (self.read)();
        if samples.is_empty() {
            return Vec::new();
        }
        let mut family = MetricFamily::default();
        family.set_name(self.name.to_owned());
        family.set_help(self.help.to_owned());
        family.set_field_type(match self.kind {
            MetricKind::Counter => MetricType::COUNTER,
            MetricKind::Gauge => MetricType::GAUGE,
        });
        family.set_metric(samples.into_iter().map(|sample| metric(self.kind, sample)).collect());
        vec![family]
    }
}

fn metric(kind: MetricKind, Sample { labels, value }: Sample) -> Metric {
    let pair = |(name, value): (&'static str, String)| {
        let mut pair = LabelPair::default();
        pair.set_name(name.to_owned());
        pair.set_value(value);
        pair
    };
    let mut metric = Metric::from_label(labels.into_iter().map(pair).collect());
    match kind {
        MetricKind::Counter => {
            let mut counter = Counter::default();
            counter.set_value(value);
            metric.set_counter(counter);
        }
        MetricKind::Gauge => {
            let mut gauge = Gauge::default();
            gauge.set_value(value);
            metric.set_gauge(gauge);
        }
    }
    metric
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metrics_are_rendered_in_prometheus_format() {
        let metrics = Metrics::default();
        let read =
            || vec![Sample::with_labels([("to", "a"), ("how", "b\"c")], 3), Sample::with_labels([("to", "d")], 4)];
        metrics.register("larder_calls_total", "Calls.", MetricKind::Counter, read);
        metrics.register("larder_open", "What is open.", MetricKind::Gauge, || vec![Sample::new(7)]);
        metrics.register("larder_none", "Nothing.", MetricKind::Gauge, Vec::new);
        let [fast, _] = metrics.register_histograms("larder_seconds", "Time.", "what", ["fast", "slow"]);
        fast.observe(Duration::from_millis(2));
        let text = metrics.render();
        for line in [
            "# HELP larder_calls_total Calls.",
            "# TYPE larder_calls_total counter",
            "larder_calls_total{to=\"a\",how=\"b\\\"c\"} 3",
            "# TYPE larder_open gauge",
            "larder_open 7",
            "larder_seconds_bucket{what=\"fast\",le=\"0.001\"} 0",
            "larder_seconds_bucket{what=\"fast\",le=\"0.0025\"} 1",
            "larder_seconds_count{what=\"slow\"} 0",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
        }
        assert!(!text.contains("larder_none"), "{text}");
    }
}
