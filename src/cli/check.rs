//! `larder check`: what `serve` would run with, and whether what it would serve is whole.

use std::process::ExitCode;

use crate::{
    config::{Config, Given, load},
    storage::embedded::inspect,
};

use super::{exit, output};

/// Shows the configuration, or everything that is wrong with it; then reads the data folder, if `is_of_data`.
pub(super) fn check(is_of_data: bool, given: &Given) -> ExitCode {
    match load(given) {
        Ok(loaded) => {
            output::say(loaded.to_string().trim_end());
            if is_of_data { check_data(&loaded.config) } else { ExitCode::SUCCESS }
        }
        Err(problems) => {
            output::complain(&problems.to_string());
            exit::wrong_settings()
        }
    }
}

fn check_data(config: &Config) -> ExitCode {
    if output::complain_of_bucket(config, "--data reads a data folder") {
        return exit::wrong_settings();
    }
    output::complain("reading everything in the data folder");
    match inspect(&config.data, output::tell_of_damage) {
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
