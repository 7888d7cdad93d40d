//! Cost of the sweep for concurrent requests: stores of a million records in all are deleted in the data folder of the
//! program, one after the other, and their records are removed as those of expired ones are, while the records of
//! another are read and written. `docs/PERFORMANCE.md` says how to read the table.
//!
//! ```text
//! cargo bench --bench expiry_sweep                      a million records
//! cargo bench --bench expiry_sweep -- --quick           100,000 records
//! cargo bench --bench expiry_sweep -- --records 5000000 --stores 20
//! ```
//!
//! Fails when a read during the sweep is slower than promised, or the sweep, or when the space does not come back.
#![expect(clippy::disallowed_methods, reason = "a benchmark measures the passing of time itself")]
#![expect(clippy::print_stdout, reason = "its table is what a benchmark is for")]
#![expect(clippy::print_stderr, reason = "errors and progress")]

#[expect(dead_code, reason = "nothing is compared with a bare server here")]
#[path = "../load/mod.rs"]
mod load;
#[path = "../populate/mod.rs"]
mod populate;
#[path = "../program/mod.rs"]
mod program;
#[path = "../report/mod.rs"]
mod report;
mod rounds;

use std::{
    env,
    path::Path,
    process::ExitCode,
    sync::Arc,
    time::{Duration, Instant},
};

use larder::{
    clock::{Clock, Random, SystemClock, SystemRandom},
    kv::{Catalog, CatalogOptions, StoreLocator},
    storage::embedded::{EmbeddedOptions, EmbeddedStore},
};

use program::Program;
use report::{Outcome, ended, nothing_to_measure};
use rounds::{Rounds, SweepProgress};

/// Maximum ratio that is promised for the p99 of a read, during the sweep to before it.
const PROMISED: f64 = 2.0;

/// Timeout for sweeping all records.
const SWEEP_LIMIT: Duration = Duration::from_mins(10);

/// Maximum disk usage that may remain of the records: the space that is kept for the next writes.
const BYTES_KEPT: u64 = 64 * 1024 * 1024;

/// Duration of the measurement before a store is deleted.
const QUIET: Duration = Duration::from_secs(5);

#[derive(Debug, Clone, Copy)]
struct Effort {
    records: u64,
    stores: u64,
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
    let mut effort = Effort { records: 1_000_000, stores: 5 };
    let mut is_bench = false;
    let mut arguments = env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--bench" => is_bench = true,
            "--quick" => effort.records = 100_000,
            "--records" => effort.records = arguments.next().ok_or("--records needs a number")?.parse()?,
            "--stores" => effort.stores = arguments.next().ok_or("--stores needs a number")?.parse()?,
            _ => return Err(format!("unknown argument {argument}; there are --quick, --records N, --stores N").into()),
        }
    }
    if effort.stores == 0 || effort.records < effort.stores {
        return Err("there must be a store, and a record in each".into());
    }
    Ok(is_bench.then_some(effort))
}

fn run(effort: Effort) -> Outcome<()> {
    // Beside the build, since the system's folder for temporary files may be memory, where syncing costs nothing.
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
    let data = folder.path().join("data");
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let (living, passing) = {
        let program = start(folder.path(), &data)?;
        let body = r#"{"name": "living"}"#;
        let living = program.ask("POST", "/v2/key-value-stores?name=living", body)?;
        let living = living.pointer("/data/id").and_then(serde_json::Value::as_str).ok_or("no store was made")?;
        let passing = (0..effort.stores).map(|_| program.create_store()).collect::<Outcome<Vec<_>>>()?;
        (living.to_owned(), passing)
    };
    {
        // As the server does: operations run on threads of the runtime.
        let (data, passing) = (data.clone(), passing.clone());
        runtime.block_on(async { tokio::spawn(async move { fill(&data, &passing, effort).await }).await? })?;
    }
    let full = rounds::disk_usage(&data)?;
    let program = start(folder.path(), &data)?;
    let rounds = runtime.block_on(measure(&program, &data, &living, &passing))?;
    report(effort, &data, full, rounds)
}

/// Returns the program over the engine in `data`.
fn start(folder: &Path, data: &Path) -> Outcome<Program> {
    let data = data.to_str().ok_or("the folder's path is not Unicode")?;
    Program::start(program::larder(folder, &[("LARDER_DATA", data)]), &folder.join("log"))
}

/// Writes the records, as many into each store.
async fn fill(data: &Path, stores: &[String], effort: Effort) -> Outcome<()> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let random: Arc<dyn Random> = Arc::new(SystemRandom);
    let objects = Arc::new(EmbeddedStore::open(&EmbeddedOptions::new(data), Arc::clone(&clock))?);
    let catalog = Arc::new(Catalog::new(objects.clone(), clock, random, &CatalogOptions::default()));
    let records = Arc::new(catalog.records());
    let started = Instant::now();
    for id in stores {
        let store = catalog.resolve(&StoreLocator::Id(id.parse()?)).await?;
        populate::populate(&records, &store, effort.records / effort.stores).await?;
    }
    eprintln!("filled {} stores with {} records in {:.1} s", effort.stores, effort.records, seconds(started.elapsed()));
    catalog.close().await?;
    objects.close().await;
    Ok(())
}

/// Reads and writes in rounds, while one store after the other expires and is swept.
async fn measure(program: &Program, data: &Path, living: &str, passing: &[String]) -> Outcome<Rounds> {
    let mut rounds = Rounds::open(program, living).await?;
    for id in passing {
        let watch = SweepProgress::begin(data, id)?;
        rounds.go_on(&watch, QUIET).await?;
        program.ask("DELETE", &format!("/v2/key-value-stores/{id}"), "")?;
        if !rounds.go_on(&watch, SWEEP_LIMIT).await? || rounds.sweeping() > SWEEP_LIMIT {
            return Err(format!("the records were not swept in {} s", SWEEP_LIMIT.as_secs()).into());
        }
        eprintln!("a store is swept");
    }
    Ok(rounds)
}

fn report(effort: Effort, data: &Path, full: u64, rounds: Rounds) -> Outcome<()> {
    let took = rounds.sweeping();
    let (table, worst) = rounds.report();
    println!("{table}");
    let left = rounds::disk_usage(data)?;
    println!(
        "{} records in {} stores were swept in {:.0} s; the data folder took {} MiB before, {} MiB after.",
        effort.records,
        effort.stores,
        seconds(took),
        full / load::case::MIB as u64,
        left / load::case::MIB as u64,
    );
    println!("Promised: p99 of a read {PROMISED} times at most.");
    if left > BYTES_KEPT {
        return Err("the space has not come back".into());
    }
    if worst > PROMISED { Err("a read was slower than promised".into()) } else { Ok(()) }
}

fn seconds(time: Duration) -> f64 {
    time.as_secs_f64()
}
