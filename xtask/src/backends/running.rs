//! A server that runs: waited for until it serves, ended with this value or with the whole command.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};

use super::server::S3Server;
use crate::guard::Guarded;
use crate::server::is_setting;
use crate::shell;

/// Timeout for the start of a server, until it serves, on a machine that is busy with something else.
const START_LIMIT: Duration = Duration::from_mins(3);

/// Interval between two looks until then.
const POLL: Duration = Duration::from_millis(50);

/// Launch of a backend: the command, and the readiness check.
pub struct Launch {
    /// The program, with its arguments and environment.
    pub command: Command,
    /// Returns `true` once it serves.
    pub is_ready: Box<dyn Fn() -> bool>,
    /// Its address and credentials once it runs.
    pub server: S3Server,
}

/// A running object store. Its data go when it goes; its log stays until the next start.
pub struct Running {
    guarded: Guarded,
    log: PathBuf,
    /// Its address and credentials.
    pub server: S3Server,
}

impl Running {
    /// Starts a server over `data`, a folder that exists, and waits until it serves.
    ///
    /// # Errors
    /// Returns a message with the end of its log, when it ends or does not serve within the limit.
    pub fn start(mut launch: Launch, data: &Path, log: PathBuf) -> Result<Self, String> {
        // Whatever another command writes to goes on being written to, without a name.
        let _ = fs::remove_file(&log);
        let file = File::create(&log).map_err(|error| format!("{} cannot be made: {error}", log.display()))?;
        for (variable, _) in std::env::vars_os().filter(|(variable, _)| is_setting(&variable.to_string_lossy())) {
            launch.command.env_remove(variable);
        }
        let guarded = Guarded::start(&launch.command, data, file)?;
        let mut running = Self { guarded, log, server: launch.server };
        let started = Instant::now();
        while !(launch.is_ready)() {
            if let Some(status) = running.guarded.ended() {
                return Err(format!("it ended before it served ({status})\n{}", running.end_of_log()));
            }
            if started.elapsed() > START_LIMIT {
                return Err(format!("it does not serve within {START_LIMIT:?}\n{}", running.end_of_log()));
            }
            sleep(POLL);
        }
        println!("It serves at {} after {:.1} s.", running.server.endpoint, started.elapsed().as_secs_f64());
        Ok(running)
    }

    /// Waits until it ends by itself.
    pub fn wait(mut self) -> String {
        loop {
            if let Some(status) = self.guarded.ended() {
                return format!("it ended by itself ({status})\n{}", self.end_of_log());
            }
            sleep(POLL);
        }
    }

    /// Returns the last lines that it wrote.
    pub fn end_of_log(&self) -> String {
        shell::end_of_log(&self.log)
    }
}
