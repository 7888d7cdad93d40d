//! Cost of Larder between a client and an object store: GET and PUT of small and large records through it, through
//! nginx, and without anything in between; over a real object store, and over a stand-in that answers at once; beside a
//! bare hyper server, and a relay that reads none of the bytes it passes on. `docs/PERFORMANCE.md` says how to read the
//! tables.
//!
//! ```text
//! cargo xtask bench gateway                  starts an object store for it
//! cargo bench --bench gateway                over the one that LARDER_TEST_S3_ and AWS_ variables name
//! cargo bench --bench gateway -- --quick     less of everything
//! cargo bench --bench gateway -- --only "stand-in: GET", or another part of the cases' names
//! cargo bench --bench gateway -- --instructions    counts instructions instead; a few minutes
//! cargo bench --bench gateway -- --overload        asks for four times what can be done; two minutes
//! cargo xtask bench rivals garage            Larder over a folder beside an object store on the same disk
//! ```
#![expect(
    clippy::disallowed_methods,
    reason = "a benchmark measures the time of day's passing itself, and waits for it"
)]
#![expect(clippy::print_stdout, reason = "its tables are what a benchmark is for")]
#![expect(clippy::print_stderr, reason = "errors and progress")]

mod cases;
mod contest;
#[path = "../figures/mod.rs"]
mod figures;
mod instructions;
#[path = "../load/mod.rs"]
mod load;
mod nginx;
mod overload;
#[path = "../program/mod.rs"]
mod program;
mod relay;
mod report;
mod rivals;
mod stand_in;
mod store;

use std::{
    env,
    net::SocketAddr,
    path::Path,
    process::ExitCode,
    time::{Duration, Instant},
};

use cases::{ALONE, CASES, FULL, QUICK, ROUND_ALONE, ROUNDS_ALONE};
use contest::{Contest, Row};
use figures::{Outcome, ended, nothing_to_measure};
use load::{
    bare,
    case::{Case, Effort, LARGEST_BODY, pattern},
};
use program::Program;
use store::Store;
use tokio::runtime::Runtime;

/// Task that the arguments select.
enum Task {
    /// The cases whose names hold this text.
    Measure(Effort, String),
    Count,
    Overload,
    Rivals(Effort),
    ServeBare,
    /// It passes on to there.
    ServeRelay(SocketAddr),
    /// It takes so long for a record.
    ServeStandIn(Duration),
    Nothing,
}

fn main() -> ExitCode {
    let done = match task() {
        Ok(Task::Measure(effort, only)) => measure(effort, &only),
        Ok(Task::Count) => count(),
        Ok(Task::Overload) => overload(),
        Ok(Task::Rivals(effort)) => rivals(effort),
        Ok(Task::ServeBare) => bare::serve(),
        Ok(Task::ServeRelay(store)) => relay::serve(store),
        Ok(Task::ServeStandIn(time)) => stand_in::serve(time),
        Ok(Task::Nothing) => nothing_to_measure(),
        Err(error) => Err(error),
    };
    ended(done)
}

/// Measurement that replaces the usual cases.
enum Special {
    Instructions,
    Overload,
    Rivals,
}

