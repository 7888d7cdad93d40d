//! Instructions of a request, counted by Valgrind: a figure that does not depend on other load of the machine.
//! Instructions in the kernel are not counted. Valgrind's processor has no instructions for SHA-256, AES and the like,
//! so a program that signs counts for more than it costs.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use rustix::process::{Pid, Signal, kill_process};

use crate::{
    cases::counted,
    load::{
        case::{Case, Verb},
        clients::Load,
        clients::Request,
        hyper_baseline,
    },
    nginx::{self, Nginx},
    program::{Program, larder},
    report::{Outcome, table},
    store::Store,
    stub_s3,
};

/// Requests of the shorter run; the longer one has twice as many. The difference is the result.
const REQUESTS: u64 = 1_000;

/// Program whose instructions are counted.
#[derive(Debug, Clone, Copy)]
enum Subject {
    Larder,
    Nginx,
    Bare,
}

/// Counts, over the stub; the table.
pub async fn count(folder: &Path, pattern: &[u8]) -> Outcome<String> {
    let found = Command::new("valgrind").arg("--version").stdout(Stdio::null()).status();
    if !found.is_ok_and(|status| status.success()) {
        return Err("valgrind is missing; install it with: sudo apt-get install valgrind".into());
    }
    let stub = stub_s3::start(folder)?;
    let store = Store::stub(stub.address, stub.child.id());
    let (shorter, longer) = (counted(REQUESTS), counted(2 * REQUESTS));
    let mut rows = Vec::new();
    for (turn, (shorter, longer)) in shorter.into_iter().zip(longer).enumerate() {
        let mut counts = Vec::new();
        for subject in [Subject::Larder, Subject::Nginx, Subject::Bare] {
            eprintln!("{}, {subject:?}", shorter.name);
            let mut both = [0; 2];
            for (count, case) in both.iter_mut().zip([shorter, longer]) {
                let folder = folder.join(format!("counted-{turn}-{subject:?}-{}", case.keys));
                fs::create_dir(&folder)?;
                *count = run(subject, &folder, &store, &case, pattern).await?;
            }
            counts.push(both[1].saturating_sub(both[0]) / REQUESTS);
        }
        let mut cells = vec![shorter.name.to_owned()];
        cells.extend(counts.iter().map(ToString::to_string));
        cells.extend(counts[1..].iter().map(|other| format!("{:.2}", as_f64(counts[0]) / as_f64(*other))));
        rows.push(cells);
    }
    Ok(table(&["instructions of a request", "Larder", "nginx", "bare", "Larder / nginx", "Larder / bare"], &rows))
}

#[expect(clippy::cast_precision_loss, reason = "a count of thousands, for two digits of a ratio")]
fn as_f64(count: u64) -> f64 {
    count.max(1) as f64
}

/// Returns the number of instructions of a program from its start to its end, with the requests of `case` in between.
async fn run(subject: Subject, folder: &Path, store: &Store, case: &Case, pattern: &[u8]) -> Outcome<u64> {
    let log = folder.join("log");
    match subject {
        Subject::Larder => {
            let settings = store.settings();
            let settings: Vec<_> = settings.iter().map(|(name, value)| (*name, value.as_str())).collect();
            let mut program = Program::start(under_valgrind(&larder(folder, &settings), folder), &log)?;
            let records = program.create_store()?;
            ask(program.address, &Request::to_larder(case, case.verb, &records, pattern)?, case, pattern).await?;
            end(program.child.id())?;
            program.child.wait()?;
        }
        Subject::Nginx => {
            let own = folder.join("nginx");
            let (command, address) = nginx::command(&own, 1, store.address)?;
            let nginx = Nginx::run(under_valgrind(&command, folder), address, &own.join("error.log"))?;
            ask(address, &store.request(case, case.verb, pattern)?, case, pattern).await?;
            end(nginx.id())?;
            nginx.wait()?;
        }
        Subject::Bare => {
            let mut program = Program::start(under_valgrind(&hyper_baseline::command()?, folder), &log)?;
            ask(program.address, &Request::to_larder(case, case.verb, "any", pattern)?, case, pattern).await?;
            end(program.child.id())?;
            program.child.wait()?;
        }
    }
    counted_in(folder)
}

async fn ask(address: SocketAddr, request: &Request, case: &Case, pattern: &[u8]) -> Outcome<()> {
    let mut load = Load::open(address, request, case.keys, case.connections).await?;
    load.sweep((case.verb == Verb::Get).then_some(pattern)).await
}

/// Returns the command under Valgrind, with what it forks; each process writes its count to `folder` when it ends.
fn under_valgrind(command: &Command, folder: &Path) -> Command {
    let mut valgrind = Command::new("valgrind");
    valgrind.args(["--tool=callgrind", "--quiet", "--trace-children=yes"]);
    valgrind.arg(format!("--callgrind-out-file={}/callgrind.%p", folder.display()));
    valgrind.arg(command.get_program()).args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => valgrind.env(name, value),
            None => valgrind.env_remove(name),
        };
    }
    if let Some(folder) = command.get_current_dir() {
        valgrind.current_dir(folder);
    }
    valgrind
}

fn end(id: u32) -> Outcome<()> {
    let id = Pid::from_raw(i32::try_from(id)?).ok_or("a process has no number")?;
    Ok(kill_process(id, Signal::TERM)?)
}

/// Returns the sum of the counts of all processes.
fn counted_in(folder: &Path) -> Outcome<u64> {
    let mut sum = 0;
    for entry in fs::read_dir(folder)? {
        let path: PathBuf = entry?.path();
        if path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("callgrind.")) {
            let text = fs::read_to_string(&path)?;
            let total = text.lines().find_map(|line| line.strip_prefix("totals: ")).ok_or("a count has no total")?;
            sum += total.trim().parse::<u64>()?;
        }
    }
    if sum == 0 { Err("valgrind has counted nothing".into()) } else { Ok(sum) }
}
