//! `larder check`: what `serve` would run with.

use std::process::ExitCode;

use crate::config::{Given, load};

use super::{exit, output};

/// Shows the configuration, or everything that is wrong with it.
pub(super) fn check(given: &Given) -> ExitCode {
    match load(given) {
        Ok(loaded) => {
            output::say(loaded.to_string().trim_end());
            ExitCode::SUCCESS
        }
        Err(problems) => {
            output::complain(&problems.to_string());
            exit::wrong_settings()
        }
    }
}
