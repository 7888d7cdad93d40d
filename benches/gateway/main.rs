//! Cost of Larder between a client and an object store: GET and PUT of small and large records through it, through
//! nginx, and without anything in between; over a real object store, and over a stub that answers at once; beside a
//! bare hyper server, and a relay that reads none of the bytes it passes on. `docs/PERFORMANCE.md` says how to read the
//! tables.
//!
//! ```text
//! cargo xtask bench gateway                  starts an object store for it
//! cargo bench --bench gateway                over the one that LARDER_TEST_S3_ and AWS_ variables name
//! cargo bench --bench gateway -- --quick     less of everything
//! cargo bench --bench gateway -- --only "stub: GET", or another part of the cases' names
//! cargo bench --bench gateway -- --against ../before/larder   adds another build of Larder
//! cargo bench --bench gateway -- --instructions    counts instructions instead; a few minutes
//! cargo bench --bench gateway -- --overload        asks for four times what can be done; two minutes
//! cargo xtask bench competitors garage            Larder over a folder beside an object store on the same disk
//! ```
#![expect(
    clippy::disallowed_methods,
    reason = "a benchmark measures the time of day's passing itself, and waits for it"
)]
#![expect(clippy::print_stdout, reason = "its tables are what a benchmark is for")]
#![expect(clippy::print_stderr, reason = "errors and progress")]

mod cases;
mod competitors;
mod instructions;
#[path = "../load/mod.rs"]
mod load;
mod matchup;
mod nginx;
mod overload;
#[path = "../program/mod.rs"]
mod program;
mod proxy_floor;
#[path = "../report/mod.rs"]
mod report;
mod store;
mod stub_s3;
mod tables;

use std::{
    env,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::ExitCode,
    time::{Duration, Instant},
};

use cases::{ALONE, CASES, FULL, QUICK, ROUND_ALONE, ROUNDS_ALONE};
use load::{
    case::{Case, Effort, LARGEST_BODY, pattern},
    hyper_baseline,
    variant::other_build,
};
use matchup::{Matchup, Row};
use program::Program;
use report::{Outcome, ended, nothing_to_measure};
use store::Store;
use tokio::runtime::Runtime;

/// Task that the arguments select.
enum Task {
    /// The cases whose names contain this text, with another build of Larder if there is one.
    Measure(Effort, String, Option<PathBuf>),
    Count,
    Overload,
    Competitors(Effort),
    ServeBare,
    /// It passes on to there.
    ServeRelay(SocketAddr),
    /// It takes so long for a record.
    ServeStub(Duration),
    Nothing,
}

fn main() -> ExitCode {
    let done = match task() {
        Ok(Task::Measure(effort, only, against)) => measure(effort, &only, against.as_deref()),
        Ok(Task::Count) => count(),
        Ok(Task::Overload) => overload(),
        Ok(Task::Competitors(effort)) => competitors(effort),
        Ok(Task::ServeBare) => hyper_baseline::serve(),
        Ok(Task::ServeRelay(store)) => proxy_floor::serve(store),
        Ok(Task::ServeStub(time)) => stub_s3::serve(time),
        Ok(Task::Nothing) => nothing_to_measure(),
        Err(error) => Err(error),
    };
    ended(done)
}

/// Measurement that replaces the usual cases.
enum Special {
    Instructions,
    Overload,
    Competitors,
}

/// `cargo bench` adds `--bench`; without it this is a run of tests, which have nothing to measure.
fn task() -> Outcome<Task> {
    let (mut effort, mut only, mut is_bench) = (FULL, String::new(), false);
    let (mut special, mut against) = (None, None);
    let mut arguments = env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--bench" => is_bench = true,
            "--quick" => effort = QUICK,
            "--only" => only = arguments.next().ok_or("--only needs a part of the cases' names")?,
            "--against" => against = Some(other_build(arguments.next())?),
            "--instructions" => special = Some(Special::Instructions),
            "--overload" => special = Some(Special::Overload),
            "--competitors" => special = Some(Special::Competitors),
            hyper_baseline::ARGUMENT => return Ok(Task::ServeBare),
            proxy_floor::ARGUMENT => return Ok(Task::ServeRelay(arguments.next().unwrap_or_default().parse()?)),
            stub_s3::ARGUMENT => return Ok(Task::ServeStub(Duration::ZERO)),
            stub_s3::SLOW_ARGUMENT => return Ok(Task::ServeStub(overload::SERVICE)),
            _ => {
                let known =
                    "there are --quick, --only NAME, --against PROGRAM, --instructions, --overload and --competitors";
                return Err(format!("unknown argument {argument}; {known}").into());
            }
        }
    }
    if special.is_some() && against.is_some() {
        return Err("--against does not go with --instructions, --overload and --competitors".into());
    }
    Ok(match special {
        _ if !is_bench => Task::Nothing,
        Some(Special::Instructions) => Task::Count,
        Some(Special::Overload) => Task::Overload,
        Some(Special::Competitors) => Task::Competitors(effort),
        None => Task::Measure(effort, only, against),
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

fn competitors(effort: Effort) -> Outcome<()> {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
    let (store, bare) = (Store::of_environment()?, hyper_baseline::start(folder.path())?);
    let pattern = pattern(LARGEST_BODY);
    let measured = competitors::measure(folder.path(), &store, &bare, effort, &pattern);
    let (ratios, figures) = runtime()?.block_on(measured)?;
    println!("{ratios}\n{figures}");
    Ok(())
}

fn measure(effort: Effort, only: &str, against: Option<&Path>) -> Outcome<()> {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
    let bench = Bench {
        folder: folder.path(),
        bare: hyper_baseline::start(folder.path())?,
        runtime: runtime()?,
        pattern: pattern(LARGEST_BODY),
        started: Instant::now(),
        only,
        against,
    };
    let stub = stub_s3::start(folder.path())?;
    let stub = || Ok(Store::stub(stub.address, stub.child.id()));
    for (name, rows) in [
        ("object store", bench.rows("object store", Store::of_environment, &CASES, effort)?),
        ("stub", bench.rows("stub", stub, &CASES, effort)?),
    ] {
        if !rows.is_empty() {
            println!("{}", tables::ratios(name, &rows));
            println!("{}", tables::figures(name, &rows));
        }
    }
    let alone = Effort { rounds: ROUNDS_ALONE, round: ROUND_ALONE, case: effort.case };
    let rows = bench.rows("one connection", stub, &ALONE, alone)?;
    if !rows.is_empty() {
        println!("{}", tables::added(&rows));
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
    /// Another build of Larder.
    against: Option<&'a Path>,
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
            let matchup = Matchup::start(&self.folder.join(name), store()?, &self.bare, self.against)?;
            for case in wanted {
                eprintln!("{:>4} s  {}", self.started.elapsed().as_secs(), full_name(case));
                rows.push(self.runtime.block_on(matchup.measure(*case, effort, &self.pattern))?);
            }
        }
        Ok(rows)
    }
}
