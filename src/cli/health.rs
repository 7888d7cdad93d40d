//! `larder health`: readiness of a running server, for the health checks of containers, which have no curl.

use std::process::ExitCode;

use crate::config::{Given, load};

use super::{
    exit,
    http::{Question, Server},
    output,
};

/// Path of the readiness check.
const PATH: &str = "/health/ready";

/// Checks the server at `url`, or at the address in the configuration.
pub(super) fn health(url: Option<String>, given: &Given) -> ExitCode {
    let server = match url.or_else(|| given.variable("LARDER_URL").map(str::to_owned)) {
        Some(url) => Server::at(&url, given),
        None => match load(given) {
            Ok(loaded) => Server::of(&loaded.config),
            Err(problems) => {
                output::print_error(&problems.to_string());
                return exit::wrong_settings();
            }
        },
    };
    let server = match server {
        Ok(server) => server,
        Err(error) => {
            output::print_error(&error);
            return exit::wrong_settings();
        }
    };
    match server.ask(Question { method: "GET", target: PATH, token: None }, None) {
        Ok((200, _)) => {
            output::say("ready");
            ExitCode::SUCCESS
        }
        Ok((status, body)) => {
            output::print_error(&format!("not ready ({status}): {}", body.trim()));
            exit::failed()
        }
        Err(error) => {
            output::print_error(&format!("no answer from {}: {error}", server.origin));
            exit::failed()
        }
    }
}
