//! The commands that check the repository: `test` (every step in order, the quick ones first), `test-long` (checks that take
//! longer than CI may; each is an ignored test in full size over SeaweedFS and, if the test says so, over a folder), and
//! `deny` (dependencies).

use std::time::{Duration, Instant};

use crate::backends::SEAWEEDFS;
use crate::clients::{self, DRIVERS, Driver};
use crate::{console, deploy, quickstart, rolling_restart, sdks, shell, tools};

/// A step of the test command.
struct Step {
    /// Names for `cargo xtask test NAME`; several steps may share a name.
    names: Vec<&'static str>,
    /// Title in the summary.
    title: String,
    run: Box<dyn Fn() -> Result<(), String>>,
}

impl Step {
    fn new(names: &[&'static str], title: impl Into<String>, run: impl Fn() -> Result<(), String> + 'static) -> Self {
        Self { names: names.to_vec(), title: title.into(), run: Box::new(run) }
    }
}

/// Returns all steps. Installation comes before compilation, so that a missing tool shows within seconds.
fn steps() -> Vec<Step> {
    let served = ["clients", "sdks", "openapi", "console", "deploy", "rolling-restart", "quickstart"]
        .into_iter()
        .chain(DRIVERS.iter().map(|driver| driver.name));
    let served: Vec<_> = served.collect();
    let install = |driver: &'static Driver| {
        let names = ["clients", driver.name, "rolling-restart", "quickstart"];
        let names = if driver.has_load() { &names[..] } else { &names[..2] };
        Step::new(names, format!("install the {} client", driver.name), || driver.install())
    };
    let mut steps = vec![Step::new(&["fmt"], "format", format)];
    steps.extend(DRIVERS.iter().filter(|driver| !driver.compiles).map(install));
    steps.push(Step::new(&["sdks"], "install the SDKs and the examples", sdks::install));
    steps.push(Step::new(&["openapi"], "install Schemathesis", clients::install_schemathesis));
    steps.push(Step::new(&["console"], "install the browser and its checks", console::install));
    steps.push(Step::new(&["console"], "format and types of the console", console::sources));
    steps.push(Step::new(&["deploy"], "install the deployment tools", deploy::install));
    steps.push(Step::new(&["tests"], "install strace", tools::need_strace));
    steps.push(Step::new(&["tests"], "install man and bash", tools::need_man_and_bash));
    steps.push(Step::new(&["rolling-restart"], "install haproxy", rolling_restart::install));
    steps.push(Step::new(&["quickstart"], "install curl, openssl and zsh", quickstart::install));
    steps.push(Step::new(&["tests", "console", "rolling-restart", "quickstart"], "install SeaweedFS", || {
        SEAWEEDFS.install()
    }));
    steps.push(Step::new(&["clippy"], "lints", lints));
    steps.push(Step::new(&["doc"], "documentation", documentation));
    steps.push(Step::new(&["tests"], "tests", tests));
    steps.push(Step::new(&["tests"], "tests on a full disk", tests_on_a_full_disk));
    steps.extend(DRIVERS.iter().filter(|driver| driver.compiles).map(install));
    steps.push(Step::new(&served, "build larder", || {
        shell::run(&mut shell::cargo(&["build", "--quiet", "--locked", "--bin", "larder"]))
    }));
    steps.extend(
        DRIVERS.iter().map(|driver| {
            Step::new(&["clients", driver.name], format!("the {} client", driver.name), || driver.run(&[]))
        }),
    );
    steps.push(Step::new(&["deploy"], "the deployment files", deploy::run));
    steps.push(Step::new(&["rolling-restart"], "rolling restarts behind a load balancer", rolling_restart::run));
    steps.push(Step::new(&["quickstart"], "the commands of the README and the tutorial", quickstart::run));
    steps.push(Step::new(&["sdks"], "the SDKs and the examples", sdks::run));
    steps.push(Step::new(&["openapi"], "the API description (Schemathesis)", clients::run_schemathesis));
    steps.push(Step::new(&["console"], "the console over a folder", console::over_folder));
    steps.push(Step::new(&["console"], "the console over an object store", console::over_object_store));
    steps
}

/// Returns the names that `cargo xtask test` accepts.
pub fn step_names() -> Vec<&'static str> {
    let mut names: Vec<_> = steps().into_iter().flat_map(|step| step.names).collect();
    names.sort_unstable();
    names.dedup();
    names
}

/// Runs all steps, or those with the given names. Ends with a line `N passed, M failed`.
///
/// # Errors
/// Returns the message of the first step that fails; the steps after it are not run.
pub fn run(names: &[String]) -> Result<(), String> {
    let known = step_names();
    if let Some(unknown) = names.iter().find(|name| !known.contains(&name.as_str())) {
        return Err(format!("unknown step {unknown:?}; known: {}", known.join(", ")));
    }
    let mut passed: Vec<(String, Duration)> = Vec::new();
    let mut failure = None;
    let wanted = |step: &Step| names.is_empty() || names.iter().any(|name| step.names.contains(&name.as_str()));
    for step in steps().into_iter().filter(wanted) {
        println!("\n== {}", step.title);
        let started = Instant::now();
        match (step.run)() {
            Ok(()) => passed.push((step.title, started.elapsed())),
            Err(message) => {
                failure = Some((step.title, started.elapsed(), message));
                break;
            }
        }
    }
    println!();
    for (title, duration) in &passed {
        println!("ok      {:>7.1} s  {title}", duration.as_secs_f64());
    }
    let Some((title, duration, message)) = failure else {
        println!("{} passed, 0 failed", passed.len());
        return Ok(());
    };
    println!("FAILED  {:>7.1} s  {title}\n\n{message}\n", duration.as_secs_f64());
    Err(format!("{} passed, 1 failed", passed.len()))
}

