//! Cost of Larder per request: GET and PUT of small and large records at 32 connections, against a bare hyper server
//! that answers at once with the same bytes, or against another build of Larder. `docs/PERFORMANCE.md` says how to read
//! the tables.
//!
//! ```text
//! cargo bench --bench http               less than three minutes
//! cargo bench --bench http -- --quick    less than 40 seconds
//! cargo bench --bench http -- --only GET, or a larger part of the cases' names
//! cargo bench --bench http -- --against ../before/larder, a build of Larder
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

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::ExitCode,
    time::Instant,
};

use cases::{CASES, FULL, QUICK};
use load::{
    case::{Case, Effort, LARGEST_BODY, Verb, pattern},
    clients::Load,
    clients::Request,
    hyper_baseline,
    variant::{Variant, interleave, other_build},
};
use program::Program;
use report::{Outcome, ended, nothing_to_measure};
use tables::Row;

/// Task that the arguments select.
enum Task {
    /// The cases whose names contain this text, against the bare server or another build of Larder.
    Measure(Effort, String, Option<PathBuf>),
    ServeBare,
    Nothing,
}

fn main() -> ExitCode {
    let done = match task() {
        Ok(Task::Measure(effort, only, against)) => measure(effort, &only, against.as_deref()),
        Ok(Task::ServeBare) => hyper_baseline::serve(),
        Ok(Task::Nothing) => nothing_to_measure(),
        Err(error) => Err(error),
    };
    ended(done)
}

/// `cargo bench` adds `--bench`; without it this is a run of tests, which have nothing to measure.
fn task() -> Outcome<Task> {
    let (mut effort, mut only, mut against, mut is_bench) = (FULL, String::new(), None, false);
    let mut arguments = env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--bench" => is_bench = true,
            "--quick" => effort = QUICK,
            "--only" => only = arguments.next().ok_or("--only needs a part of the cases' names")?,
            "--against" => against = Some(other_build(arguments.next())?),
            hyper_baseline::ARGUMENT => return Ok(Task::ServeBare),
            _ => {
                let known = "there are --quick, --only NAME and --against PROGRAM";
                return Err(format!("unknown argument {argument}; {known}").into());
            }
        }
    }
    Ok(if is_bench { Task::Measure(effort, only, against) } else { Task::Nothing })
}

fn measure(effort: Effort, only: &str, against: Option<&Path>) -> Outcome<()> {
    // Beside the build, since the system's folder for temporary files may be memory, where syncing costs nothing.
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
    let mut disk = disk::measure(folder.path())?;
    let larder = Server::start(None, &folder.path().join("this"))?;
    let (name, other) = match against {
        Some(program) => ("other", Server::start(Some(program), &folder.path().join("other"))?),
        None => ("bare", Server { program: hyper_baseline::start(folder.path())?, store: larder.store.clone() }),
    };
    let servers = [larder, other];
    let pattern = pattern(LARGEST_BODY);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let started = Instant::now();
    let mut rows = Vec::new();
    for case in CASES.into_iter().filter(|case| case.name.contains(only)) {
        eprintln!("{:>4} s  {}", started.elapsed().as_secs(), case.name);
        rows.push(runtime.block_on(measure_case(&servers, case, effort, &pattern))?);
    }
    println!("{}", tables::ratios(name, &rows));
    println!("{}", tables::figures(name, &rows));
    println!(
        "The disk by itself: {}; {}.",
        tables::disk("4 KiB", &mut disk.small),
        tables::disk("16 MiB", &mut disk.large)
    );
    Ok(())
}

/// A server, and the store that requests name.
struct Server {
    program: Program,
    store: String,
}

impl Server {
    /// Starts Larder over a new data folder in `folder`: this build, or the one at `program`.
    fn start(program: Option<&Path>, folder: &Path) -> Outcome<Self> {
        fs::create_dir(folder)?;
        let data = folder.join("data");
        let settings = [("LARDER_DATA", data.to_str().ok_or("the folder's path is not Unicode")?)];
        let command = match program {
            Some(program) => program::larder_at(program, folder, &settings),
            None => program::larder(folder, &settings),
        };
        let program = Program::start(command, &folder.join("log"))?;
        let store = program.create_store()?;
        Ok(Self { program, store })
    }
}

/// Measures a case with both servers in turn. The first is Larder.
async fn measure_case(servers: &[Server; 2], case: Case, effort: Effort, pattern: &[u8]) -> Outcome<Row> {
    let Case { keys, connections, .. } = case;
    let mut variants = Vec::new();
    for Server { program, store } in servers {
        if case.verb == Verb::Get {
            // The bare server accepts these, too.
            let put = Request::to_larder(&case, Verb::Put, store, pattern)?;
            Load::open(program.address, &put, keys, connections).await?.sweep(None).await?;
        }
        let request = Request::to_larder(&case, case.verb, store, pattern)?;
        let mut load = Load::open(program.address, &request, keys, connections).await?;
        if case.verb == Verb::Get {
            load.sweep(Some(pattern)).await?;
        }
        variants.push(Variant::new(load, vec![program.child.id()]));
    }
    interleave(&mut variants, effort).await?;
    let variants = variants.try_into().map_err(|_| "there are two variants")?;
    Ok(Row { case, variants })
}
