//! The tables: ratios first, since they hold on other machines, too; then the figures they come from.

use crate::{
    load::{
        case::Case,
        variant::{Measured, Variant, micros, millis},
    },
    report::{Samples, ratio, table},
};

/// A case, and what Larder and the other server did.
#[derive(Debug)]
pub struct Row {
    /// The case.
    pub case: Case,
    /// Both.
    pub variants: [Variant; 2],
}

impl Row {
    fn ratios(&self) -> Vec<String> {
        let [larder, other] = &self.variants;
        let rate = larder.ratio(other, |larder, other| larder.per_second / other.per_second);
        let p50 = larder.ratio(other, |larder, other| ratio(larder.p50, other.p50));
        let p99 = larder.ratio(other, |larder, other| ratio(larder.p99, other.p99));
        let cpu = larder.ratio(other, |larder, other| ratio(larder.cpu, other.cpu));
        let memory = f64::from(larder.peak_kib) / f64::from(other.peak_kib.max(1));
        let requests = larder.rounds.iter().map(|round| round.requests).sum::<u32>().to_string();
        let mut cells = vec![self.case.name.to_owned()];
        cells.extend([rate, p50, p99, cpu, memory].map(|ratio| format!("{ratio:.2}")));
        cells.push(larder.rounds.len().to_string());
        cells.push(requests);
        cells
    }

    fn figures(&self) -> Vec<String> {
        let both = |figure: &dyn Fn(&Measured) -> String, key: &dyn Fn(&Measured) -> f64| {
            self.variants.each_ref().map(|variant| {
                let middle = variant.middle(key);
                let found = variant.rounds.iter().find(|round| key(round).total_cmp(&middle).is_eq());
                found.map(figure).unwrap_or_default()
            })
        };
        let mut cells = vec![self.case.name.to_owned()];
        cells.extend(both(&|round| format!("{:.0}", round.per_second), &|round| round.per_second));
        cells.extend(both(&|round| millis(round.p50), &|round| round.p50.as_secs_f64()));
        cells.extend(both(&|round| millis(round.p99), &|round| round.p99.as_secs_f64()));
        cells.extend(both(&|round| micros(round.cpu), &|round| round.cpu.as_secs_f64()));
        cells.extend(self.variants.each_ref().map(|variant| format!("{:.1}", f64::from(variant.peak_kib) / 1024.0)));
        cells
    }
}

/// Returns the table of the ratios of Larder to the other server.
pub fn ratios(other: &str, rows: &[Row]) -> String {
    let first = format!("Larder / {other}");
    let heads = [first.as_str(), "requests/s", "p50", "p99", "CPU/request", "peak memory", "rounds", "requests"];
    table(&heads, &rows.iter().map(Row::ratios).collect::<Vec<_>>())
}

/// Returns the table of figures: the middle round of each server, and its peak memory in any.
pub fn figures(other: &str, rows: &[Row]) -> String {
    let first = format!("Larder, {other}");
    let heads = [&first, "req/s", other, "p50 ms", other, "p99 ms", other, "CPU us", other, "MiB", other];
    table(&heads, &rows.iter().map(Row::figures).collect::<Vec<_>>())
}

/// Describes the write throughput of the disk alone, in a sentence.
pub fn disk(bytes: &str, times: &mut Samples) -> String {
    format!("append {bytes} and sync: p50 {} ms, p99 {} ms", millis(times.p50()), millis(times.p99()))
}
