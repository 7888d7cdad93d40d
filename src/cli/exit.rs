//! What a command says by the code it exits with.

use std::process::ExitCode;

/// The command failed: the port or the data folder is taken, the disk is full, a server is not ready.
pub(super) const FAILED: u8 = 1;

/// The arguments or the configuration are wrong. (clap ends with this code, too.)
pub(super) const WRONG_SETTINGS: u8 = 2;

/// What the exit codes mean, for the help.
pub(super) const HELP: &str = "\
Exit codes:
  0  done; for `serve`: stopped by a signal after a drain
  1  failed: the port or the data folder is taken, the disk is full, a server is not ready,
     something is wrong with the backend, or damaged in the data folder
  2  the arguments or the configuration are wrong
  `run` exits with the code of the command that it ran; 127 or 126 if that cannot be found or started";

/// The exit code of a failed command.
pub(super) fn failed() -> ExitCode {
    ExitCode::from(FAILED)
}

/// The exit code of wrong settings.
pub(super) fn wrong_settings() -> ExitCode {
    ExitCode::from(WRONG_SETTINGS)
}
