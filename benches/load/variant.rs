//! One of the compared servers: its load, its processes, its measurements in each round, and its resource usage as Linux
//! reports it in `/proc`.

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use crate::load::case::Effort;
use crate::load::clients::{Load, Round};
use crate::report::Outcome;

/// After a round, for work that a server does behind its answers: it counts as the round's.
const SETTLING: Duration = Duration::from_millis(40);

/// One of those that are compared.
#[derive(Debug)]
pub struct Variant {
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

impl Variant {
    /// Creates a variant: the server in `processes` answers `load`. Its processes may be unknown; then their usage is not
    /// reported.
    pub fn new(load: Load, processes: Vec<u32>) -> Self {
        Self { load, processes, rounds: Vec::new(), peak_kib: 0 }
    }

    async fn take(&mut self, effort: Effort) -> Outcome<()> {
        self.processes.iter().try_for_each(|id| forget_peak(*id))?;
        let before = self.cpu()?;
        let Round { requests, elapsed, mut times } = self.load.round(effort.round).await?;
        tokio::time::sleep(SETTLING).await;
        let cpu = self.cpu()?.saturating_sub(before);
        let peaks = self.processes.iter().map(|id| peak_kib(*id));
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
        self.processes.iter().map(|id| cpu(*id)).sum()
    }

    /// Returns the median of the rounds' figures.
    pub fn middle(&self, figure: impl Fn(&Measured) -> f64) -> f64 {
        median(self.rounds.iter().map(figure).collect())
    }

    /// Returns the middle one of the ratios of this variant's figure to another's, round by round.
    pub fn ratio(&self, other: &Self, figure: impl Fn(&Measured, &Measured) -> f64) -> f64 {
        median(self.rounds.iter().zip(&other.rounds).map(|(one, other)| figure(one, other)).collect())
    }
}

/// Returns the absolute path of another build of Larder, which the argument of `--against` names.
pub fn other_build(argument: Option<String>) -> Outcome<PathBuf> {
    let path = argument.ok_or("--against needs the path of a build of Larder")?;
    fs::canonicalize(&path).map_err(|error| format!("{path}: {error}").into())
}

/// Lets all variants do their rounds in turn.
pub async fn interleave(variants: &mut [Variant], effort: Effort) -> Outcome<()> {
    let started = Instant::now();
    for round in 0..effort.rounds {
        if round > 0 && started.elapsed() > effort.case {
            break;
        }
        // The order rotates with every round, so that no variant always has the quieter part.
        for turn in 0..variants.len() {
            let index = (round + turn) % variants.len();
            variants[index].take(effort).await?;
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

/// One unit of the times in `/proc/{id}/stat`: `USER_HZ` is 100 on every architecture that Larder runs on.
const TICK: Duration = Duration::from_millis(10);

/// Returns the processor time a process has used in all its threads, those included that have ended; in steps of 10 ms.
pub fn cpu(id: u32) -> Outcome<Duration> {
    let stat = fs::read_to_string(format!("/proc/{id}/stat"))?;
    // The name of the program, in parentheses, may hold blanks; 11 fields on stands the time in user mode, then the
    // time in the kernel (`proc_pid_stat(5)`).
    let (_, fields) = stat.rsplit_once(") ").ok_or("/proc/{id}/stat has no program name")?;
    let mut ticks = 0_u32;
    for field in fields.split(' ').skip(11).take(2) {
        ticks += field.parse::<u32>()?;
    }
    Ok(TICK * ticks)
}

/// Returns the peak memory of a process, in KiB, since it started or since [`forget_peak`].
pub fn peak_kib(id: u32) -> Outcome<u32> {
    let status = fs::read_to_string(format!("/proc/{id}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let figure = line.and_then(|line| line.split_whitespace().next()).ok_or("the process has no VmHWM")?;
    Ok(figure.parse()?)
}

/// Lets the peak begin again at what the process has now (`proc_pid_clear_refs(5)`).
pub fn forget_peak(id: u32) -> Outcome<()> {
    Ok(fs::write(format!("/proc/{id}/clear_refs"), "5")?)
}
