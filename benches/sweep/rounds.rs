//! Requests to the store that lives, in short rounds of each kind in turn.

use std::time::{Duration, Instant};

use crate::{
    figures::{Outcome, Samples, ratio, table},
    load::{
        case::{Case, KIB, Verb, pattern},
        clients::{Load, Round},
        connection::Request,
    },
    program::Program,
    watch::{Stage, Watch},
};

/// Duration of a round.
const ROUND: Duration = Duration::from_millis(400);

/// Records of the store that lives.
const KEYS: u64 = 2_000;

/// Clients that write the records.
const WRITERS: usize = 32;

/// The kinds of requests.
const CASES: [Case; 3] = [
    Case { name: "GET 1 KiB, one client", verb: Verb::Get, bytes: KIB, keys: KEYS, connections: 1 },
    Case { name: "GET 1 KiB, 32 clients", verb: Verb::Get, bytes: KIB, keys: KEYS, connections: 32 },
    Case { name: "PUT 1 KiB, one client", verb: Verb::Put, bytes: KIB, keys: KEYS, connections: 1 },
];

/// Requests of each kind, and their durations.
#[derive(Debug)]
pub struct Rounds {
    loads: Vec<Load>,
    /// For each kind, without the sweep and beside it.
    times: [[Times; 2]; CASES.len()],
    sweeping: Duration,
}

/// Durations of the requests of many rounds.
#[derive(Debug, Default)]
struct Times {
    /// Of each round half the requests took at most this.
    p50: Samples,
    /// Of each round all but one in a hundred took at most this.
    p99: Samples,
    all: Samples,
}

impl Rounds {
    /// Writes the records and reads them once.
    pub async fn open(program: &Program, store: &str) -> Outcome<Self> {
        let pattern = pattern(KIB);
        let mut loads = Vec::new();
        for case in &CASES {
            let put = Request::to_larder(case, Verb::Put, store, &pattern)?;
            Load::open(program.address, &put, case.keys, WRITERS).await?.sweep(None).await?;
            let request = Request::to_larder(case, case.verb, store, &pattern)?;
            let mut load = Load::open(program.address, &request, case.keys, case.connections).await?;
            load.sweep((case.verb == Verb::Get).then_some(&pattern)).await?;
            loads.push(load);
        }
        Ok(Self { loads, times: Default::default(), sweeping: Duration::ZERO })
    }

    /// Does rounds for so long, or until the store is swept if it is still whole. Returns `true` if it is swept.
    pub async fn go_on(&mut self, watch: &Watch, limit: Duration) -> Outcome<bool> {
        let started = Instant::now();
        let at_first = watch.stage()?;
        let mut stage = at_first;
        while started.elapsed() < limit && (stage != Stage::Swept || at_first == Stage::Swept) {
            for (load, times) in self.loads.iter_mut().zip(&mut self.times) {
                let began = Instant::now();
                let round = load.round(ROUND).await?;
                let before = std::mem::replace(&mut stage, watch.stage()?);
                if before == Stage::Sweeping {
                    self.sweeping += began.elapsed();
                }
                // A round in which the sweep began or ended says nothing.
                if before == stage {
                    times[usize::from(stage == Stage::Sweeping)].add(round);
                }
            }
        }
        Ok(stage == Stage::Swept)
    }

    /// Returns the time that records were swept, per round.
    pub fn sweeping(&self) -> Duration {
        self.sweeping
    }

    /// Returns a table of the durations of requests, and the worst ratio of a read's p99 beside the sweep to that
    /// without.
    pub fn report(self) -> (String, f64) {
        let mut worst: f64 = 0.0;
        let mut rows = Vec::new();
        for (case, times) in CASES.iter().zip(self.times) {
            let [without, beside] = times.map(Times::figures);
            let ratios: Vec<f64> =
                beside.iter().zip(without).map(|(beside, without)| ratio(*beside, without)).collect();
            if case.verb == Verb::Get {
                worst = worst.max(ratios[1]);
            }
            let mut row = vec![case.name.to_owned()];
            row.extend(ratios.into_iter().map(|ratio| format!("{ratio:.2}")));
            let both = without.into_iter().zip(beside).flat_map(|(without, beside)| [without, beside]);
            row.extend(both.map(|time| format!("{:.3}", time.as_secs_f64() * 1e3)));
            rows.push(row);
        }
        let heads = ["sweep / quiet", "p50", "p99", "p99 of all", "p50 ms quiet", "sweep", "p99 ms quiet", "sweep"];
        let heads = [&heads[..], &["p99 of all, quiet", "sweep"]].concat();
        (table(&heads, &rows), worst)
    }
}

impl Times {
    fn add(&mut self, Round { mut times, .. }: Round) {
        self.p50.push(times.p50());
        self.p99.push(times.p99());
        self.all.extend(times);
    }

    /// p50 and p99 of the middle round, since what else the machine does changes from second to second; and p99 of all
    /// requests, in which the worst of it counts.
    fn figures(mut self) -> [Duration; 3] {
        [self.p50.p50(), self.p99.p50(), self.all.p99()]
    }
}
