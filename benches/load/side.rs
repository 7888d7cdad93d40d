//! One of the compared servers: its load, its processes, and its measurements in each round.

use std::time::{Duration, Instant};

use crate::{
    figures::Outcome,
    load::{
        case::Effort,
        clients::{Load, Round},
        process,
    },
};

/// After a round, for work that a server does behind its answers: it counts as the round's.
const SETTLING: Duration = Duration::from_millis(40);

/// One of those that are compared.
#[derive(Debug)]
pub struct Side {
    load: Load,
    processes: Vec<u32>,
    /// Measurements, round by round.
    pub rounds: Vec<Measured>,
    /// The most memory it had in any of the rounds.
    pub peak_kib: u32,
}

/// A round in figures.
#[derive(Debug, Clone, Copy)]
pub struct Measured {
    /// Requests that were answered.
    pub requests: u32,
    /// Requests in a second.
    pub per_second: f64,
    /// Half of the requests took at most this.
    pub p50: Duration,
    /// All but one in a hundred took at most this.
    pub p99: Duration,
    /// Processor time of a request.
    pub cpu: Duration,
}

impl Side {
    /// Creates a side: the server in `processes` answers `load`. Its processes may be unknown; then their usage is not
    /// reported.
    pub fn new(load: Load, processes: Vec<u32>) -> Self {
        Self { load, processes, rounds: Vec::new(), peak_kib: 0 }
    }

    async fn take(&mut self, effort: Effort) -> Outcome<()> {
        self.processes.iter().try_for_each(|id| process::forget_peak(*id))?;
        let before = self.cpu()?;
        let Round { requests, elapsed, mut times } = self.load.round(effort.round).await?;
        tokio::time::sleep(SETTLING).await;
        let cpu = self.cpu()?.saturating_sub(before);
        let peaks = self.processes.iter().map(|id| process::peak_kib(*id));
        self.peak_kib = self.peak_kib.max(peaks.sum::<Outcome<u32>>()?);
        self.rounds.push(Measured {
            requests,
            per_second: f64::from(requests) / elapsed.as_secs_f64(),
            p50: times.p50(),
            p99: times.p99(),
            cpu: cpu / requests.max(1),
        });
        Ok(())
    }

    fn cpu(&self) -> Outcome<Duration> {
        self.processes.iter().map(|id| process::cpu(*id)).sum()
    }

    /// Returns the median of the rounds' figures.
    pub fn middle(&self, figure: impl Fn(&Measured) -> f64) -> f64 {
        median(self.rounds.iter().map(figure).collect())
    }

    /// Returns the middle one of the ratios of this side's figure to another's, round by round.
    pub fn ratio(&self, other: &Self, figure: impl Fn(&Measured, &Measured) -> f64) -> f64 {
        median(self.rounds.iter().zip(&other.rounds).map(|(one, other)| figure(one, other)).collect())
    }
}

/// Lets all sides do their rounds in turn.
pub async fn interleave(sides: &mut [Side], effort: Effort) -> Outcome<()> {
    let started = Instant::now();
    for round in 0..effort.rounds {
        if round > 0 && started.elapsed() > effort.case {
            break;
        }
        // The order rotates with every round, so that no side always has the quieter part.
        for turn in 0..sides.len() {
            let index = (round + turn) % sides.len();
            sides[index].take(effort).await?;
        }
    }
    Ok(())
}

/// In milliseconds.
pub fn millis(time: Duration) -> String {
    format!("{:.2}", time.as_secs_f64() * 1e3)
}

/// In microseconds.
pub fn micros(time: Duration) -> String {
    format!("{:.1}", time.as_secs_f64() * 1e6)
}

/// Returns the median of some values, the lower of two; zero without any.
fn median(mut values: Vec<f64>) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    values.get(values.len().saturating_sub(1) / 2).copied().unwrap_or_default()
}
