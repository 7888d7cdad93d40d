//! A guard over a server: a process of its own that ends the server, and whatever the server has started, as soon as the
//! command that needs it is gone, be it done, interrupted or killed.
//!
//! The command holds the writing end of the guard's standard input. However the command ends, the system closes that end,
//! and the guard reads the end of its input. The server gets a process group of its own: all of it ends, and its data, which
//! are those of a test, are removed.

use std::fs;
use std::io;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use crate::shell;

/// The name of the command that becomes a guard. It is not listed: no user types it.
pub const NAME: &str = "guard";

/// Interval between two looks whether the server has ended by itself.
const POLL: Duration = Duration::from_millis(100);

/// Timeout for the graceful end of a server.
const ASKED_LIMIT: Duration = Duration::from_secs(5);

/// Timeout for the processes of a killed group to disappear.
const KILLED_LIMIT: Duration = Duration::from_secs(10);

/// Interval between two looks until then.
const END_POLL: Duration = Duration::from_millis(20);

/// A program under guard, for as long as this value lives.
pub struct Guarded {
    guard: Child,
}

impl Guarded {
    /// Starts a program with its output in `log`. When it ends or is ended, `folder` is removed.
    ///
    /// # Errors
    /// Returns a message when the guard cannot be started.
    pub fn start(server: &Command, folder: &Path, log: fs::File) -> Result<Self, String> {
        let myself = std::env::current_exe().map_err(|error| format!("this program is not to be found: {error}"))?;
        let again = log.try_clone().map_err(|error| format!("the log cannot be shared: {error}"))?;
        let mut guard = Command::new(myself);
        guard.arg(NAME).arg(folder).arg(server.get_program()).args(server.get_args());
        for (name, value) in server.get_envs() {
            match value {
                Some(value) => guard.env(name, value),
                None => guard.env_remove(name),
            };
        }
        guard.stdin(Stdio::piped()).stdout(log).stderr(again).current_dir(folder);
        // In a group of its own, so that Ctrl-C at the terminal does not end it before its work is done.
        let guard = guard.process_group(0).spawn().map_err(|error| format!("a guard cannot be started: {error}"))?;
        Ok(Self { guard })
    }

    /// Returns the exit status of the program, if it has ended.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.guard.try_wait().ok().flatten()
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        drop(self.guard.stdin.take());
        // It ends the server first; when it cannot be waited for it has ended before.
        let _ = self.guard.wait();
    }
}

/// Runs the guard: `FOLDER PROGRAM ARGUMENT...`.
///
/// # Errors
/// Returns a message when the program cannot be started, ends by itself, or cannot be ended.
pub fn run(arguments: &[String]) -> Result<(), String> {
    let [folder, program, rest @ ..] = arguments else {
        return Err(format!("{NAME} takes a folder, a program and its arguments"));
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
        match command_is_gone.recv_timeout(POLL) {
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
    for (signal, limit) in [("-TERM", ASKED_LIMIT), ("-KILL", KILLED_LIMIT)] {
        is_sent(signal, group);
        let deadline = Instant::now() + limit;
        while Instant::now() < deadline {
            // Reaped, or it would count as a member of its group for ever.
            let _ = leader.try_wait();
            if !is_sent("-0", group) {
                return Ok(());
            }
            thread::sleep(END_POLL);
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
