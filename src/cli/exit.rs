//! Exit codes of commands.

use std::process::ExitCode;

use super::output;

/// The command failed: the port or the data folder is taken, the disk is full, a server is not ready.
pub(super) const FAILED: u8 = 1;

/// The arguments or the configuration are wrong. (clap ends with this code, too.)
pub(super) const INVALID_USAGE: u8 = 2;

/// There is no such store or record.
const NOT_FOUND: u8 = 3;

/// Meaning of the exit codes, for the help.
pub(super) const HELP: &str = "\
Exit codes:
  0  done; for `serve`: stopped by a signal after a drain
  1  failed: the port or the data folder is taken, the disk is full, a server is not ready,
     something is wrong with the backend, or damaged in the data folder
  2  the arguments or the configuration are wrong
  3  there is no such store or record
  `run` exits with the code of the command that it ran; 127 or 126 if that cannot be found or started";

/// Reason for a command's failure.
#[derive(Debug)]
pub(super) enum CommandError {
    /// There is no such store or record.
    NotFound(String),
    /// Anything else.
    Failed(String),
}

impl From<String> for CommandError {
    fn from(message: String) -> Self {
        Self::Failed(message)
    }
}

impl CommandError {
    /// Writes the reason to standard error and returns the exit code.
    pub(super) fn report(&self) -> ExitCode {
        let (Self::NotFound(message) | Self::Failed(message)) = self;
        output::print_error(message);
        ExitCode::from(if matches!(self, Self::NotFound(_)) { NOT_FOUND } else { FAILED })
    }
}

/// Returns the exit code of a failed command.
pub(super) fn failed() -> ExitCode {
    ExitCode::from(FAILED)
}

/// Returns the exit code of invalid settings.
pub(super) fn invalid_usage() -> ExitCode {
    ExitCode::from(INVALID_USAGE)
}
