//! Fuzzing: every parser over bytes that libFuzzer chooses (docs/HOWTO.md, "Fuzzing").
//!
//! Only Larder's own crates are instrumented. So its dependencies are not built again, and the code under test guides the
//! mutations. That takes compiler flags for these crates alone. This program adds them: cargo runs it in place of rustc.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, ExitCode},
};

use crate::shell;

/// Set where this program is to play the compiler.
const INSTRUMENTING: &str = "LARDER_FUZZ_INSTRUMENTING";

/// The crates that are instrumented.
const INSTRUMENTED: [&str; 3] = ["larder", "larder_object_store", "larder_runtime"];

/// Compiler flags for libFuzzer's instrumentation. (As cargo-fuzz has it.)
const INSTRUMENTS: [&str; 5] = [
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
];

/// Duration of each target in minutes, unless the arguments have another.
const MINUTES: u64 = 1;

/// Maximum size of an input, in bytes: parsers get short ones, and growth with the length shows by then.
const LONGEST_INPUT: u32 = 16 * 1024;

/// Seconds that one input may take before that is a finding.
const SLOWEST_INPUT: u32 = 20;

/// MiB of memory that a target may take before that is a finding.
const MOST_MEMORY: u32 = 1024;

/// Selection by the arguments.
#[derive(Debug, PartialEq, Eq)]
struct Asked {
    /// One target, or all.
    target: Option<String>,
    minutes: u64,
}

/// Runs the targets, or one, for some minutes each. The corpus that a run finds is the start of the next.
pub fn run(arguments: &[String]) -> Result<(), String> {
    let asked = asked(arguments)?;
    let all = targets()?;
    if let Some(unknown) = asked.target.as_ref().filter(|name| !all.contains(name)) {
        return Err(format!("There is no target {unknown:?}; the targets are {}.", all.join(", ")));
    }
    let chosen: Vec<_> =
        all.into_iter().filter(|name| asked.target.as_ref().is_none_or(|asked| asked == name)).collect();
    build()?;
    for target in &chosen {
        let (corpus, findings) = (place("corpus", target)?, place("findings", target)?);
        let mut fuzz = shell::program_at_root(shell::target().join("debug/all"));
        fuzz.env("LARDER_FUZZ_TARGET", target);
        fuzz.arg(corpus).arg(PathBuf::from("fuzz/seeds").join(target));
        fuzz.arg(format!("-max_total_time={}", asked.minutes * 60));
        fuzz.arg(format!("-max_len={LONGEST_INPUT}"));
        fuzz.arg(format!("-timeout={SLOWEST_INPUT}"));
        fuzz.arg(format!("-rss_limit_mb={MOST_MEMORY}"));
        fuzz.arg(format!("-artifact_prefix={}/", findings.display()));
        fuzz.args(["-print_final_stats=1", "-verbosity=0"]);
        shell::run(&mut fuzz).map_err(|error| {
            let place = findings.display();
            format!("{error}\n{target} has a finding: its bytes are in {place}. Copy them to fuzz/seeds/{target}.")
        })?;
    }
    Ok(())
}

/// Builds the program of all targets.
///
/// The instrumented crates get an optimization level that other builds do not use. So cargo tells them from those
/// without instrumentation, and does not build their dependencies again.
fn build() -> Result<(), String> {
    let own = std::env::current_exe().map_err(|error| format!("cannot find the path of this program: {error}"))?;
    let mut command = shell::cargo(&["build", "--package", "larder-fuzz", "--features", "libfuzzer", "--bin", "all"]);
    for name in INSTRUMENTED {
        command.args(["--config", &format!("profile.dev.package.{}.opt-level=2", name.replace('_', "-"))]);
    }
    shell::run(command.env("RUSTC_WRAPPER", own).env(INSTRUMENTING, "yes"))
}

/// Plays the compiler, if cargo started this program for that: the first argument is the one to play.
pub fn compile(arguments: &[String]) -> Option<ExitCode> {
    std::env::var_os(INSTRUMENTING)?;
    let (rustc, arguments) = arguments.split_first()?;
    let mut command = Command::new(Path::new(rustc));
    command.args(arguments);
    if arguments.windows(2).any(|pair| pair[0] == "--crate-name" && INSTRUMENTED.contains(&pair[1].as_str())) {
        command.args(INSTRUMENTS);
    }
    let status = command.status().ok()?;
    Some(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn asked(arguments: &[String]) -> Result<Asked, String> {
    let mut asked = Asked { target: None, minutes: MINUTES };
    let mut arguments = arguments.iter();
    while let Some(argument) = arguments.next() {
        if argument == "--minutes" {
            let minutes = arguments.next().and_then(|minutes| minutes.parse().ok()).filter(|minutes| *minutes > 0);
            asked.minutes = minutes.ok_or("--minutes takes a whole number from 1 on")?;
        } else if argument.starts_with('-') || asked.target.is_some() {
            return Err(format!("{argument:?} is neither a target nor --minutes M"));
        } else {
            asked.target = Some(argument.clone());
        }
    }
    Ok(asked)
}

/// Returns all targets: their seeds are in folders of these names.
fn targets() -> Result<Vec<String>, String> {
    let folder = shell::root().join("fuzz/seeds");
    let entries = fs::read_dir(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let name = |entry: fs::DirEntry| entry.file_name().into_string().ok();
    let mut targets: Vec<String> = entries.filter_map(Result::ok).filter_map(name).collect();
    targets.sort();
    Ok(targets)
}

/// Returns the folder for everything of fuzzing that is not kept with the sources.
fn folder() -> PathBuf {
    shell::target().join("fuzz")
}

/// Returns a folder of a target.
fn place(what: &str, target: &str) -> Result<PathBuf, String> {
    let folder = folder().join(what).join(target);
    fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    Ok(folder)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(words: &[&str]) -> Vec<String> {
        words.iter().map(|word| (*word).to_owned()).collect()
    }

    #[test]
    fn a_target_and_a_time_can_be_asked_for() {
        let of = |target: Option<&str>, minutes| Ok(Asked { target: target.map(str::to_owned), minutes });
        assert_eq!(asked(&[]), of(None, MINUTES));
        assert_eq!(asked(&words(&["route", "--minutes", "5"])), of(Some("route"), 5));
        for wrong in [&["--minutes"][..], &["--minutes", "0"], &["--hours", "1"], &["route", "query"]] {
            assert!(asked(&words(wrong)).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn a_target_that_does_not_exist_is_refused() {
        assert!(targets().is_ok_and(|targets| targets.contains(&"route".to_owned())));
        assert!(run(&words(&["nonsense"])).is_err_and(|message| message.contains("route, ")));
    }
}
