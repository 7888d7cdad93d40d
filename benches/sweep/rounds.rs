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
};

/// How long a round is.
const ROUND: Duration = Duration::from_millis(400);

/// Records of the store that lives.
const KEYS: u64 = 2_000;

/// The kinds of requests.
const CASES: [Case; 3] = [
    Case { name: "GET 1 KiB, one client", verb: Verb::Get, bytes: KIB, keys: KEYS, connections: 1 },
    Case { name: "GET 1 KiB, 32 clients", verb: Verb::Get, bytes: KIB, keys: KEYS, connections: 32 },
    Case { name: "PUT 1 KiB, one client", verb: Verb::Put, bytes: KIB, keys: KEYS, connections: 1 },
];

/// A round that was done.
#[derive(Debug)]
struct Done {
    began: Instant,
    ended: Instant,
    times: Samples,
}

/// Requests of each kind, and how long they took.
#[derive(Debug)]
pub struct Rounds {
    loads: Vec<Load>,
    done: [Vec<Done>; CASES.len()],
}

/// What a round was beside.
#[derive(Debug, Clone, Copy)]
enum Part {
    Before,
    During,
    After,
}

impl Rounds {
    /// Writes the records and reads them once.
    pub async fn open(program: &Program, store: &str) -> Outcome<Self> {
        let pattern = pattern(KIB);
        let mut loads = Vec::new();
        for case in &CASES {
            let put = Request::to_larder(case, Verb::Put, store, &pattern)?;
            Load::open(program.address, &put, case.keys, 32).await?.sweep(None).await?;
            let request = Request::to_larder(case, case.verb, store, &pattern)?;
            let mut load = Load::open(program.address, &request, case.keys, case.connections).await?;
            load.sweep((case.verb == Verb::Get).then_some(&pattern)).await?;
            loads.push(load);
        }
        Ok(Self { loads, done: Default::default() })
    }

    /// Does rounds until `is_enough`, or for so long.
    pub async fn go_on(&mut self, is_enough: impl Fn() -> bool, limit: Duration) -> Outcome<()> {
        let started = Instant::now();
        while started.elapsed() < limit && !is_enough() {
            for (load, done) in self.loads.iter_mut().zip(&mut self.done) {
                let began = Instant::now();
                let Round { times, .. } = load.round(ROUND).await?;
                done.push(Done { began, ended: Instant::now(), times });
            }
        }
        Ok(())
    }

    /// A table of what requests took before, during and after the sweep, and the worst ratio of a read's p99 during the
    /// sweep to that before.
    pub fn report(self, began: Instant, ended: Instant) -> (String, f64) {
        let mut worst: f64 = 0.0;
        let mut rows = Vec::new();
        for (case, rounds) in CASES.iter().zip(self.done) {
            let mut parts = [Samples::default(), Samples::default(), Samples::default()];
            for round in rounds {
                if let Some(part) = round.part(began, ended) {
                    parts[part as usize].extend(round.times);
                }
            }
            let [before, during, after] = parts.map(|mut times| [times.p50(), times.p99()]);
            let ratios = [0, 1].map(|figure| ratio(during[figure], before[figure]));
            if case.verb == Verb::Get {
                worst = worst.max(ratios[1]);
            }
            let mut row = vec![case.name.to_owned()];
            row.extend(ratios.map(|ratio| format!("{ratio:.2}")));
            for figure in [0, 1] {
                row.extend([before, during, after].map(|times| format!("{:.3}", times[figure].as_secs_f64() * 1e3)));
            }
            rows.push(row);
        }
        let heads = ["", "p50", "p99", "p50 ms before", "during", "after", "p99 ms before", "during", "after"];
        (table(&heads, &rows), worst)
    }
}

impl Done {
    /// `None` where the sweep began or ended in the middle.
    fn part(&self, began: Instant, ended: Instant) -> Option<Part> {
        if self.ended < began {
            Some(Part::Before)
        } else if self.began > ended {
            Some(Part::After)
        } else if self.began >= began && self.ended <= ended {
            Some(Part::During)
        } else {
            None
        }
    }
}
