//! The tables: ratios first, since they hold on other machines, too; then the figures they come from.

use std::time::Duration;

use crate::{
    figures::{Samples, ratio, table},
    load::Round,
    plan::Case,
};

/// What one server did in all rounds of a case.
#[derive(Debug, Default)]
pub struct Side {
    rounds: Vec<Measured>,
    /// The most memory it had in any of the rounds.
    pub peak_kib: u32,
}

/// A round in figures.
#[derive(Debug, Clone, Copy)]
struct Measured {
    per_second: f64,
    p50: Duration,
    p99: Duration,
    cpu: Duration,
}

impl Side {
    /// Adds a round in which the server used `cpu` of processor time.
    pub fn add(&mut self, round: Round, cpu: Duration) {
        let Round { requests, elapsed, mut times } = round;
        self.rounds.push(Measured {
            per_second: f64::from(requests) / elapsed.as_secs_f64(),
            p50: times.p50(),
            p99: times.p99(),
            cpu: cpu / requests.max(1),
        });
    }

    fn middle(&self, figure: impl Fn(&Measured) -> f64) -> f64 {
        median(self.rounds.iter().map(figure).collect())
    }
}

/// A case and what both servers did.
#[derive(Debug)]
pub struct Row {
    /// The case.
    pub case: Case,
    /// Larder.
    pub larder: Side,
    /// The bare server.
    pub bare: Side,
}

impl Row {
    /// The middle of the rounds' ratios, Larder's figure to the bare server's.
    fn middle(&self, figure: impl Fn(&Measured, &Measured) -> f64) -> f64 {
        let pairs = self.larder.rounds.iter().zip(&self.bare.rounds);
        median(pairs.map(|(larder, bare)| figure(larder, bare)).collect())
    }

    fn ratios(&self) -> Vec<String> {
        let rate = self.middle(|larder, bare| larder.per_second / bare.per_second);
        let p50 = self.middle(|larder, bare| ratio(larder.p50, bare.p50));
        let p99 = self.middle(|larder, bare| ratio(larder.p99, bare.p99));
        let cpu = self.middle(|larder, bare| ratio(larder.cpu, bare.cpu));
        let memory = f64::from(self.larder.peak_kib) / f64::from(self.bare.peak_kib.max(1));
        let rounds = self.larder.rounds.len().to_string();
        let mut cells = vec![self.case.name.to_owned()];
        cells.extend([rate, p50, p99, cpu, memory].map(|ratio| format!("{ratio:.2}")));
        cells.push(rounds);
        cells
    }

    fn figures(&self) -> Vec<String> {
        let both = |figure: &dyn Fn(&Measured) -> String, key: &dyn Fn(&Measured) -> f64| {
            [&self.larder, &self.bare].map(|side| {
                let middle = side.middle(key);
                let found = side.rounds.iter().find(|round| key(round).total_cmp(&middle).is_eq());
                found.map(figure).unwrap_or_default()
            })
        };
        let mut cells = vec![self.case.name.to_owned()];
        cells.extend(both(&|round| format!("{:.0}", round.per_second), &|round| round.per_second));
        cells.extend(both(&|round| millis(round.p50), &|round| round.p50.as_secs_f64()));
        cells.extend(both(&|round| millis(round.p99), &|round| round.p99.as_secs_f64()));
        cells.extend(both(&|round| micros(round.cpu), &|round| round.cpu.as_secs_f64()));
        cells.extend([&self.larder, &self.bare].map(|side| format!("{:.1}", f64::from(side.peak_kib) / 1024.0)));
        cells
    }
}

/// The table of ratios.
pub fn ratios(rows: &[Row]) -> String {
    let heads = ["Larder / bare", "requests/s", "p50", "p99", "CPU/request", "peak memory", "rounds"];
    table(&heads, &rows.iter().map(Row::ratios).collect::<Vec<_>>())
}

/// The table of figures: the middle round of each server, and its peak memory in any.
pub fn figures(rows: &[Row]) -> String {
    let heads = ["Larder, bare", "req/s", "bare", "p50 ms", "bare", "p99 ms", "bare", "CPU us", "bare", "MiB", "bare"];
    table(&heads, &rows.iter().map(Row::figures).collect::<Vec<_>>())
}

/// What the disk does by itself, in a sentence.
pub fn disk(bytes: &str, times: &mut Samples) -> String {
    format!("append {bytes} and sync: p50 {} ms, p99 {} ms", millis(times.p50()), millis(times.p99()))
}

fn millis(time: Duration) -> String {
    format!("{:.2}", time.as_secs_f64() * 1e3)
}

fn micros(time: Duration) -> String {
    format!("{:.1}", time.as_secs_f64() * 1e6)
}

/// The middle one of some values, the lower of two; zero without any.
fn median(mut values: Vec<f64>) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    values.get(values.len().saturating_sub(1) / 2).copied().unwrap_or_default()
}
