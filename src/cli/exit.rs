//! Exit codes of commands.

use std::process::ExitCode;

use super::output;

/// Failure: port or data folder in use, disk full, server not ready, unusable backend, damaged data.
pub(super) const FAILED: u8 = 1;

/// Invalid arguments or configuration. (clap exits with this code, too.)
pub(super) const INVALID_USAGE: u8 = 2;

/// Store or record not found.
const NOT_FOUND: u8 = 3;

/// Meaning of the exit codes, for the help.
pub(super) const HELP: &str = "\
Exit codes:
  0  success; for `serve`: stopped by a signal after draining
  1  failure: port or data folder in use, disk full, server not ready, unusable backend, damaged data
  2  invalid arguments or configuration
  3  store or record not found
  `run` exits with the code of its command: 127 if it is not found, 126 if it cannot be started";

/// Reason for a command's failure.
#[derive(Debug)]
pub(super) enum CommandError {
    /// Store or record not found.
    NotFound(String),
    /// Any other failure.
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
