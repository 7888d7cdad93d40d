//! Compares the cost of a store of a million records with one of a thousand: both in one folder, in turn; first inside
//! the process, through the catalog over the embedded engine, and then as a client sees it, by requests to the program.
//! `docs/PERFORMANCE.md` says how to read the tables.
//!
//! ```text
//! cargo bench --bench large_store                        a million records
//! cargo bench --bench large_store -- --quick             100,000 records, fewer places
//! cargo bench --bench large_store -- --records 5000000
//! ```
//!
//! Fails when a ratio is above the promised maximum: of opening inside the process, and of every request.
#![expect(clippy::disallowed_methods, reason = "a benchmark measures the passing of time itself")]
#![expect(clippy::print_stdout, reason = "its table is what a benchmark is for")]
#![expect(clippy::print_stderr, reason = "errors and progress")]

mod measure;
#[path = "../populate/mod.rs"]
mod populate;
#[path = "../program/mod.rs"]
mod program;
#[path = "../report/mod.rs"]
mod report;
mod requests;

use std::{
    env,
    path::Path,
    process::ExitCode,
    sync::Arc,
    time::{Duration, Instant},
};

use larder::{
    clock::{Clock, Random, SystemClock, SystemRandom},
    kv::{Records, StoreLocator},
    storage::embedded::{EmbeddedOptions, EmbeddedStore},
};

use measure::{Engine, OPERATIONS, Operation, Subject};
use program::Program;
use report::{Draws, Outcome, Samples, ended, nothing_to_measure, ratio, table};
use requests::{Client, REQUESTS, Target};

/// Records of the small store.
const FEW: u64 = 1_000;

/// Visits to the same places; the last is the one that counts.
const ROUNDS: usize = 2;

/// Maximum ratio that is promised for the p50.
const PROMISED_P50: f64 = 1.5;
const PROMISED_P99: f64 = 3.0;

#[derive(Debug, Clone, Copy)]
struct Effort {
    records: u64,
    places: usize,
}

fn main() -> ExitCode {
    let done = match effort() {
        Ok(Some(effort)) => run(effort),
        Ok(None) => nothing_to_measure(),
        Err(error) => Err(error),
    };
    ended(done)
}

/// `cargo bench` adds `--bench`; without it this is a run of tests, which have nothing to measure.
fn effort() -> Outcome<Option<Effort>> {
    let mut effort = Effort { records: 1_000_000, places: 10_000 };
    let mut is_bench = false;
    let mut arguments = env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--bench" => is_bench = true,
            "--quick" => effort = Effort { records: 100_000, places: 2_000 },
            "--records" => effort.records = arguments.next().ok_or("--records needs a number")?.parse()?,
            _ => return Err(format!("unknown argument {argument}; there are --quick and --records N").into()),
        }
    }
    if effort.records < FEW {
        return Err(format!("--records must be at least {FEW}").into());
    }
    Ok(is_bench.then_some(effort))
}

fn run(effort: Effort) -> Outcome<()> {
    // Beside the build, since the system's folder for temporary files may be memory, where syncing costs nothing.
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    // As the server does: operations run on a thread of the runtime.
    let path = folder.path().to_owned();
    runtime.block_on(async { tokio::spawn(async move { compare(&path, effort).await }).await? })
}

/// The heads of the columns of figures.
const HEADS: [&str; 6] = ["p50", "p99", "p50 us many", "p50 us few", "p99 us many", "p99 us few"];

async fn compare(folder: &Path, effort: Effort) -> Outcome<()> {
    let data = folder.join("data");
    let targets = {
        let program = start(folder, &data)?;
        let few = Target { id: program.create_store()?, count: FEW };
        [few, Target { id: program.create_store()?, count: effort.records }]
    };
    let opens_alike = inside(&data, &targets, effort).await?;
    let program = start(folder, &data)?;
    let answers_alike = outside(&mut Client::open(&program)?, &targets, effort)?;
    println!("Many: {}. Few: {FEW}. Promised: p50 {PROMISED_P50}, p99 {PROMISED_P99}.", effort.records);
    if opens_alike && answers_alike { Ok(()) } else { Err("a ratio is above what is promised".into()) }
}

/// Returns the program over the engine in `data`.
fn start(folder: &Path, data: &Path) -> Outcome<Program> {
    let data = data.to_str().ok_or("the folder's path is not Unicode")?;
    Program::start(program::larder(folder, &[("LARDER_DATA", data)]), &folder.join("log"))
}

