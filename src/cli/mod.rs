//! Command line: subcommands and exit codes. Other modules do their work.

mod administration;
mod api_connection;
mod arguments;
mod backup;
mod child_process;
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
