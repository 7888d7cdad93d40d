//! Cost of Larder per request: GET and PUT of small and large records at 32 connections, against a bare hyper server
//! that answers at once with the same bytes. `docs/PERFORMANCE.md` says how to read the tables.
//!
//! ```text
//! cargo bench --bench http               less than three minutes
//! cargo bench --bench http -- --quick    less than 40 seconds
//! cargo bench --bench http -- --only GET, or a larger part of the cases' names
//! ```
#![expect(clippy::disallowed_methods, reason = "a benchmark measures the time of day's passing itself")]
#![expect(clippy::print_stdout, reason = "its tables are what a benchmark is for")]
#![expect(clippy::print_stderr, reason = "errors and progress")]

mod cases;
mod disk;
#[path = "../load/mod.rs"]
mod load;
#[path = "../program/mod.rs"]
mod program;
#[path = "../report/mod.rs"]
mod report;
mod tables;

use std::{env, process::ExitCode, time::Instant};

use cases::{CASES, FULL, QUICK};
use load::{
    case::{Case, Effort, LARGEST_BODY, Verb, pattern},
    clients::Load,
    clients::Request,
    hyper_baseline,
    variant::{Variant, interleave},
};
use program::Program;
use report::{Outcome, ended, nothing_to_measure};
use tables::Row;

/// Task that the arguments select.
enum Task {
    /// The cases whose names hold this text.
    Measure(Effort, String),
    ServeBare,
    Nothing,
}

fn main() -> ExitCode {
    let done = match task() {
        Ok(Task::Measure(effort, only)) => measure(effort, &only),
        Ok(Task::ServeBare) => hyper_baseline::serve(),
        Ok(Task::Nothing) => nothing_to_measure(),
        Err(error) => Err(error),
    };
    ended(done)
}

/// `cargo bench` adds `--bench`; without it this is a run of tests, which have nothing to measure.
fn task() -> Outcome<Task> {
    let (mut effort, mut only, mut is_bench) = (FULL, String::new(), false);
    let mut arguments = env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--bench" => is_bench = true,
            "--quick" => effort = QUICK,
            "--only" => only = arguments.next().ok_or("--only needs a part of the cases' names")?,
            hyper_baseline::ARGUMENT => return Ok(Task::ServeBare),
            _ => return Err(format!("unknown argument {argument}; there are --quick and --only NAME").into()),
        }
    }
    Ok(if is_bench { Task::Measure(effort, only) } else { Task::Nothing })
}

fn measure(effort: Effort, only: &str) -> Outcome<()> {
    // Beside the build, since the system's folder for temporary files may be memory, where syncing costs nothing.
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
    let mut disk = disk::measure(folder.path())?;
    let data = folder.path().join("data");
    let settings = [("LARDER_DATA", data.to_str().ok_or("the folder's path is not Unicode")?)];
    let larder = Program::start(program::larder(folder.path(), &settings), &folder.path().join("log"))?;
    let store = larder.create_store()?;
    let servers = Servers { larder, bare: hyper_baseline::start(folder.path())? };
    let pattern = pattern(LARGEST_BODY);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let started = Instant::now();
    let mut rows = Vec::new();
    for case in CASES.into_iter().filter(|case| case.name.contains(only)) {
        eprintln!("{:>4} s  {}", started.elapsed().as_secs(), case.name);
        rows.push(runtime.block_on(servers.measure(case, effort, &store, &pattern))?);
    }
    println!("{}", tables::ratios(&rows));
    println!("{}", tables::figures(&rows));
    println!(
        "The disk by itself: {}; {}.",
        tables::disk("4 KiB", &mut disk.small),
        tables::disk("16 MiB", &mut disk.large)
    );
    Ok(())
}

struct Servers {
    larder: Program,
    bare: Program,
}

impl Servers {
    async fn measure(&self, case: Case, effort: Effort, store: &str, pattern: &[u8]) -> Outcome<Row> {
        let Case { keys, connections, .. } = case;
        let request = Request::to_larder(&case, case.verb, store, pattern)?;
        if case.verb == Verb::Get {
            let put = Request::to_larder(&case, Verb::Put, store, pattern)?;
            Load::open(self.larder.address, &put, keys, connections).await?.sweep(None).await?;
        }
        let mut variants = Vec::new();
        for server in [&self.larder, &self.bare] {
            let mut load = Load::open(server.address, &request, keys, connections).await?;
            if case.verb == Verb::Get {
                load.sweep(Some(pattern)).await?;
            }
            variants.push(Variant::new(load, vec![server.child.id()]));
        }
        interleave(&mut variants, effort).await?;
        let variants = variants.try_into().map_err(|_| "there are two variants")?;
        Ok(Row { case, variants })
    }
}
