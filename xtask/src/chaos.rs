//! The command `chaos`: the tests of the whole program at full length, or random histories of any duration over a folder
//! or a real object store.
//!
//! `tests/process/histories` records the histories: random operations on gateways that are killed, paused and
//! disconnected. It checks them for linearizability and for the other guarantees.

use std::{
    fs::OpenOptions,
    io::{BufRead, BufReader, Write},
    process::Stdio,
    time::{Duration, Instant},
};

use crate::{backends, shell};

/// Number of crashes in a row, as in the guarantee of durability.
const CRASH_ROUNDS: &str = "100";

/// Bytes of the record that must stream through constant memory: 5 GiB.
const LARGE_RECORD_BYTES: &str = "5368709120";

/// Number of records in the folder whose start must take less than a second.
const START_RECORDS: &str = "100000";

/// Name of the backend that is no object store.
const FOLDER: &str = "folder";

/// Duration of one history in seconds. Each history has a seed of its own.
const HISTORY_SECONDS: u64 = 60;

/// Last words of the outcome of a history without a violation.
const PASSED: &str = "all as promised";

/// Selection by the arguments.
#[derive(Debug, PartialEq, Eq)]
struct Selection {
    backend: String,
    minutes: u64,
    gateways: u64,
}

/// Records histories if the first argument is a backend, else runs the tests of the whole program at full length; then
/// the arguments choose among them.
///
/// # Errors
/// Returns a message when a test fails or a history violates a guarantee.
pub fn run(arguments: &[String]) -> Result<(), String> {
    if are_histories_selected(arguments) {
        return run_histories(arguments);
    }
    let mut command = shell::cargo(&["test", "--test", "process", "--", "--nocapture", "--test-threads", "1"]);
    command.env("LARDER_CHAOS_ROUNDS", CRASH_ROUNDS);
    command.env("LARDER_BIG_RECORD_BYTES", LARGE_RECORD_BYTES);
    command.env("LARDER_START_RECORDS", START_RECORDS);
    shell::run(command.args(arguments))
}

/// Returns `true` if these arguments select histories.
fn are_histories_selected(arguments: &[String]) -> bool {
    arguments.first().is_some_and(|backend| backend == FOLDER || backends::is_known(backend))
}

/// Records histories over `folder` or an object store, for `[--minutes M]` with `[--gateways N]`. Each outcome is
/// appended to `target/histories.log`, so that several runs add up.
fn run_histories(arguments: &[String]) -> Result<(), String> {
    let selection = parsed(arguments)?;
    if selection.backend == FOLDER {
        return record_histories(&selection, &[]);
    }
    backends::with(&selection.backend, |server| record_histories(&selection, &server.variables()))
}

fn record_histories(selection: &Selection, variables: &[(&str, String)]) -> Result<(), String> {
    let Selection { backend, minutes, gateways } = selection;
    let (started, wanted) = (Instant::now(), Duration::from_secs(minutes * 60));
    let mut outcomes = Vec::new();
    while started.elapsed() < wanted {
        outcomes.extend(record_history(backend, *gateways, variables)?);
    }
    println!("\n{} histories over {backend}, {} minutes:", outcomes.len(), started.elapsed().as_secs() / 60);
    for outcome in outcomes {
        println!("{outcome}");
    }
    Ok(())
}

/// Records and checks one history. Returns its outcome.
fn record_history(backend: &str, gateways: u64, variables: &[(&str, String)]) -> Result<Option<String>, String> {
    let test = if backend == FOLDER { "histories::over_a_folder" } else { "histories::over_a_bucket" };
    let mut command = shell::cargo(&["test", "--quiet", "--locked", "--test", "process", test, "--", "--nocapture"]);
    command.envs(variables.iter().map(|(name, value)| (*name, value.as_str())));
    command.env("LARDER_CHAOS_SECONDS", HISTORY_SECONDS.to_string());
    command.env("LARDER_CHAOS_GATEWAYS", gateways.to_string());
    let mut child = command.stdout(Stdio::piped()).spawn().map_err(|error| error.to_string())?;
    let mut outcome = None;
    for line in child.stdout.take().into_iter().flat_map(|stdout| BufReader::new(stdout).lines().map_while(Result::ok))
    {
        println!("{line}");
        if line.ends_with(PASSED) {
            outcome = Some(format!("{backend}: {line}"));
        }
    }
    let status = child.wait().map_err(|error| error.to_string())?;
    let logged = outcome.as_deref().unwrap_or("FAILED").to_owned();
    let log = shell::target().join("histories.log");
    let file = OpenOptions::new().create(true).append(true).open(&log);
    file.and_then(|mut file| writeln!(file, "{logged}")).map_err(|error| format!("{}: {error}", log.display()))?;
    match outcome {
        Some(_) if status.success() => Ok(outcome),
        _ => Err(format!("{backend}: a guarantee was violated; the lines above name it, and the seed of the history")),
    }
}

fn parsed(arguments: &[String]) -> Result<Selection, String> {
    let usage = || "usage: chaos folder|seaweedfs|ceph|garage [--minutes M] [--gateways N]".to_owned();
    let (backend, options) = arguments.split_first().ok_or_else(usage)?;
    let mut selection = Selection { backend: backend.clone(), minutes: 10, gateways: 2 };
    let (pairs, rest) = options.as_chunks::<2>();
    if !rest.is_empty() {
        return Err(usage());
    }
    for [option, value] in pairs {
        let number = value.parse().ok().filter(|number| *number > 0).ok_or_else(usage)?;
        match option.as_str() {
            "--minutes" => selection.minutes = number,
            "--gateways" => selection.gateways = number,
            _ => return Err(usage()),
        }
    }
    Ok(selection)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_backend_and_a_duration_are_selected() {
        let selection = |text: &str| parsed(&text.split_whitespace().map(str::to_owned).collect::<Vec<_>>());
        let of = |backend: &str, minutes, gateways| Ok(Selection { backend: backend.to_owned(), minutes, gateways });
        assert_eq!(selection("folder"), of("folder", 10, 2));
        assert_eq!(selection("ceph --gateways 3 --minutes 60"), of("ceph", 60, 3));
        for wrong in ["", "folder --minutes", "folder --minutes 0", "folder --hours 3"] {
            assert!(selection(wrong).is_err(), "{wrong}");
        }
        assert!(are_histories_selected(&["garage".to_owned()]) && !are_histories_selected(&["kill_9".to_owned()]));
    }
}