/// Fills both stores and measures inside the process. Returns `true` if opening one keeps the promise.
async fn inside(data: &Path, targets: &[Target; 2], effort: Effort) -> Outcome<bool> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let random: Arc<dyn Random> = Arc::new(SystemRandom);
    let objects = Arc::new(EmbeddedStore::open(&EmbeddedOptions::new(data), Arc::clone(&clock))?);
    let engine = Engine { objects: objects.clone(), clock: Arc::clone(&clock), random: Arc::clone(&random) };
    let catalog = engine.catalog();
    let records = Arc::new(catalog.records());
    let mut subjects = Vec::new();
    for Target { id, count } in targets {
        let store = catalog.resolve(&StoreLocator::Id(id.parse()?)).await?;
        let started = Instant::now();
        populate::populate(&records, &store, *count).await?;
        eprintln!("filled a store with {count} records in {:.1} s", started.elapsed().as_secs_f64());
        subjects.push(Subject { store, count: *count });
    }
    let [few, many] = &subjects[..] else { return Err("there are two stores".into()) };
    let mut rows = Vec::new();
    let mut opens_alike = true;
    for (name, operation) in OPERATIONS {
        let measured = measure(&engine, &records, [few, many], operation, effort.places).await?;
        opens_alike &= operation != Operation::Open || measured.is_kept();
        rows.push(measured.row(name));
    }
    let heads: Vec<_> = ["inside the process"].into_iter().chain(HEADS).collect();
    println!("{}", table(&heads, &rows));
    catalog.close().await?;
    objects.close().await;
    Ok(opens_alike)
}

/// Measures by requests to the program. Returns `true` if they keep the promise.
fn outside(client: &mut Client, targets: &[Target; 2], effort: Effort) -> Outcome<bool> {
    let mut rows = Vec::new();
    let mut is_kept = true;
    for (name, request) in REQUESTS {
        let mut times = [Samples::with_room(0), Samples::with_room(0)];
        for _ in 0..ROUNDS {
            let mut draws = Draws::new(1);
            times = [Samples::with_room(effort.places), Samples::with_room(effort.places)];
            for place in 0..effort.places {
                for index in if place % 2 == 0 { [0, 1] } else { [1, 0] } {
                    times[index].push(targets[index].time(client, request, &mut draws)?);
                }
            }
        }
        let measured = Measured::of(times);
        is_kept &= measured.is_kept();
        rows.push(measured.row(name));
    }
    let heads: Vec<_> = ["request for"].into_iter().chain(HEADS).collect();
    println!("{}", table(&heads, &rows));
    Ok(is_kept)
}

/// Measurements of both stores.
struct Measured {
    /// p50 many, p50 few, p99 many, p99 few.
    times: [Duration; 4],
}

impl Measured {
    fn of([mut few, mut many]: [Samples; 2]) -> Self {
        Self { times: [many.p50(), few.p50(), many.p99(), few.p99()] }
    }

    fn ratios(&self) -> [f64; 2] {
        [ratio(self.times[0], self.times[1]), ratio(self.times[2], self.times[3])]
    }

    fn is_kept(&self) -> bool {
        let [p50, p99] = self.ratios();
        p50 <= PROMISED_P50 && p99 <= PROMISED_P99
    }

    fn row(&self, name: &str) -> Vec<String> {
        let mut row = vec![name.to_owned()];
        row.extend(self.ratios().map(|ratio| format!("{ratio:.2}")));
        row.extend(self.times.map(|time| format!("{:.1}", time.as_secs_f64() * 1e6)));
        row
    }
}

/// Does an operation at all places of both stores, in the process.
async fn measure(
    engine: &Engine,
    records: &Records,
    subjects: [&Subject; 2],
    operation: Operation,
    places: usize,
) -> Outcome<Measured> {
    // Each round visits the same places, so that the one that counts finds both stores as warm as use leaves them.
    let mut times = visit(engine, records, subjects, operation, places).await?;
    for _ in 1..ROUNDS {
        times = visit(engine, records, subjects, operation, places).await?;
    }
    Ok(Measured::of(times))
}

/// Does an operation so many times. Returns the duration of each in either store.
async fn visit(
    engine: &Engine,
    records: &Records,
    subjects: [&Subject; 2],
    operation: Operation,
    places: usize,
) -> Outcome<[Samples; 2]> {
    let mut draws = Draws::new(1);
    let mut times = [Samples::with_room(places), Samples::with_room(places)];
    for place in 0..places {
        // In turn, and each first in every other turn.
        for index in if place % 2 == 0 { [0, 1] } else { [1, 0] } {
            times[index].push(engine.time(records, subjects[index], operation, &mut draws).await?);
        }
    }
    Ok(times)
}
