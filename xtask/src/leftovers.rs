//! A command's child processes end with it: processes that outlive it are found, named and ended.
//!
//! The command runs once more below itself with a mark in its environment, which all that it starts inherits. When it is done, no
//! process may have the mark. A watcher in a process group of its own holds the reading end of a pipe: should the command be
//! interrupted or killed, the watcher reads the end of its input and ends what has the mark.

use std::fs;
use std::io;
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::shell;

/// Name of the command that becomes the watcher. It is not listed: no user types it.
pub const NAME: &str = "watch-for-leftovers";

/// Commands whose processes are watched.
const WATCHED: [&str; 4] = ["test", "test-long", "test-s3", "torture"];

/// Variable with the mark. Its name is no setting of Larder's, and tests remove those.
const MARK: &str = "XTASK_RUN";

/// Time that processes have to end by themselves once the command is done.
const PATIENCE: Duration = Duration::from_secs(5);

/// Time that processes have to end once they are asked to.
const ASKED_LIMIT: Duration = Duration::from_secs(5);

/// Interval between two looks.
const POLL: Duration = Duration::from_millis(50);

/// A process that has the mark.
#[derive(Debug)]
struct Leftover {
    id: u32,
    command: String,
}

/// Runs a command of which nothing may be left; `None` if this one is not, or is the one below.
pub fn supervise(arguments: &[String]) -> Option<ExitCode> {
    let name = arguments.first()?;
    if !WATCHED.contains(&name.as_str()) || std::env::var_os(MARK).is_some() {
        return None;
    }
    Some(run_marked(arguments).unwrap_or_else(|error| {
        println!("{error}");
        ExitCode::FAILURE
    }))
}

fn run_marked(arguments: &[String]) -> Result<ExitCode, String> {
    let mark = format!("{}-{}", std::process::id(), started_at());
    let myself = std::env::current_exe().map_err(|error| format!("this program is not to be found: {error}"))?;
    let failed = |error: io::Error| format!("{} cannot be started: {error}", myself.display());
    let mut watcher = Command::new(&myself);
    watcher.args([NAME, &mark]).stdin(Stdio::piped()).process_group(0);
    let mut watcher = watcher.spawn().map_err(failed)?;
    let status = Command::new(&myself).args(arguments).env(MARK, &mark).status().map_err(failed)?;
    let left = left_after(&mark, PATIENCE);
    drop(watcher.stdin.take());
    let _ = watcher.wait();
    let names: Vec<String> = left.into_iter().map(|Leftover { id, command }| format!("{id} {command}")).collect();
    if !names.is_empty() {
        return Err(format!("These processes were left behind, and were ended:\n{}", names.join("\n")));
    }
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Returns what the watcher does: waits for the end of its input, then ends all processes with the mark.
///
/// # Errors
/// Returns a message when some do not end.
pub fn watch(arguments: &[String]) -> Result<(), String> {
    let [mark] = arguments else { return Err(format!("{NAME} takes a mark")) };
    let _ = io::copy(&mut io::stdin(), &mut io::sink());
    for signal in ["-TERM", "-KILL"] {
        let left = find(mark);
        if left.is_empty() {
            return Ok(());
        }
        for Leftover { id, .. } in left {
            shell::is_successful("kill", &[signal, "--", &id.to_string()]);
        }
        if left_after(mark, ASKED_LIMIT).is_empty() {
            return Ok(());
        }
    }
    Err(format!("These processes do not end: {:?}", find(mark)))
}

/// Returns the processes that have the mark and do not end in time.
fn left_after(mark: &str, limit: Duration) -> Vec<Leftover> {
    let deadline = Instant::now() + limit;
    loop {
        let left = find(mark);
        if left.is_empty() || Instant::now() >= deadline {
            return left;
        }
        sleep(POLL);
    }
}

/// Returns the processes that have the mark, as far as the system shows it (Linux does); none that have ended and were
/// not waited for.
fn find(mark: &str) -> Vec<Leftover> {
    let wanted = format!("{MARK}={mark}");
    let Ok(processes) = fs::read_dir("/proc") else { return Vec::new() };
    let ids = processes.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u32>().ok());
    let found = ids.filter_map(|id| {
        let environment = fs::read(format!("/proc/{id}/environ")).ok()?;
        environment.split(|byte| *byte == 0).find(|variable| *variable == wanted.as_bytes())?;
        let command = fs::read(format!("/proc/{id}/cmdline")).ok().filter(|command| !command.is_empty())?;
        let command = String::from_utf8_lossy(&command).trim_end_matches('\0').replace('\0', " ");
        Some(Leftover { id, command })
    });
    found.collect()
}

/// Returns when this process was started, which no later process with its id shares.
fn started_at() -> u128 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |time| time.as_nanos())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(target_os = "linux")]
    fn what_was_started_below_a_mark_is_found_until_it_has_ended() {
        let mark = format!("test-{}", started_at());
        // By way of a shell, which hands the mark on.
        let mut shell =
            Command::new("sh").args(["-c", "sleep 600 & wait"]).env(MARK, &mark).spawn().expect("it starts");
        let deadline = Instant::now() + PATIENCE;
        while find(&mark).len() < 2 {
            assert!(Instant::now() < deadline, "{:?}", find(&mark));
            sleep(POLL);
        }
        let sleeping = find(&mark).into_iter().find(|left| left.command == "sleep 600").expect("it is found");
        assert!(find("another mark").is_empty());
        assert!(shell::is_successful("kill", &["-KILL", "--", &sleeping.id.to_string()]));
        shell.wait().expect("it ends");
        assert!(left_after(&mark, PATIENCE).is_empty());
    }

    #[test]
    fn only_what_tests_is_watched() {
        assert!(supervise(&[]).is_none() && supervise(&["deny".to_owned()]).is_none());
    }
}
