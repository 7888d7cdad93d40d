//! A program that is run for somebody: started, watched, told to end, and ended.

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

/// The pause between two looks whether the program has ended.
const POLL: Duration = Duration::from_millis(20);

/// How long a program has to end that was told to.
const PATIENCE: Duration = Duration::from_secs(20);

/// What a program is told from outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Told {
    /// Somebody wants it to end.
    Abort,
    /// Its time is over.
    TimeOut,
    /// Something else is to be run in its place.
    GiveWay,
}

/// Why a program ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Why {
    /// It came to its end.
    ByItself,
    /// A signal came for it.
    Interrupted,
    /// It was told to.
    Told(Told),
}

/// A program that is running, in a process group of its own: a signal from the terminal comes here, and is passed on once.
pub(super) struct Program {
    child: Child,
    why: Why,
    /// When it is ended without being asked again, by the monotonic clock.
    patience_ends: Option<Duration>,
}

impl Program {
    /// Starts a command. Who sits at a terminal talks to this program, and not to that one.
    pub(super) fn start(mut command: Command) -> io::Result<Self> {
        command.process_group(0);
        if io::stdin().is_terminal() {
            command.stdin(Stdio::null());
        }
        Ok(Self { child: command.spawn()?, why: Why::ByItself, patience_ends: None })
    }

    /// Waits for its end; passes signals on, and ends it when its time is over or when it is told to.
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

    /// Passes a signal on; whoever sends another one does not want to wait.
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

    /// Sends a signal to the program and what it started. It has not been waited for, so that its id is still its own.
    fn send(&self, signal: Signal) {
        let group = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        if let Some(group) = group {
            let _ = kill_process_group(group, signal);
        }
    }
}

/// What a program exited with, as a shell would tell it.
pub(super) fn exit_code(status: ExitStatus) -> i32 {
    status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or_default())
}

/// The signals by which somebody ends a program.
pub(super) struct SignalsOfUsers {
    interrupt: Signals,
    terminate: Signals,
    hang_up: Signals,
}

impl SignalsOfUsers {
    /// From now on they come here.
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
