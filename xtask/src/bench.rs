//! The command `bench`: the benchmarks of `benches`, built with optimisation, and that of the console in a browser.

use crate::{
    backends::{self, SEAWEEDFS},
    console, shell,
};

/// The benchmarks, in the order in which they are run.
const BENCHES: [&str; 4] = ["http", "large_store", "expiry_sweep", GATEWAY];

/// The benchmark that needs an object store.
const GATEWAY: &str = "gateway";

/// Benchmark of Larder beside other servers. It runs only when it is named, since its arguments name the object store.
const COMPETITORS: &str = "competitors";

/// Benchmark in a browser. It runs only when it is named, since filling the stores takes minutes.
const CONSOLE: &str = "console";

/// Runs the benchmarks, or the one that the first argument names; the other arguments go to it.
///
/// # Errors
/// Returns a message when something cannot be built or started, or a benchmark fails.
pub fn run(arguments: &[String]) -> Result<(), String> {
    if arguments.first().is_some_and(|name| name == CONSOLE) {
        return console::bench();
    }
    if let Some((COMPETITORS, rest)) = arguments.split_first().map(|(name, rest)| (name.as_str(), rest)) {
        return competitors(rest);
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

/// Measures Larder over a folder beside the object store that the first argument names; the other arguments go to the
/// benchmark.
fn competitors(arguments: &[String]) -> Result<(), String> {
    let (name, rest) = arguments.split_first().ok_or("name an object store: seaweedfs, garage or ceph")?;
    backends::with(name, |server| {
        let mut command =
            shell::cargo(&["bench", "--profile", "dist", "--locked", "--bench", GATEWAY, "--", "--competitors"]);
        shell::run(command.args(rest).envs(server.variables()))
    })
}

fn run_bench(name: &str, arguments: &[String]) -> Result<(), String> {
    let mut command = shell::cargo(&["bench", "--profile", "dist", "--locked", "--bench", name, "--"]);
    command.args(arguments);
    if name != GATEWAY {
        return shell::run(&mut command);
    }
    SEAWEEDFS.install()?;
    let seaweedfs = SEAWEEDFS.start()?;
    shell::run(command.envs(seaweedfs.server.variables()))
        .map_err(|error| format!("{error}\n{}", seaweedfs.end_of_log()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_benchmark_can_be_chosen_and_gets_the_other_arguments() {
        let of = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        assert_eq!(chosen(&of(&[])), (None, &of(&[])[..]));
        assert_eq!(chosen(&of(&["--quick"])), (None, &of(&["--quick"])[..]));
        let arguments = of(&["large_store", "--records", "9000"]);
        assert_eq!(chosen(&arguments), (Some("large_store"), &of(&["--records", "9000"])[..]));
    }
}
