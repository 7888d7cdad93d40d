//! Supervision of child processes: none outlives the command that started it, be it done, interrupted or killed.
//!
//! Two mechanisms, each a process of its own:
//!
//! * [`Supervised`]: a supervisor over one server. It holds the reading end of a pipe; the system closes the other end
//!   when the command ends, however it ends. Then the supervisor ends the process group of the server and removes its
//!   data.
//! * [`run_marked`]: a command runs below itself with a mark in its environment, which all its child processes inherit.
//!   Processes that still have the mark at the end fail the command. A watcher ends them if the command is killed.

use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, ExitStatus, Stdio};
use std::sync::mpsc;
use std::thread::sleep;
use std::time::{Duration, Instant};
use std::{fs, io, thread};

use crate::shell;

/// Name of the command that becomes the watcher. It is not listed: no user types it.
pub const WATCHER: &str = "watch-for-orphans";

/// Commands whose processes are watched.
const WATCHED: [&str; 4] = ["test", "test-long", "test-s3", "chaos"];

/// Variable with the mark. Its name is no setting of Larder's, and tests remove those.
const MARK: &str = "XTASK_RUN";

/// Time that processes have to end by themselves once the command is done.
const EXIT_TIMEOUT: Duration = Duration::from_secs(5);

/// Time that processes have to end once they are asked to.
const TERM_TIMEOUT: Duration = Duration::from_secs(5);

/// Interval between two looks.
const POLL_INTERVAL: Duration = Duration::from_millis(50);

/// A process that has the mark.
#[derive(Debug)]
struct OrphanProcess {
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
    watcher.args([WATCHER, &mark]).stdin(Stdio::piped()).process_group(0);
    let mut watcher = watcher.spawn().map_err(failed)?;
    let status = Command::new(&myself).args(arguments).env(MARK, &mark).status().map_err(failed)?;
    let left = left_after(&mark, EXIT_TIMEOUT);
    drop(watcher.stdin.take());
    let _ = watcher.wait();
    let names: Vec<String> = left.into_iter().map(|OrphanProcess { id, command }| format!("{id} {command}")).collect();
    if !names.is_empty() {
        return Err(format!("These processes were left behind, and were ended:\n{}", names.join("\n")));
    }
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Runs the watcher: waits for the end of its input, then ends all processes with the mark.
///
/// # Errors
/// Returns a message when some do not end.
pub fn watch(arguments: &[String]) -> Result<(), String> {
    let [mark] = arguments else { return Err(format!("{WATCHER} takes a mark")) };
    let _ = io::copy(&mut io::stdin(), &mut io::sink());
    for signal in ["-TERM", "-KILL"] {
        let left = find(mark);
        if left.is_empty() {
            return Ok(());
        }
        for OrphanProcess { id, .. } in left {
            shell::is_successful("kill", &[signal, "--", &id.to_string()]);
        }
        if left_after(mark, TERM_TIMEOUT).is_empty() {
            return Ok(());
        }
    }
    Err(format!("These processes do not end: {:?}", find(mark)))
}

/// Returns the processes that have the mark and do not end in time.
fn left_after(mark: &str, limit: Duration) -> Vec<OrphanProcess> {
    let deadline = Instant::now() + limit;
    loop {
        let left = find(mark);
        if left.is_empty() || Instant::now() >= deadline {
            return left;
        }
        sleep(POLL_INTERVAL);
    }
}

/// Returns the processes that have the mark, as far as the system shows it (Linux does); none that have ended and were
/// not waited for.
fn find(mark: &str) -> Vec<OrphanProcess> {
    let wanted = format!("{MARK}={mark}");
    let Ok(processes) = fs::read_dir("/proc") else { return Vec::new() };
    let ids = processes.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u32>().ok());
    let found = ids.filter_map(|id| {
        let environment = fs::read(format!("/proc/{id}/environ")).ok()?;
        environment.split(|byte| *byte == 0).find(|variable| *variable == wanted.as_bytes())?;
        let command = fs::read(format!("/proc/{id}/cmdline")).ok().filter(|command| !command.is_empty())?;
        let command = String::from_utf8_lossy(&command).trim_end_matches('\0').replace('\0', " ");
        Some(OrphanProcess { id, command })
    });
    found.collect()
}

/// Returns when this process was started, which no later process with its id shares.
fn started_at() -> u128 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |time| time.as_nanos())
}

/// The name of the command that becomes a supervisor. It is not listed: no user types it.
pub const SUPERVISOR: &str = "supervisor";

/// Interval between two looks whether the server has ended by itself.
const WAIT_INTERVAL: Duration = Duration::from_millis(100);

/// Timeout for the processes of a killed group to disappear.
const KILL_TIMEOUT: Duration = Duration::from_secs(10);

/// A program under supervisor, for as long as this value lives.
pub struct Supervised {
    supervisor: Child,
}

