//! Whether a store of a million records costs more to use than one of a thousand: both in one folder, in turn, through
//! the catalog over the embedded engine. `docs/PERFORMANCE.md` says how to read the table.
//!
//! ```text
//! cargo bench --bench depth                        a million records
//! cargo bench --bench depth -- --quick             100,000 records, fewer places
//! cargo bench --bench depth -- --records 5000000
//! ```
//!
//! Fails when a ratio is above what is promised.
#![expect(clippy::disallowed_methods, reason = "a benchmark measures the passing of time itself")]
#![expect(clippy::print_stdout, reason = "its table is what a benchmark is for")]
#![expect(clippy::print_stderr, reason = "errors and progress")]

#[path = "../figures/mod.rs"]
mod figures;
mod fill;
mod measure;

use std::{
    env,
    path::Path,
    process::ExitCode,
    sync::Arc,
    time::{Duration, Instant},
};

use larder::{
    clock::{Clock, Random, SystemClock, SystemRandom},
    kv::{NewStore, Records, UserId},
    storage::embedded::{EmbeddedOptions, EmbeddedStore},
};

use figures::{Draws, Outcome, Samples, ratio, table};
use measure::{Engine, OPERATIONS, Operation, Subject};

/// Records of the small store.
const FEW: u64 = 1_000;

/// Visits to the same places; the last is the one that counts.
const ROUNDS: usize = 2;

/// What is promised of the ratios.
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
        Ok(None) => {
            println!("measures only under `cargo bench`");
            Ok(())
        }
        Err(error) => Err(error),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
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

async fn compare(folder: &Path, effort: Effort) -> Outcome<()> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let random: Arc<dyn Random> = Arc::new(SystemRandom);
    let options = EmbeddedOptions::new(folder.join("data"));
    let objects = Arc::new(EmbeddedStore::open(&options, Arc::clone(&clock))?);
    let engine = Engine { objects: objects.clone(), clock: Arc::clone(&clock), random: Arc::clone(&random) };
    let catalog = engine.catalog();
    let records = Arc::new(catalog.records());
    let mut subjects = Vec::new();
    for count in [FEW, effort.records] {
        let owner = UserId::generate(random.as_ref());
        let store = catalog.create(owner, NewStore::default()).await?.store;
        let started = Instant::now();
        fill::fill(&records, &store, count).await?;
        eprintln!("filled a store with {count} records in {:.1} s", started.elapsed().as_secs_f64());
        subjects.push(Subject { store, count });
    }
    let [few, many] = &subjects[..] else { return Err("there are two stores".into()) };
    let mut rows = Vec::new();
    let mut is_kept = true;
    for (name, operation) in OPERATIONS {
        let (figures, ratios) = measure(&engine, &records, [few, many], operation, effort.places).await?;
        is_kept &= ratios[0] <= PROMISED_P50 && ratios[1] <= PROMISED_P99;
        let mut row = vec![name.to_owned()];
        row.extend(ratios.map(|ratio| format!("{ratio:.2}")));
        row.extend(figures.map(|figure| format!("{figure:.1}")));
        rows.push(row);
    }
    let heads = ["many / few records", "p50", "p99", "p50 us many", "p50 us few", "p99 us many", "p99 us few"];
    println!("{}", table(&heads, &rows));
    catalog.close().await?;
    objects.close().await;
    println!("Many: {}. Few: {FEW}. Promised: p50 {PROMISED_P50}, p99 {PROMISED_P99}.", effort.records);
    if is_kept { Ok(()) } else { Err("a ratio is above what is promised".into()) }
}

/// The figures (p50 many, p50 few, p99 many, p99 few; in microseconds) and the ratios (p50, p99) of an operation.
async fn measure(
    engine: &Engine,
    records: &Records,
    subjects: [&Subject; 2],
    operation: Operation,
    places: usize,
) -> Outcome<([f64; 4], [f64; 2])> {
    // Each round visits the same places, so that the one that counts finds both stores as warm as use leaves them.
    let mut times = visit(engine, records, subjects, operation, places).await?;
    for _ in 1..ROUNDS {
        times = visit(engine, records, subjects, operation, places).await?;
    }
    let [few, many] = &mut times;
    let micros = |time: Duration| time.as_secs_f64() * 1e6;
    let figures = [many.p50(), few.p50(), many.p99(), few.p99()].map(micros);
    Ok((figures, [ratio(many.p50(), few.p50()), ratio(many.p99(), few.p99())]))
}

/// Does an operation at all places; how long each took in either store.
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
