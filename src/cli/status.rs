//! `larder status` and `larder version`: state of the server, and version of this program.

use std::process::ExitCode;

use serde_json::{Value, json};

use crate::config::{Given, load};

use super::{
    exit, http, output,
    table::{self, Format},
    target::Door,
};

/// Shows the server's address, its readiness, and the caller. Starts no server.
pub(super) fn status(format: Format, url: Option<String>, given: &Given) -> ExitCode {
    let config = match load(given) {
        Ok(loaded) => loaded.config,
        Err(problems) => {
            output::print_error(&problems.to_string());
            return exit::wrong_settings();
        }
    };
    let door = match Door::of_running(url, given, &config) {
        Ok(Some(door)) => door,
        Ok(None) => {
            output::print_error(&format!("no server answers at {}", http::origin_of(&config)));
            return exit::failed();
        }
        Err(code) => return code,
    };
    match look_at(&door) {
        Ok(status) => {
            table::show(format, &status);
            if status["state"] == "ready" { ExitCode::SUCCESS } else { exit::failed() }
        }
        Err(error) => {
            output::print_error(&error);
            exit::failed()
        }
    }
}

fn look_at(door: &Door) -> Result<Value, String> {
    let health = door.document("/health/ready")?;
    let version = door.document("/v2/openapi.json")?["info"]["version"].take();
    let session = door.ask("GET", "/larder/v1/session", None)?;
    let stores = door.ask("GET", "/v2/key-value-stores?unnamed=1&limit=1", None)?;
    Ok(json!({
        "server": door.origin(),
        "version": version,
        "state": health["status"],
        "problems": health["problems"],
        "deletionSuspended": health["deletionSuspended"],
        "user": session["username"],
        "isAdmin": session["isAdmin"],
        "token": { "name": session["token"]["name"], "expiresAt": session["token"]["expiresAt"] },
        "stores": stores["total"],
    }))
}

/// Shows the version of this program.
pub(super) fn version(format: Format) -> ExitCode {
    let version = env!("CARGO_PKG_VERSION");
    match format {
        Format::Json => output::say(&json!({ "version": version }).to_string()),
        Format::Table => output::say(&format!("larder {version}")),
    }
    ExitCode::SUCCESS
}
