//! Commands for a special effort: measuring, torturing, looking at the dependencies.

use crate::{
    backends::{self, SEAWEEDFS},
    console, histories, shell,
};

/// Crashes in a row, as many as the promise of durability names.
const TORTURE_ROUNDS: &str = "100";

/// Bytes of the record that must stream through flat memory: 5 GiB.
const BIG_RECORD_BYTES: &str = "5368709120";

/// Records in the folder whose start must take less than a second.
const START_RECORDS: &str = "100000";

/// The benchmarks, in the order in which they are run.
const BENCHES: [&str; 4] = ["wire", "depth", "sweep", GATEWAY];

/// The one that needs an object store.
const GATEWAY: &str = "gateway";

/// Benchmark that needs an object store, which its arguments name.
const RIVALS: &str = "rivals";

/// Benchmark in a browser. It runs only when it is named: it takes minutes to fill.
const CONSOLE: &str = "console";

/// Builds with optimisation and runs the benchmarks, or the one whose name comes first; the other arguments go to it.
pub fn bench(arguments: &[String]) -> Result<(), String> {
    if arguments.first().is_some_and(|name| name == CONSOLE) {
        return console::effort();
    }
    if let Some((RIVALS, rest)) = arguments.split_first().map(|(name, rest)| (name.as_str(), rest)) {
        return rivals(rest);
    }
    let (chosen, arguments) = chosen(arguments);
    for name in BENCHES.into_iter().filter(|name| chosen.is_none_or(|chosen| chosen == *name)) {
        run_bench(name, arguments)?;
    }
    if chosen.is_none() { run_bench(GATEWAY, &["--instructions".to_owned()]) } else { Ok(()) }
}

/// Returns the benchmark that the first argument names, if it names one, and the arguments for it.
fn chosen(arguments: &[String]) -> (Option<&str>, &[String]) {
    match arguments.split_first() {
        Some((name, rest)) if BENCHES.contains(&name.as_str()) => (Some(name), rest),
        Some(_) | None => (None, arguments),
    }
}

/// Measures Larder over a folder beside the object store that the first argument names; the other arguments go to the benchmark.
fn rivals(arguments: &[String]) -> Result<(), String> {
    let (name, rest) = arguments.split_first().ok_or("name an object store: seaweedfs, garage or ceph")?;
    backends::with(name, |server| {
        let mut command = shell::cargo(&["bench", "--locked", "--bench", GATEWAY, "--", "--rivals"]);
        shell::run(command.args(rest).envs(server.variables()))
    })
}

fn run_bench(name: &str, arguments: &[String]) -> Result<(), String> {
    let mut command = shell::cargo(&["bench", "--locked", "--bench", name, "--"]);
    command.args(arguments);
    if name != GATEWAY {
        return shell::run(&mut command);
    }
    SEAWEEDFS.install()?;
    let seaweedfs = SEAWEEDFS.start()?;
    shell::run(command.envs(seaweedfs.server.variables()))
        .map_err(|error| format!("{error}\n{}", seaweedfs.end_of_log()))
}

/// Runs the tests of the whole program at full length; arguments choose among them, or ask for histories.
pub fn torture(arguments: &[String]) -> Result<(), String> {
    if histories::are_asked_for(arguments) {
        return histories::run(arguments);
    }
    let mut command = shell::cargo(&["test", "--test", "process", "--", "--nocapture", "--test-threads", "1"]);
    command.env("LARDER_TORTURE_ROUNDS", TORTURE_ROUNDS);
    command.env("LARDER_BIG_RECORD_BYTES", BIG_RECORD_BYTES);
    command.env("LARDER_START_RECORDS", START_RECORDS);
    shell::run(command.args(arguments))
}

/// Checks the dependencies against `deny.toml`.
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
    fn a_benchmark_can_be_chosen_and_gets_the_other_arguments() {
        let of = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        assert_eq!(chosen(&of(&[])), (None, &of(&[])[..]));
        assert_eq!(chosen(&of(&["--quick"])), (None, &of(&["--quick"])[..]));
        assert_eq!(chosen(&of(&["depth", "--records", "9000"])), (Some("depth"), &of(&["--records", "9000"])[..]));
    }
}
