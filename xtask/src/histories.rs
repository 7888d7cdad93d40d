//! Histories of any duration: random operations on gateways that are killed, paused and cut off, over a folder or a
//! real object store; `tests/process/histories` makes them and compares them with the guarantees.

use std::{
    fs::OpenOptions,
    io::{BufRead, BufReader, Write},
    process::Stdio,
    time::{Duration, Instant},
};

use crate::{backends, shell};

/// The place that is no object store.
const FOLDER: &str = "folder";

/// Duration of one history in seconds; each has a seed of its own.
const SECONDS: u64 = 60;

/// End of the outcome of a good history.
const GOOD: &str = "all as promised";

/// Servers that the histories run on.
#[derive(Debug, PartialEq, Eq)]
struct Choice {
    place: String,
    minutes: u64,
    gateways: u64,
}

/// Returns `true` if these arguments select histories.
pub fn are_asked_for(arguments: &[String]) -> bool {
    arguments.first().is_some_and(|place| place == FOLDER || backends::is_known(place))
}

/// Makes histories: `folder`, or the name of an object store, and `[--minutes M] [--gateways N]`. The outcome of each
/// is added to `target/histories.log`, so that several parts make up a whole.
///
/// # Errors
/// Returns a message when something was told that is not true.
pub fn run(arguments: &[String]) -> Result<(), String> {
    let Choice { place, minutes, gateways } = parsed(arguments)?;
    if place == FOLDER {
        return make(&place, minutes, gateways, &[]);
    }
    backends::with(&place, |server| make(&place, minutes, gateways, &server.variables()))
}

fn make(place: &str, minutes: u64, gateways: u64, variables: &[(&str, String)]) -> Result<(), String> {
    let (began, wanted) = (Instant::now(), Duration::from_secs(minutes * 60));
    let mut outcomes = Vec::new();
    while began.elapsed() < wanted {
        outcomes.extend(one(place, gateways, variables)?);
    }
    println!("\n{} histories over {place}, {} minutes:", outcomes.len(), began.elapsed().as_secs() / 60);
    for outcome in outcomes {
        println!("{outcome}");
    }
    Ok(())
}

/// Makes one history. Returns its outcome.
fn one(place: &str, gateways: u64, variables: &[(&str, String)]) -> Result<Option<String>, String> {
    let test = if place == FOLDER { "histories::over_a_folder" } else { "histories::before_a_bucket" };
    let mut command = shell::cargo(&["test", "--quiet", "--locked", "--test", "process", test, "--", "--nocapture"]);
    command.envs(variables.iter().map(|(name, value)| (*name, value.as_str())));
    command.env("LARDER_TORTURE_SECONDS", SECONDS.to_string()).env("LARDER_TORTURE_GATEWAYS", gateways.to_string());
    let mut child = command.stdout(Stdio::piped()).spawn().map_err(|error| error.to_string())?;
    let mut outcome = None;
    for line in child.stdout.take().into_iter().flat_map(|stdout| BufReader::new(stdout).lines().map_while(Result::ok))
    {
        println!("{line}");
        if line.ends_with(GOOD) {
            outcome = Some(format!("{place}: {line}"));
        }
    }
    let status = child.wait().map_err(|error| error.to_string())?;
    let kept = outcome.as_deref().unwrap_or("FAILED").to_owned();
    let log = shell::target().join("histories.log");
    let file = OpenOptions::new().create(true).append(true).open(&log);
    file.and_then(|mut file| writeln!(file, "{kept}")).map_err(|error| format!("{}: {error}", log.display()))?;
    match outcome {
        Some(_) if status.success() => Ok(outcome),
        _ => Err(format!("{place}: something that was told is not true; the lines above say what, and by which seed")),
    }
}

fn parsed(arguments: &[String]) -> Result<Choice, String> {
    let usage = || "The command takes a place, and [--minutes M] [--gateways N].".to_owned();
    let (place, options) = arguments.split_first().ok_or_else(usage)?;
    let mut choice = Choice { place: place.clone(), minutes: 10, gateways: 2 };
    let (pairs, rest) = options.as_chunks::<2>();
    if !rest.is_empty() {
        return Err(usage());
    }
    for [option, value] in pairs {
        let number = value.parse().ok().filter(|number| *number > 0).ok_or_else(usage)?;
        match option.as_str() {
            "--minutes" => choice.minutes = number,
            "--gateways" => choice.gateways = number,
            _ => return Err(usage()),
        }
    }
    Ok(choice)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_and_how_long_are_chosen() {
        let choice = |text: &str| parsed(&text.split_whitespace().map(str::to_owned).collect::<Vec<_>>());
        let of = |place: &str, minutes, gateways| Ok(Choice { place: place.to_owned(), minutes, gateways });
        assert_eq!(choice("folder"), of("folder", 10, 2));
        assert_eq!(choice("ceph --gateways 3 --minutes 60"), of("ceph", 60, 3));
        for wrong in ["", "folder --minutes", "folder --minutes 0", "folder --hours 3"] {
            assert!(choice(wrong).is_err(), "{wrong}");
        }
        assert!(are_asked_for(&["garage".to_owned()]) && !are_asked_for(&["kill_9".to_owned()]));
    }
}
