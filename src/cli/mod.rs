//! Command line: subcommands and exit codes. Other modules do their work.
//!
//! Commands about stores, records, accounts and runs use only the API: of a given server, of the one that runs with
//! this configuration, or of a local one that is started for the command (`api_connection.rs`). Only `serve`, `check`,
//! `doctor`, `backup`, `restore` and `migrate` reach the data by themselves.
//!
//! `larder run` creates a run by the API, starts the command as a child process with the run's environment, sends
//! heartbeats, and reports the result. `serve.rs` handles the signals: `SIGTERM` drains, `SIGHUP` reloads.

mod administration;
mod api_connection;
mod arguments;
mod backup;
mod diagnosis;
mod exit;
mod help;
mod import_export;
#[cfg(feature = "s3")]
mod migrate;
mod output;
mod records;
mod run;
mod serve;
mod server_commands;

pub use arguments::run;
