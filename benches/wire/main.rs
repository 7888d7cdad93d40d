//! What Larder costs on the wire: GET and PUT of small and large records at 32 connections, against a bare hyper server
//! that answers at once with the same bytes. `docs/PERFORMANCE.md` says how to read the tables.
//!
//! ```text
//! cargo bench --bench wire               less than three minutes
//! cargo bench --bench wire -- --quick    less than 40 seconds
//! cargo bench --bench wire -- --only GET, or a larger part of the cases' names
//! ```
#![expect(clippy::disallowed_methods, reason = "a benchmark measures the time of day's passing itself")]
#![expect(clippy::print_stdout, reason = "its tables are what a benchmark is for")]
#![expect(clippy::print_stderr, reason = "errors and progress")]

mod bare;
mod connection;
mod disk;
#[path = "../figures/mod.rs"]
mod figures;
mod load;
mod plan;
mod process;
mod report;
mod server;

use std::{
    env,
    process::ExitCode,
    time::{Duration, Instant},
};

use connection::Request;
use figures::Outcome;
use load::Load;
use plan::{CASES, Case, Effort, LARGEST_BODY, Verb, pattern};
use report::{Row, Side};
use server::Server;

/// After a round, for work that a server does behind its answers: it counts as the round's.
const SETTLING: Duration = Duration::from_millis(40);

/// What the arguments ask for.
enum Task {
    /// The cases whose names hold this text.
    Measure(Effort, String),
    ServeBare,
    Nothing,
}

fn main() -> ExitCode {
    let done = match task() {
        Ok(Task::Measure(effort, only)) => measure(effort, &only),
        Ok(Task::ServeBare) => bare::serve(),
        Ok(Task::Nothing) => {
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
fn task() -> Outcome<Task> {
    let (mut effort, mut only, mut is_bench) = (Effort::FULL, String::new(), false);
    let mut arguments = env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--bench" => is_bench = true,
            "--quick" => effort = Effort::QUICK,
            "--only" => only = arguments.next().ok_or("--only needs a part of the cases' names")?,
            bare::ARGUMENT => return Ok(Task::ServeBare),
            _ => return Err(format!("unknown argument {argument}; there are --quick and --only NAME").into()),
        }
    }
    Ok(if is_bench { Task::Measure(effort, only) } else { Task::Nothing })
}

fn measure(effort: Effort, only: &str) -> Outcome<()> {
    // Beside the build, since the system's folder for temporary files may be memory, where syncing costs nothing.
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
    let mut disk = disk::measure(folder.path())?;
    let servers = Servers { larder: Server::larder(folder.path())?, bare: Server::bare()? };
    let store = servers.larder.create_store()?;
    let pattern = pattern(LARGEST_BODY);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let started = Instant::now();
    let mut rows = Vec::new();
    for case in CASES.into_iter().filter(|case| case.name.contains(only)) {
        eprintln!("{:>4} s  {}", started.elapsed().as_secs(), case.name);
        rows.push(runtime.block_on(servers.measure(case, effort, &store, &pattern))?);
    }
    println!("{}", report::ratios(&rows));
    println!("{}", report::figures(&rows));
    println!(
        "The disk by itself: {}; {}.",
        report::disk("4 KiB", &mut disk.small),
        report::disk("16 MiB", &mut disk.large)
    );
    Ok(())
}

struct Servers {
    larder: Server,
    bare: Server,
}

impl Servers {
    async fn measure(&self, case: Case, effort: Effort, store: &str, pattern: &[u8]) -> Outcome<Row> {
        let request = Request::new(&case, case.verb, store, pattern);
        if case.verb == Verb::Get {
            let put = Request::new(&case, Verb::Put, store, pattern);
            Load::open(self.larder.address, &put, case.keys).await?.sweep(None).await?;
        }
        let mut larder = Load::open(self.larder.address, &request, case.keys).await?;
        let mut bare = Load::open(self.bare.address, &request, case.keys).await?;
        if case.verb == Verb::Get {
            larder.sweep(Some(pattern)).await?;
            bare.sweep(Some(pattern)).await?;
        }
        let mut row = Row { case, larder: Side::default(), bare: Side::default() };
        let started = Instant::now();
        for round in 0..effort.rounds {
            if round > 0 && started.elapsed() > effort.case {
                break;
            }
            // Each goes first in every other round, so that neither has the quieter half.
            if round % 2 == 0 {
                take(&self.larder, &mut larder, effort, &mut row.larder).await?;
                take(&self.bare, &mut bare, effort, &mut row.bare).await?;
            } else {
                take(&self.bare, &mut bare, effort, &mut row.bare).await?;
                take(&self.larder, &mut larder, effort, &mut row.larder).await?;
            }
        }
        Ok(row)
    }
}

async fn take(server: &Server, load: &mut Load, effort: Effort, side: &mut Side) -> Outcome<()> {
    process::forget_peak(server.id())?;
    let before = process::cpu(server.id())?;
    let round = load.round(effort.round).await?;
    tokio::time::sleep(SETTLING).await;
    side.add(round, process::cpu(server.id())?.saturating_sub(before));
    side.peak_kib = side.peak_kib.max(process::peak_kib(server.id())?);
    Ok(())
}
