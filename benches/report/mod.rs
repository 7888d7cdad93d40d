//! Figures: the statistics that the benchmarks compute from their times, and their exit codes. All include this file;
//! it measures nothing itself.

use std::{fmt::Write as _, process::ExitCode, time::Duration};

/// The result of a step of a benchmark. Whatever goes wrong ends the benchmark with its text.
pub type Outcome<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// Turns the outcome of a benchmark into an exit code: an error is printed, and fails it.
pub fn ended(done: Outcome<()>) -> ExitCode {
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// Passes without measuring: `cargo test` runs benchmarks, too, and takes them for tests.
#[expect(clippy::unnecessary_wraps, reason = "it stands in for a benchmark, which may fail")]
pub fn nothing_to_measure() -> Outcome<()> {
    println!("measures only under `cargo bench`");
    Ok(())
}

/// Times that operations took.
#[derive(Debug, Default)]
pub struct Samples(Vec<Duration>);

impl Samples {
    /// Creates an empty collection with capacity for `count` times, so that none is allocated while times are taken.
    pub fn with_room(count: usize) -> Self {
        Self(Vec::with_capacity(count))
    }

    /// Adds one.
    pub fn push(&mut self, time: Duration) {
        self.0.push(time);
    }

    /// Returns the smallest time that at least `per_mille` of 1,000 do not exceed; zero without any.
    pub fn quantile(&mut self, per_mille: usize) -> Duration {
        self.0.sort_unstable();
        let rank = (self.0.len() * per_mille).div_ceil(1000).max(1);
        self.0.get(rank - 1).copied().unwrap_or_default()
    }

    /// Half of the operations took at most this.
    pub fn p50(&mut self) -> Duration {
        self.quantile(500)
    }

    /// All but one in a hundred operations took at most this.
    pub fn p99(&mut self) -> Duration {
        self.quantile(990)
    }
}

impl Extend<Duration> for Samples {
    fn extend<T: IntoIterator<Item = Duration>>(&mut self, times: T) {
        self.0.extend(times);
    }
}

impl IntoIterator for Samples {
    type Item = Duration;
    type IntoIter = std::vec::IntoIter<Duration>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

/// `time` divided by `base`; zero where the base is.
pub fn ratio(time: Duration, base: Duration) -> f64 {
    if base.is_zero() { 0.0 } else { time.as_secs_f64() / base.as_secs_f64() }
}

/// Numbers that look random and are the same in each run (`SplitMix64`, public domain, by Sebastiano Vigna).
#[derive(Debug, Clone)]
pub struct Draws(u64);

impl Draws {
    /// Other numbers for each seed.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Returns a number below `bound`, which is not zero.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound
    }
}

/// Returns a table as Markdown has it: the first column to the left, figures to the right.
pub fn table(heads: &[&str], rows: &[Vec<String>]) -> String {
    let width_of = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column)).map(String::len);
        cells.chain(heads.get(column).map(|head| head.len())).max().unwrap_or_default()
    };
    let widths: Vec<usize> = (0..heads.len()).map(width_of).collect();
    let mut text = String::new();
    let mut line = |cells: &[String]| {
        for (column, (cell, width)) in cells.iter().zip(&widths).enumerate() {
            // Writing to a string cannot fail.
            let _ = if column == 0 { write!(text, "| {cell:<width$} ") } else { write!(text, "| {cell:>width$} ") };
        }
        text.push_str("|\n");
    };
    line(&heads.iter().map(|head| (*head).to_owned()).collect::<Vec<_>>());
    let rules = widths.iter().enumerate();
    let rule = |(column, width): (usize, &usize)| {
        if column == 0 { "-".repeat(*width) } else { format!("{}:", "-".repeat(width - 1)) }
    };
    line(&rules.map(rule).collect::<Vec<_>>());
    for row in rows {
        line(row);
    }
    text
}
