//! `larder check`: the effective configuration of `serve`, and the integrity of the data folder.

use std::process::ExitCode;

use crate::{
    clock::{Clock, SystemClock},
    config::{Config, Given, example, load},
    server::Tls,
    storage::embedded::inspect,
};

use super::{exit, output};

/// Output that is requested.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Asked {
    /// The configuration.
    Configuration,
    /// The configuration, and the damage in the data folder.
    Data,
    /// An example configuration, independent of the given one.
    Example,
}

/// Shows the configuration, or everything that is wrong with it, and the other requested output.
pub(super) fn check(asked: Asked, given: &Given) -> ExitCode {
    if asked == Asked::Example {
        output::say(example().trim_end());
        return ExitCode::SUCCESS;
    }
    match load(given) {
        Ok(loaded) => {
            output::say(loaded.to_string().trim_end());
            for warning in &loaded.warnings {
                output::complain(&format!("warning: {warning}"));
            }
            match Tls::of(&loaded.config.server.tls) {
                Ok(tls) => {
                    let validity = tls.and_then(|tls| tls.validity());
                    if let Some(warning) = validity.and_then(|validity| validity.warning(SystemClock.now())) {
                        output::complain(&format!("warning: {warning}"));
                    }
                }
                Err(error) => {
                    output::print_error(&output::whole(&error));
                    return exit::wrong_settings();
                }
            }
            if asked == Asked::Data { check_data(&loaded.config) } else { ExitCode::SUCCESS }
        }
        Err(problems) => {
            output::print_error(&problems.to_string());
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
            output::print_error(&output::whole(&error));
            exit::failed()
        }
    }
}
