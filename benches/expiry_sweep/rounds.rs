//! Requests to the store that is not swept, in short rounds of each kind in turn, while the progress of the sweep is read
//! from the data folder.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use rusqlite::{Connection, OpenFlags, OptionalExtension};

use crate::load::case::{Case, KIB, Verb, pattern};
use crate::load::clients::Request;
use crate::load::clients::{Load, Round};
use crate::program::Program;
use crate::report::{Outcome, Samples, ratio, table};

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
    pub async fn go_on(&mut self, progress: &SweepProgress, limit: Duration) -> Outcome<bool> {
        let started = Instant::now();
        let at_first = progress.stage()?;
        let mut stage = at_first;
        while started.elapsed() < limit && (stage != Stage::Swept || at_first == Stage::Swept) {
            for (load, times) in self.loads.iter_mut().zip(&mut self.times) {
                let began = Instant::now();
                let round = load.round(ROUND).await?;
                let before = std::mem::replace(&mut stage, progress.stage()?);
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

/// Progress of the sweep of a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Every record is there.
    Whole,
    /// Some are.
    Sweeping,
    /// None is.
    Swept,
}

/// The records of a store, in the index.
#[derive(Debug)]
pub struct SweepProgress {
    connection: Connection,
    prefix: Vec<u8>,
    first: Option<Vec<u8>>,
}

impl SweepProgress {
    /// Begins to look at the records of `store` in the data folder `data`.
    pub fn begin(data: &Path, store: &str) -> Outcome<Self> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY;
        let connection = Connection::open_with_flags(data.join("index.sqlite"), flags)?;
        let prefix = format!("larder/permanent/{store}/").into_bytes();
        let mut progress = Self { connection, prefix, first: None };
        progress.first = progress.look()?;
        if progress.first.is_some() { Ok(progress) } else { Err("the store has no records".into()) }
    }

    /// Returns the progress of the sweep. It follows the order of keys, so the first key shows it.
    pub fn stage(&self) -> Outcome<Stage> {
        let first = self.look()?;
        Ok(match first {
            None => Stage::Swept,
            first if first == self.first => Stage::Whole,
            Some(_) => Stage::Sweeping,
        })
    }

    fn look(&self) -> Outcome<Option<Vec<u8>>> {
        let behind = [&self.prefix[..], &[0xff]].concat();
        let first = self
            .connection
            .prepare_cached("SELECT key FROM objects WHERE key > ?1 AND key < ?2 ORDER BY key LIMIT 1")?
            .query_row((&self.prefix, behind), |row| row.get(0));
        Ok(first.optional()?)
    }
}

/// Bytes that the folder takes on the disk.
pub fn disk_usage(folder: &Path) -> Outcome<u64> {
    let mut bytes = 0;
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        // A file may go while it is counted.
        bytes += if path.is_dir() { disk_usage(&path)? } else { fs::metadata(&path).map_or(0, |found| found.len()) };
    }
    Ok(bytes)
}
