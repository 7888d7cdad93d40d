//! Supervised child process: started, watched, terminated.

use std::{
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
const POLL: Duration = Duration::from_millis(20);

/// Grace period between the request to end and the kill.
const PATIENCE: Duration = Duration::from_secs(20);

/// Request to end a program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Told {
    /// Abort.
    Abort,
    /// The time limit has passed.
    TimeOut,
    /// Another program is to run in its place.
    GiveWay,
}

/// Reason for the end of a program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Why {
    /// It exited by itself.
    ByItself,
    /// A signal arrived for it.
    Interrupted,
    /// It was requested to end.
    Told(Told),
}

/// Running program, in its own process group: a signal from the terminal arrives here, and is passed on once.
pub(super) struct Program {
    child: Child,
    why: Why,
    /// End of the grace period, by the monotonic clock.
    patience_ends: Option<Duration>,
}

impl Program {
    /// Starts a command. The user at the terminal controls this process, not the command.
    pub(super) fn start(mut command: Command) -> io::Result<Self> {
        command.process_group(0);
        if io::stdin().is_terminal() {
            command.stdin(Stdio::null());
        }
        Ok(Self { child: command.spawn()?, why: Why::ByItself, patience_ends: None })
    }

    /// Waits for the program's end; passes signals on, and ends it at its time limit or on request.
    pub(super) async fn watch(
        mut self,
        signals: &mut SignalsOfUsers,
        told: &mut mpsc::Receiver<Told>,
        limit: Option<Duration>,
    ) -> io::Result<(ExitStatus, Why)> {
        let began = SystemClock.monotonic();
        loop {
            if let Some(status) = self.child.try_wait()? {
                return Ok((status, self.why));
            }
            tokio::select! {
                () = SystemClock.sleep(POLL) => {}
                signal = signals.next() => self.interrupt(signal),
                Some(told) = told.recv() => self.tell(told),
            }
            let now = SystemClock.monotonic();
            if limit.is_some_and(|limit| now.saturating_sub(began) >= limit) {
                self.tell(Told::TimeOut);
            }
            if self.patience_ends.is_some_and(|end| now >= end) {
                self.send(Signal::KILL);
            }
        }
    }

    /// Passes a signal on; a second signal means that the user does not want to wait.
    fn interrupt(&mut self, signal: Signal) {
        let is_second = self.why == Why::Interrupted;
        self.why = Why::Interrupted;
        self.send(if is_second { Signal::KILL } else { signal });
    }

    fn tell(&mut self, told: Told) {
        if self.why == Why::ByItself {
            self.why = Why::Told(told);
            self.send(Signal::TERM);
            self.patience_ends = Some(SystemClock.monotonic() + PATIENCE);
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
pub(super) struct SignalsOfUsers {
    interrupt: Signals,
    terminate: Signals,
    hang_up: Signals,
}

impl SignalsOfUsers {
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
