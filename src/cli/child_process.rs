//! Processes: protection of this one against others of the same user, and a supervised child process, which is started,
//! watched and terminated.

use std::{
    ffi::OsStr,
    io::{self, IsTerminal},
    os::unix::process::{CommandExt, ExitStatusExt},
    process::{Child, Command, ExitStatus, Stdio},
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::{
    signal::unix::{Signal as Signals, SignalKind, signal},
    sync::mpsc,
};

use crate::clock::{Clock, SystemClock};

/// Interval between checks whether the program has ended.
const EXIT_POLL_INTERVAL: Duration = Duration::from_millis(20);

/// Grace period between the request to end and the kill.
const KILL_GRACE_PERIOD: Duration = Duration::from_secs(20);

/// Request to end a program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum StopRequest {
    /// Abort.
    Abort,
    /// The time limit has passed.
    TimeOut,
    /// Another program is to run in its place.
    Restart,
}

/// Reason for the end of a program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ExitReason {
    /// It exited by itself.
    Exited,
    /// A signal arrived for it.
    Interrupted,
    /// It was requested to end.
    Requested(StopRequest),
}

/// Running program, in its own process group: a signal from the terminal arrives here, and is passed on once.
pub(super) struct ChildProcess {
    child: Child,
    exit_reason: ExitReason,
    /// End of the grace period, by the monotonic clock.
    kill_at: Option<Duration>,
}

impl ChildProcess {
    /// Starts a command. The user at the terminal controls this process, not the command.
    pub(super) fn start(mut command: Command) -> io::Result<Self> {
        command.process_group(0);
        if io::stdin().is_terminal() {
            command.stdin(Stdio::null());
        }
        Ok(Self { child: command.spawn()?, exit_reason: ExitReason::Exited, kill_at: None })
    }

    /// Waits for the program's end; passes signals on, and ends it at its time limit or on request.
    pub(super) async fn wait(
        mut self,
        signals: &mut TerminationSignals,
        requests: &mut mpsc::Receiver<StopRequest>,
        limit: Option<Duration>,
    ) -> io::Result<(ExitStatus, ExitReason)> {
        let started_at = SystemClock.monotonic();
        loop {
            if let Some(status) = self.child.try_wait()? {
                return Ok((status, self.exit_reason));
            }
            tokio::select! {
                () = SystemClock.sleep(EXIT_POLL_INTERVAL) => {}
                signal = signals.next() => self.interrupt(signal),
                Some(request) = requests.recv() => self.request_stop(request),
            }
            let now = SystemClock.monotonic();
            if limit.is_some_and(|limit| now.saturating_sub(started_at) >= limit) {
                self.request_stop(StopRequest::TimeOut);
            }
            if self.kill_at.is_some_and(|end| now >= end) {
                self.send(Signal::KILL);
            }
        }
    }

    /// Passes a signal on; a second signal means that the user does not want to wait.
    fn interrupt(&mut self, signal: Signal) {
        let is_second = self.exit_reason == ExitReason::Interrupted;
        self.exit_reason = ExitReason::Interrupted;
        self.send(if is_second { Signal::KILL } else { signal });
    }

    fn request_stop(&mut self, request: StopRequest) {
        if self.exit_reason == ExitReason::Exited {
            self.exit_reason = ExitReason::Requested(request);
            self.send(Signal::TERM);
            self.kill_at = Some(SystemClock.monotonic() + KILL_GRACE_PERIOD);
        }
    }

    /// Sends a signal to the program and its children. The program is not reaped yet, so its process id is still its
    /// own.
    fn send(&self, signal: Signal) {
        let group = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        if let Some(group) = group {
            let _ = kill_process_group(group, signal);
        }
    }
}

/// Returns the exit code of a program as a shell reports it.
pub(super) fn exit_code(status: ExitStatus) -> i32 {
    status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or_default())
}

/// Signals by which users end a program.
pub(super) struct TerminationSignals {
    interrupt: Signals,
    terminate: Signals,
    hang_up: Signals,
}

impl TerminationSignals {
    /// Begins to receive the signals.
    pub(super) fn listen() -> io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hang_up: signal(SignalKind::hangup())?,
        })
    }

    async fn next(&mut self) -> Signal {
        tokio::select! {
            _ = self.interrupt.recv() => Signal::INT,
            _ = self.terminate.recv() => Signal::TERM,
            _ = self.hang_up.recv() => Signal::HUP,
        }
    }
}

/// Prefixes of variables that hold settings and secrets of Larder and of the libraries that it uses.
const PRIVATE_PREFIXES: [&str; 2] = ["LARDER_", "AWS_"];

/// Prevents other processes of the same user from reading the memory and the environment of this one, where the system
/// supports that. There are then no core dumps, and only root can attach a debugger.
pub(super) fn prevent_inspection() {
    #[cfg(target_os = "linux")]
    {
        use rustix::process::{DumpableBehavior, set_dumpable_behavior};
        // A kernel that knows the call never fails it. After a failure the process is as readable as before.
        let _ = set_dumpable_behavior(DumpableBehavior::NotDumpable);
    }
}

/// Sets the umask, so that new files of this process are readable by its user alone unless their creation says
/// otherwise.
pub(super) fn restrict_new_files() {
    rustix::process::umask(rustix::fs::Mode::RWXG | rustix::fs::Mode::RWXO);
}

/// Returns whether a variable of the environment is for this process alone, and not for programs that it starts.
pub(super) fn is_private_variable(name: &OsStr) -> bool {
    let name = name.as_encoded_bytes();
    PRIVATE_PREFIXES.iter().any(|prefix| name.starts_with(prefix.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_not_for_programs() {
        for own in ["LARDER_TOKEN", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"] {
            assert!(is_private_variable(OsStr::new(own)), "{own}");
        }
        for other in ["PATH", "APIFY_TOKEN", "HTTPS_PROXY", "OTEL_EXPORTER_OTLP_HEADERS", "AWSOME", "larder_token"] {
            assert!(!is_private_variable(OsStr::new(other)), "{other}");
        }
    }
}
