//! `larder check`: what `serve` would run with, and whether what it would serve is whole.

use std::process::ExitCode;

use crate::{
    config::{Config, Given, load},
    server::Tls,
    storage::embedded::inspect,
};

use super::{exit, output};

/// Shows the configuration, or everything that is wrong with it; then reads the data folder, if `is_of_data`.
pub(super) fn check(is_of_data: bool, given: &Given) -> ExitCode {
    match load(given) {
        Ok(loaded) => {
            output::say(loaded.to_string().trim_end());
            if let Err(error) = Tls::of(&loaded.config.server.tls) {
                output::complain(&output::whole(&error));
                return exit::wrong_settings();
            }
            if is_of_data { check_data(&loaded.config) } else { ExitCode::SUCCESS }
        }
        Err(problems) => {
            output::complain(&problems.to_string());
            exit::wrong_settings()
        }
    }
}

fn check_data(config: &Config) -> ExitCode {
    #[cfg(feature = "s3")]
    if !config.s3.bucket.is_empty() {
        output::complain(
            "--data reads a data folder, and this configuration has a bucket: its object store looks after it",
        );
        return exit::wrong_settings();
    }
    output::complain("reading everything in the data folder");
    // A key may hold anything, and is shown so that a terminal takes no part of it for a command.
    match inspect(&config.data, |what, wrong| output::say(&format!("damaged: {}: {wrong}", what.escape_debug()))) {
        Ok(found) => {
            let size = indicatif::HumanBytes(found.bytes);
            output::say(&format!(
                "{} objects and {size} are whole, {} damaged",
                found.objects - found.damaged,
                found.damaged
            ));
            if found.is_sound() { ExitCode::SUCCESS } else { exit::failed() }
        }
        Err(error) => {
            output::complain(&output::whole(&error));
            exit::failed()
        }
    }
}