fn format() -> Result<(), String> {
    tools::need_components()?;
    shell::run(&mut shell::cargo(&["fmt", "--all", "--check"]))?;
    // The Rust driver is a workspace of its own: its dependencies are not Larder's.
    shell::run(&mut shell::cargo(&["fmt", "--check", "--manifest-path", "tests/clients/rust/Cargo.toml"]))
}

fn lints() -> Result<(), String> {
    tools::need_components()?;
    shell::run(&mut shell::cargo(&["clippy", "--workspace", "--all-targets", "--locked", "--", "-D", "warnings"]))
}

/// Runs all tests of cargo, those that face an object store over SeaweedFS.
fn tests() -> Result<(), String> {
    let seaweedfs = SEAWEEDFS.start()?;
    shell::run(shell::cargo(&["test", "--workspace", "--locked"]).envs(seaweedfs.server.variables()))
        .map_err(|error| format!("{error}\n{}", seaweedfs.end_of_log()))
}

/// Runs the tests that mount small disks, which any user may in a user namespace of their own.
fn tests_on_a_full_disk() -> Result<(), String> {
    let test = shell::cargo(&["test", "--locked", "--test", "storage", "--", "--ignored", "a_full_disk"]);
    let is_root = shell::output("id", &["-u"]).is_some_and(|id| id == "0");
    let mut command = shell::program_at_root("unshare");
    command.arg("--mount").args(if is_root { &[][..] } else { &["--user", "--map-root-user"] });
    command.arg(test.get_program()).args(test.get_args());
    for (variable, value) in test.get_envs() {
        match value {
            Some(value) => command.env(variable, value),
            None => command.env_remove(variable),
        };
    }
    shell::run(&mut command)
}

fn documentation() -> Result<(), String> {
    let mut command = shell::cargo(&["doc", "--workspace", "--no-deps", "--locked", "--document-private-items"]);
    shell::run(command.env("RUSTDOCFLAGS", "-D warnings -A rustdoc::private_intra_doc_links"))
}

/// A long check.
struct LongTest {
    name: &'static str,
    summary: &'static str,
    /// Arguments of `cargo test` that select the ignored tests.
    arguments: &'static [&'static str],
}

/// All long checks, in alphabetical order.
const LONG_TESTS: &[LongTest] = &[
    LongTest {
        name: "migrate",
        summary: "migrate 1,000 stores from a folder to SeaweedFS and back, killed in the middle of each",
        arguments: &["--test", "process", "a_thousand_stores_that_went"],
    },
    LongTest {
        name: "million-stores",
        summary: "a million stores over a folder: first list, list after mass expiry, search, sweep during requests",
        arguments: &["--config", "profile.dev.opt-level=2", "--test", "churn", "a_million_stores"],
    },
    LongTest {
        name: "run-churn",
        summary: "create 10,000 runs and let them expire, over a folder and SeaweedFS: objects, memory",
        arguments: &["--config", "profile.dev.opt-level=2", "--test", "churn", "very_many_runs"],
    },
    LongTest {
        name: "slow-bodies",
        summary: "400 unauthenticated connections with bodies that never end, on every route with a body",
        arguments: &["--test", "process", "four_hundred_strangers"],
    },
    LongTest {
        name: "store-churn",
        summary: "create 100,000 stores and let them expire, twice, over a folder and SeaweedFS: objects, index size, memory",
        arguments: &["--config", "profile.dev.opt-level=2", "--test", "churn", "very_many_stores"],
    },
];

/// Runs the long check of that name, or lists all.
///
/// # Errors
/// Returns a message if there is no such check or it fails.
pub fn run_long(arguments: &[String]) -> Result<(), String> {
    let Some(name) = arguments.first() else {
        for LongTest { name, summary, .. } in LONG_TESTS {
            println!("  {name:<14}  {summary}");
        }
        return Ok(());
    };
    let Some(test) = LONG_TESTS.iter().find(|test| test.name == name) else {
        let names: Vec<_> = LONG_TESTS.iter().map(|test| test.name).collect();
        return Err(format!("unknown check {name:?}; known: {}", names.join(", ")));
    };
    let seaweedfs = SEAWEEDFS.start()?;
    let mut command = shell::cargo(&["test", "--locked"]);
    command.args(test.arguments).args(["--", "--ignored", "--nocapture"]).envs(seaweedfs.server.variables());
    shell::run(&mut command).map_err(|error| format!("{error}\n{}", seaweedfs.end_of_log()))
}

/// Checks the dependencies against `deny.toml`.
///
/// # Errors
/// Returns a message when cargo-deny is missing or finds something.
pub fn deny(arguments: &[String]) -> Result<(), String> {
    if shell::output("cargo", &["deny", "--version"]).is_none() {
        return Err("cargo-deny is missing; install it with: cargo install --locked cargo-deny".to_owned());
    }
    shell::run(shell::cargo(&["deny", "check"]).args(arguments))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_driver_is_installed_and_then_run() {
        let titles: Vec<String> = steps().into_iter().map(|step| step.title).collect();
        for driver in &DRIVERS {
            let position = |wanted: String| titles.iter().position(|title| *title == wanted);
            let run = position(format!("the {} client", driver.name)).expect("it is run");
            let installed = position(format!("install the {} client", driver.name)).expect("it is installed");
            assert!(installed < run, "{}", driver.name);
        }
    }

    #[test]
    fn a_step_that_does_not_exist_is_refused() {
        assert!(
            run(&["nonsense".to_owned()]).is_err_and(|message| message.contains("clippy, console, deploy, doc, fmt"))
        );
    }
}
