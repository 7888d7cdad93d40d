//! Figures on what goes on, as Prometheus reads them.
//!
//! Whoever counts keeps his own counters and says here how they are read; only times are kept by this file, in histograms. No metric has
//! a label whose values come from outside: how many lines there are does not depend on how many stores, users or keys there are.

use std::{fmt, time::Duration};

use prometheus::{
    Encoder, Histogram, HistogramOpts, HistogramVec, Registry, TextEncoder,
    core::{Collector, Desc},
    proto::{Counter, Gauge, LabelPair, Metric, MetricFamily, MetricType},
};

/// Upper ends of the buckets of durations (seconds): from what a cached answer takes to what clients give up at.
const BUCKETS: [f64; 14] = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 60.0];

/// Everything that is measured.
#[derive(Debug, Clone, Default)]
pub struct Metrics {
    registry: Registry,
}

/// What a metric is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// It only grows, until the process ends.
    Counter,
    /// It goes up and down.
    Gauge,
}

/// A value of a metric, with those of its labels.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    labels: Vec<(&'static str, String)>,
    value: f64,
}

impl Sample {
    /// A value without labels.
    pub fn plain(value: u64) -> Self {
        Self::labelled([], value)
    }

    /// A value with labels.
    pub fn labelled<const N: usize>(labels: [(&'static str, &str); N], value: u64) -> Self {
        #[expect(clippy::cast_precision_loss, reason = "Prometheus knows no other numbers")]
        let value = value as f64;
        Self { labels: labels.map(|(name, value)| (name, value.to_owned())).into(), value }
    }
}

/// How long something takes, each time.
#[derive(Debug, Clone)]
pub struct Durations(Histogram);

impl Durations {
    /// It took so long.
    pub fn observe(&self, duration: Duration) {
        self.0.observe(duration.as_secs_f64());
    }
}

impl Metrics {
    /// Nothing yet but what the system says of this process: its memory, processor time and open files.
    pub fn of_process() -> Self {
        let metrics = Self::default();
        #[cfg(target_os = "linux")]
        metrics.register(prometheus::process_collector::ProcessCollector::for_self());
        metrics
    }

    /// A metric that is read when somebody asks, by `read`.
    ///
    /// # Panics
    /// When there is one of that name, or the name is none.
    pub fn watch(
        &self,
        name: &'static str,
        help: &'static str,
        kind: Kind,
        read: impl Fn() -> Vec<Sample> + Send + Sync + 'static,
    ) {
        let desc = Desc::new(name.to_owned(), help.to_owned(), Vec::new(), std::collections::HashMap::new());
        let desc = desc.expect("names and help texts are written here");
        self.register(Watched { desc, name, help, kind, read: Box::new(read) });
    }

    /// A histogram for each of the values that its label can have, in their order.
    ///
    /// # Panics
    /// When there is one of that name, or the name is none.
    pub fn durations<const N: usize>(
        &self,
        name: &'static str,
        help: &'static str,
        label: &'static str,
        values: [&'static str; N],
    ) -> [Durations; N] {
        let options = HistogramOpts::new(name, help).buckets(BUCKETS.to_vec());
        let all = HistogramVec::new(options, &[label]).expect("names and help texts are written here");
        let durations = values.map(|value| Durations(all.with_label_values(&[value])));
        self.register(all);
        durations
    }

    fn register(&self, collector: impl Collector + 'static) {
        self.registry.register(Box::new(collector)).expect("no two metrics have one name");
    }

    /// All of it, in Prometheus' text format.
    pub fn render(&self) -> String {
        let mut text = Vec::new();
        let encoded = TextEncoder::new().encode(&self.registry.gather(), &mut text);
        // A family without a sample is the only thing that it does not take, and such are left out.
        debug_assert!(encoded.is_ok(), "{encoded:?}");
        String::from_utf8(text).unwrap_or_default()
    }
}

/// How a metric is read.
type Read = Box<dyn Fn() -> Vec<Sample> + Send + Sync>;

/// A metric that somebody else keeps.
struct Watched {
    desc: Desc,
    name: &'static str,
    help: &'static str,
    kind: Kind,
    read: Read,
}

impl fmt::Debug for Watched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watched").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Collector for Watched {
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
            Kind::Counter => MetricType::COUNTER,
            Kind::Gauge => MetricType::GAUGE,
        });
        family.set_metric(samples.into_iter().map(|sample| metric(self.kind, sample)).collect());
        vec![family]
    }
}

fn metric(kind: Kind, Sample { labels, value }: Sample) -> Metric {
    let pair = |(name, value): (&'static str, String)| {
        let mut pair = LabelPair::default();
        pair.set_name(name.to_owned());
        pair.set_value(value);
        pair
    };
    let mut metric = Metric::from_label(labels.into_iter().map(pair).collect());
    match kind {
        Kind::Counter => {
            let mut counter = Counter::default();
            counter.set_value(value);
            metric.set_counter(counter);
        }
        Kind::Gauge => {
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
    fn what_is_measured_is_told_in_prometheus_format() {
        let metrics = Metrics::default();
        let read = || vec![Sample::labelled([("to", "a"), ("how", "b\"c")], 3), Sample::labelled([("to", "d")], 4)];
        metrics.watch("larder_calls_total", "Calls.", Kind::Counter, read);
        metrics.watch("larder_open", "What is open.", Kind::Gauge, || vec![Sample::plain(7)]);
        metrics.watch("larder_none", "Nothing.", Kind::Gauge, Vec::new);
        let [fast, _] = metrics.durations("larder_seconds", "Time.", "what", ["fast", "slow"]);
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
