//! The tables: the ratios of Larder to each of the others, and the figures behind them.

use std::time::Duration;

use crate::{
    load::{
        case::MIB,
        variant::{Measured, Variant, micros, millis},
    },
    matchup::Row,
    report::{ratio, table},
};

impl Row {
    fn larder(&self) -> &Variant {
        &self.variants[self.larder]
    }

    /// Returns the ratios of Larder to the other variants, by their rate, and by their processor time.
    fn ratios(&self) -> Vec<String> {
        let rate = |other: &usize| {
            self.larder().ratio(&self.variants[*other], |larder, other| larder.per_second / other.per_second)
        };
        let own = cpu(self.larder());
        let cost = |other: &usize| ratio(own, cpu(&self.variants[*other]));
        let figures = self.other.iter().flat_map(|other| [rate(other), cost(other)]);
        let figures = figures.chain([rate(&self.direct)]);
        let figures = figures.chain(self.nginxes.iter().map(rate));
        let figures = figures.chain(self.nginxes.iter().map(cost)).chain([cost(&self.relay), cost(&self.bare)]);
        let mut cells = vec![self.case.name.to_owned()];
        cells.extend(figures.map(|figure| format!("{figure:.2}")));
        cells.push(self.per_mib().map_or_else(|| "-".to_owned(), |cpu| format!("{:.2}", cpu.as_secs_f64() * 1e3)));
        cells.push(self.larder().rounds.len().to_string());
        cells
    }

    /// Larder's processor time for a MiB, where there are several.
    fn per_mib(&self) -> Option<Duration> {
        let count = u32::try_from(self.case.bytes / MIB).ok().filter(|count| *count > 0)?;
        Some(cpu(self.larder()) / count)
    }

    fn named(&self) -> Vec<(String, &Variant)> {
        let mut named = vec![("Larder".to_owned(), self.larder())];
        named.extend(self.other.map(|other| ("other build".to_owned(), &self.variants[other])));
        named.extend(self.nginxes.iter().enumerate().map(|(turn, index)| (nginx(turn), &self.variants[*index])));
        named.push(("relay".to_owned(), &self.variants[self.relay]));
        named.push(("direct".to_owned(), &self.variants[self.direct]));
        named.push(("bare".to_owned(), &self.variants[self.bare]));
        named
    }

    fn figures(&self) -> Vec<Vec<String>> {
        let line = |(name, variant): (String, &Variant)| {
            let is_known = variant.peak_kib > 0;
            let known = |figure: String| if is_known { figure } else { "-".to_owned() };
            vec![
                format!("{}, {name}", self.case.name),
                format!("{:.0}", variant.middle(|round| round.per_second)),
                middle_time(variant, |round| round.p50),
                middle_time(variant, |round| round.p99),
                known(micros(cpu(variant))),
                known(format!("{:.1}", f64::from(variant.peak_kib) / 1024.0)),
            ]
        };
        self.named().into_iter().map(line).collect()
    }

    /// Latency that a gateway adds.
    fn added(&self) -> Vec<String> {
        let direct = &self.variants[self.direct];
        let added = |variant: &Variant, time: fn(&Measured) -> Duration| {
            let added =
                variant.ratio(direct, |through, direct| time(through).as_secs_f64() - time(direct).as_secs_f64());
            format!("{:.3}", added * 1e3)
        };
        let nginx = &self.variants[self.nginxes[0]];
        let mut cells = vec![self.case.name.to_owned()];
        for variant in [self.larder(), nginx] {
            cells.extend([added(variant, |round| round.p50), added(variant, |round| round.p99)]);
        }
        cells.extend([middle_time(direct, |round| round.p50), middle_time(direct, |round| round.p99)]);
        cells
    }
}

fn nginx(turn: usize) -> String {
    if turn == 0 { "nginx".to_owned() } else { "nginx, more workers".to_owned() }
}

fn middle_time(variant: &Variant, time: fn(&Measured) -> Duration) -> String {
    let middle = variant.middle(|round| time(round).as_secs_f64());
    millis(Duration::try_from_secs_f64(middle).unwrap_or_default())
}

/// Processor time of a request, over all rounds: the system counts it in steps that are long beside a short round.
fn cpu(variant: &Variant) -> Duration {
    let spent: Duration = variant.rounds.iter().map(|round| round.cpu * round.requests).sum();
    spent / variant.rounds.iter().map(|round| round.requests).sum::<u32>().max(1)
}

/// Ratios of Larder to the others.
pub fn ratios(over: &str, rows: &[Row]) -> String {
    let more = rows.first().is_some_and(|row| row.nginxes.len() > 1);
    let mut heads = vec![format!("Larder over the {over}")];
    let mut add = |text: &str| heads.push(text.to_owned());
    if rows.first().is_some_and(|row| row.other.is_some()) {
        ["req/s / other build", "CPU / other build"].into_iter().for_each(&mut add);
    }
    add("req/s / direct");
    for what in ["req/s", "CPU"] {
        add(&format!("{what} / nginx"));
        if more {
            add(&format!("{what} / more workers"));
        }
    }
    ["CPU / relay", "CPU / bare", "CPU ms/MiB", "rounds"].into_iter().for_each(add);
    let heads: Vec<_> = heads.iter().map(String::as_str).collect();
    table(&heads, &rows.iter().map(Row::ratios).collect::<Vec<_>>())
}

/// Returns the figures of all.
pub fn figures(over: &str, rows: &[Row]) -> String {
    let first = format!("over the {over}");
    let heads = [first.as_str(), "req/s", "p50 ms", "p99 ms", "CPU us", "peak MiB"];
    table(&heads, &rows.iter().flat_map(Row::figures).collect::<Vec<_>>())
}

/// Returns the time that a gateway adds for a single client.
pub fn added(rows: &[Row]) -> String {
    let heads =
        ["one connection", "Larder adds, p50 ms", "p99 ms", "nginx adds, p50 ms", "p99 ms", "direct, p50 ms", "p99 ms"];
    table(&heads, &rows.iter().map(Row::added).collect::<Vec<_>>())
}