impl Supervised {
    /// Starts a program with its output in `log`. When it ends or is ended, `folder` is removed.
    ///
    /// # Errors
    /// Returns a message when the supervisor cannot be started.
    pub fn start(server: &Command, folder: &Path, log: fs::File) -> Result<Self, String> {
        let myself = std::env::current_exe().map_err(|error| format!("this program is not to be found: {error}"))?;
        let again = log.try_clone().map_err(|error| format!("the log cannot be shared: {error}"))?;
        let mut supervisor = Command::new(myself);
        supervisor.arg(SUPERVISOR).arg(folder).arg(server.get_program()).args(server.get_args());
        for (name, value) in server.get_envs() {
            match value {
                Some(value) => supervisor.env(name, value),
                None => supervisor.env_remove(name),
            };
        }
        supervisor.stdin(Stdio::piped()).stdout(log).stderr(again).current_dir(folder);
        // In a group of its own, so that Ctrl-C at the terminal does not end it before its work is done.
        let supervisor =
            supervisor.process_group(0).spawn().map_err(|error| format!("a supervisor cannot be started: {error}"))?;
        Ok(Self { supervisor })
    }

    /// Returns the exit status of the program, if it has ended.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.supervisor.try_wait().ok().flatten()
    }
}

impl Drop for Supervised {
    fn drop(&mut self) {
        drop(self.supervisor.stdin.take());
        // It ends the server first; when it cannot be waited for it has ended before.
        let _ = self.supervisor.wait();
    }
}

/// Runs the supervisor: `FOLDER PROGRAM ARGUMENT...`.
///
/// # Errors
/// Returns a message when the program cannot be started, ends by itself, or cannot be ended.
pub fn run_supervisor(arguments: &[String]) -> Result<(), String> {
    let [folder, program, rest @ ..] = arguments else {
        return Err(format!("{SUPERVISOR} takes a folder, a program and its arguments"));
    };
    let _folder = Removed(PathBuf::from(folder));
    let mut command = Command::new(program);
    command.args(rest).stdin(Stdio::null()).process_group(0);
    let mut server = command.spawn().map_err(|error| format!("{program} cannot be started: {error}"))?;
    let group = format!("-{}", server.id());

    let (sender, command_is_gone) = mpsc::channel::<()>();
    thread::spawn(move || {
        // Nothing is ever sent: reading goes on until the other end is closed.
        let _ = io::copy(&mut io::stdin(), &mut io::sink());
        drop(sender);
    });
    let by_itself = loop {
        match command_is_gone.recv_timeout(WAIT_INTERVAL) {
            Err(mpsc::RecvTimeoutError::Timeout) => {}
            Ok(()) | Err(mpsc::RecvTimeoutError::Disconnected) => break None,
        }
        if let Ok(Some(status)) = server.try_wait() {
            break Some(status);
        }
    };
    end_group(&group, &mut server)?;
    match by_itself {
        None => Ok(()),
        Some(status) => Err(format!("{program} ended by itself: {status}")),
    }
}

/// Ends every process of a group: asked first, so that it leaves nothing in the system's folders, then killed.
fn end_group(group: &str, leader: &mut Child) -> Result<(), String> {
    for (signal, limit) in [("-TERM", TERM_TIMEOUT), ("-KILL", KILL_TIMEOUT)] {
        is_sent(signal, group);
        let deadline = Instant::now() + limit;
        while Instant::now() < deadline {
            // Reaped, or it would count as a member of its group for ever.
            let _ = leader.try_wait();
            if !is_sent("-0", group) {
                return Ok(());
            }
            sleep(POLL_INTERVAL);
        }
    }
    Err(format!("processes of group {group} do not end"))
}

fn is_sent(signal: &str, group: &str) -> bool {
    shell::is_successful("kill", &[signal, "--", group])
}

/// A folder that goes when this does.
struct Removed(PathBuf);

impl Drop for Removed {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.0) {
            println!("{} cannot be removed: {error}", self.0.display());
        }
    }
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
        let deadline = Instant::now() + EXIT_TIMEOUT;
        while find(&mark).len() < 2 {
            assert!(Instant::now() < deadline, "{:?}", find(&mark));
            sleep(POLL_INTERVAL);
        }
        let sleeping = find(&mark).into_iter().find(|left| left.command == "sleep 600").expect("it is found");
        assert!(find("another mark").is_empty());
        assert!(shell::is_successful("kill", &["-KILL", "--", &sleeping.id.to_string()]));
        shell.wait().expect("it ends");
        assert!(left_after(&mark, EXIT_TIMEOUT).is_empty());
    }

    #[test]
    fn only_what_tests_is_watched() {
        assert!(supervise(&[]).is_none() && supervise(&["deny".to_owned()]).is_none());
    }
}
