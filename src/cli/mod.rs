//! The command line: subcommands and exit codes. What they do is done elsewhere.

mod arguments;
mod check;
mod doctor;
mod exit;
mod health;
mod output;
mod serve;

pub use arguments::run;