/// `cargo bench` adds `--bench`; without it this is a run of tests, which have nothing to measure.
fn task() -> Outcome<Task> {
    let (mut effort, mut only, mut is_bench) = (FULL, String::new(), false);
    let mut special = None;
    let mut arguments = env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--bench" => is_bench = true,
            "--quick" => effort = QUICK,
            "--only" => only = arguments.next().ok_or("--only needs a part of the cases' names")?,
            "--instructions" => special = Some(Special::Instructions),
            "--overload" => special = Some(Special::Overload),
            "--rivals" => special = Some(Special::Rivals),
            bare::ARGUMENT => return Ok(Task::ServeBare),
            relay::ARGUMENT => return Ok(Task::ServeRelay(arguments.next().unwrap_or_default().parse()?)),
            stand_in::ARGUMENT => return Ok(Task::ServeStandIn(Duration::ZERO)),
            stand_in::SLOW_ARGUMENT => return Ok(Task::ServeStandIn(overload::SERVICE)),
            _ => {
                let known = "there are --quick, --only NAME, --instructions, --overload and --rivals";
                return Err(format!("unknown argument {argument}; {known}").into());
            }
        }
    }
    Ok(match special {
        _ if !is_bench => Task::Nothing,
        Some(Special::Instructions) => Task::Count,
        Some(Special::Overload) => Task::Overload,
        Some(Special::Rivals) => Task::Rivals(effort),
        None => Task::Measure(effort, only),
    })
}

fn runtime() -> Outcome<Runtime> {
    Ok(tokio::runtime::Builder::new_current_thread().enable_all().build()?)
}

fn count() -> Outcome<()> {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
    println!("{}", runtime()?.block_on(instructions::count(folder.path(), &pattern(LARGEST_BODY)))?);
    Ok(())
}

fn overload() -> Outcome<()> {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
    println!("{}", runtime()?.block_on(overload::measure(folder.path()))?);
    Ok(())
}

fn rivals(effort: Effort) -> Outcome<()> {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
    let (store, bare) = (Store::of_environment()?, bare::start(folder.path())?);
    let pattern = pattern(LARGEST_BODY);
    let measured = rivals::measure(folder.path(), &store, &bare, effort, &pattern);
    let (ratios, figures) = runtime()?.block_on(measured)?;
    println!("{ratios}\n{figures}");
    Ok(())
}

fn measure(effort: Effort, only: &str) -> Outcome<()> {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
    let bench = Bench {
        folder: folder.path(),
        bare: bare::start(folder.path())?,
        runtime: runtime()?,
        pattern: pattern(LARGEST_BODY),
        started: Instant::now(),
        only,
    };
    let stand_in = stand_in::start(folder.path())?;
    let stand_in = || Ok(Store::stand_in(stand_in.address, stand_in.child.id()));
    for (name, rows) in [
        ("object store", bench.rows("object store", Store::of_environment, &CASES, effort)?),
        ("stand-in", bench.rows("stand-in", stand_in, &CASES, effort)?),
    ] {
        if !rows.is_empty() {
            println!("{}", report::ratios(name, &rows));
            println!("{}", report::figures(name, &rows));
        }
    }
    let alone = Effort { rounds: ROUNDS_ALONE, round: ROUND_ALONE, case: effort.case };
    let rows = bench.rows("one connection", stand_in, &ALONE, alone)?;
    if !rows.is_empty() {
        println!("{}", report::added(&rows));
    }
    Ok(())
}

struct Bench<'a> {
    folder: &'a Path,
    bare: Program,
    runtime: Runtime,
    pattern: Vec<u8>,
    started: Instant,
    /// A part of the names of cases that are wanted.
    only: &'a str,
}

impl Bench<'_> {
    /// Measures what is wanted of `cases` over an object store, which is only looked for if anything is.
    fn rows(
        &self,
        name: &str,
        store: impl FnOnce() -> Outcome<Store>,
        cases: &[Case],
        effort: Effort,
    ) -> Outcome<Vec<Row>> {
        let full_name = |case: &Case| format!("{name}: {}", case.name);
        let wanted: Vec<_> = cases.iter().filter(|case| full_name(case).contains(self.only)).collect();
        let mut rows = Vec::new();
        if !wanted.is_empty() {
            let contest = Contest::start(&self.folder.join(name), store()?, &self.bare)?;
            for case in wanted {
                eprintln!("{:>4} s  {}", self.started.elapsed().as_secs(), full_name(case));
                rows.push(self.runtime.block_on(contest.measure(*case, effort, &self.pattern))?);
            }
        }
        Ok(rows)
    }
}
