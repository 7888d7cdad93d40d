//! Command line: subcommands and exit codes. Other modules do their work.

mod administration;
mod arguments;
mod backup;
mod carry;
mod check;
mod doctor;
mod exit;
mod health;
mod help;
mod http;
mod manual;
#[cfg(feature = "s3")]
mod migrate;
mod output;
mod process;
mod program;
mod record_files;
mod records;
mod reload;
mod run;
mod serve;
mod server_commands;
mod settings_arguments;
mod sign;
mod status;
mod stores;
mod table;
mod target;

pub use arguments::run;
