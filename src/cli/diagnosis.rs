//! `larder check`, `doctor`, `health`, `status` and `version`: the effective configuration, the integrity of the data
//! folder, the state of the backend and of a server. None of them changes anything.

use std::process::ExitCode;

use serde_json::{Value, json};
use tokio::runtime;

use crate::{
    clock::{Clock, SystemClock},
    config::{Config, ConfigSources, example, load},
    gateway::{Diagnosis, Mode, Progress},
    server::Tls,
    storage::{
        diagnostics::{CheckResult, Status},
        embedded::check_integrity,
    },
};

use super::{
    api_connection::{self, ApiConnection, ApiRequest, Server},
    exit,
    output::{self, Format},
};

/// Output that is requested.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CheckScope {
    /// The configuration.
    Configuration,
    /// The configuration, and the damage in the data folder.
    Data,
    /// An example configuration, independent of the given one.
    Example,
}

/// Shows the configuration, or everything that is wrong with it, and the other requested output.
pub(super) fn check(scope: CheckScope, sources: &ConfigSources) -> ExitCode {
    if scope == CheckScope::Example {
        output::print_line(example().trim_end());
        return ExitCode::SUCCESS;
    }
    match load(sources) {
        Ok(loaded) => {
            output::print_line(loaded.to_string().trim_end());
            for warning in &loaded.warnings {
                output::print_message(&format!("warning: {warning}"));
            }
            match Tls::load(&loaded.config.server.tls) {
                Ok(tls) => {
                    let validity = tls.and_then(|tls| tls.validity());
                    if let Some(warning) = validity.and_then(|validity| validity.warning(SystemClock.now())) {
                        output::print_message(&format!("warning: {warning}"));
                    }
                }
                Err(error) => {
                    output::print_error(&output::error_chain(&error));
                    return exit::invalid_usage();
                }
            }
            if scope == CheckScope::Data { check_data(&loaded.config) } else { ExitCode::SUCCESS }
        }
        Err(problems) => {
            output::print_error(&problems.to_string());
            exit::invalid_usage()
        }
    }
}

fn check_data(config: &Config) -> ExitCode {
    if output::reject_bucket(config, "verify the data folder") {
        return exit::invalid_usage();
    }
    output::print_message("verifying everything in the data folder");
    match check_integrity(&config.data, output::print_damage) {
        Ok(found) => {
            let size = indicatif::HumanBytes(found.bytes);
            output::print_line(&format!(
                "{} objects are intact ({size} in all), {} are damaged",
                found.objects - found.damaged,
                found.damaged
            ));
            if found.is_sound() { ExitCode::SUCCESS } else { exit::failed() }
        }
        Err(error) => {
            output::print_error(&output::error_chain(&error));
            exit::failed()
        }
    }
}

/// Maximum number of characters of a check's name.
const NAME_WIDTH: usize = 18;

/// Maximum number of characters of a status.
const STATUS_WIDTH: usize = 8;

/// Diagnoses the configured backend, and shows the results as a table or as JSON.
pub(super) fn doctor(is_json: bool, sources: &ConfigSources) -> ExitCode {
    let config = match load(sources) {
        Ok(loaded) => loaded.config,
        Err(problems) => {
            output::print_error(&problems.to_string());
            return exit::invalid_usage();
        }
    };
    let runtime = match runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            output::print_error(&format!("the runtime cannot be started: {error}"));
            return exit::failed();
        }
    };
    let diagnosis = if is_json {
        let diagnosis = runtime.block_on(Diagnosis::run(&config, &|_| {}));
        print_json(&diagnosis);
        diagnosis
    } else {
        output::print_message("testing the backend; this takes up to a few minutes");
        let diagnosis = runtime.block_on(Diagnosis::run(&config, &print_step));
        print_conclusion(&diagnosis);
        diagnosis
    };
    if diagnosis.is_healthy() { ExitCode::SUCCESS } else { exit::failed() }
}

fn print_json(diagnosis: &Diagnosis) {
    let mut shown = serde_json::json!(diagnosis);
    shown["isHealthy"] = diagnosis.is_healthy().into();
    output::print_line(&format!("{shown:#}"));
}

/// Shows a step as soon as it is done, so that users see slow steps, and keep the results of an interrupted run.
fn print_step(step: Progress<'_>) {
    let CheckResult { check, description, outcome } = match step {
        Progress::Begun(backend) => return output::print_line(&format!("{backend}\n")),
        Progress::Found(result) => result,
    };
    let status = match outcome.status {
        Status::Pass => "pass",
        Status::Degraded => "degraded",
        Status::Fail => "FAIL",
        Status::TimedOut => "TIMEOUT",
    };
    output::print_line(&format!("{status:<STATUS_WIDTH$}  {check:<NAME_WIDTH$}  {}", outcome.message));
    if let Some(advice) = &outcome.advice {
        let margin = " ".repeat(STATUS_WIDTH + NAME_WIDTH + 2);
        output::print_line(&format!("{margin}  test: {description}\n{margin}  fix: {advice}"));
    }
}

fn print_conclusion(diagnosis: &Diagnosis) {
    let mode = match diagnosis.mode {
        Some(Mode::Alone) => "alone: only one gateway can use this data folder",
        Some(Mode::Conditional) => "conditional: any number of equal gateways",
        Some(Mode::Leader) => "leader: one gateway performs all conditional writes (LARDER_LEADER)",
        None => "unknown",
    };
    output::print_line(&format!("\nmode: {mode}"));
    output::print_line(if diagnosis.is_healthy() { "the backend is usable" } else { "the backend has problems" });
}

/// Path of the readiness check.
const READINESS_PATH: &str = "/health/ready";

/// Checks the server at `url`, or at the address in the configuration.
pub(super) fn health(url: Option<String>, sources: &ConfigSources) -> ExitCode {
    let server = match url.or_else(|| sources.variable("LARDER_URL").map(str::to_owned)) {
        Some(url) => Server::from_url(&url, sources),
        None => match load(sources) {
            Ok(loaded) => Server::local(&loaded.config),
            Err(problems) => {
                output::print_error(&problems.to_string());
                return exit::invalid_usage();
            }
        },
    };
    let server = match server {
        Ok(server) => server,
        Err(error) => {
            output::print_error(&error);
            return exit::invalid_usage();
        }
    };
    match server.send_json(ApiRequest { method: "GET", target: READINESS_PATH, token: None }, None) {
        Ok((200, _)) => {
            output::print_line("ready");
            ExitCode::SUCCESS
        }
        Ok((status, body)) => {
            output::print_error(&format!("not ready ({status}): {}", body.trim()));
            exit::failed()
        }
        Err(error) => {
            output::print_error(&format!("no response from {}: {error}", server.origin));
            exit::failed()
        }
    }
}

/// Shows the server's address, its readiness, and the caller. Starts no server.
pub(super) fn status(format: Format, url: Option<String>, sources: &ConfigSources) -> ExitCode {
    let config = match load(sources) {
        Ok(loaded) => loaded.config,
        Err(problems) => {
            output::print_error(&problems.to_string());
            return exit::invalid_usage();
        }
    };
    let api = match ApiConnection::connect(url, sources, &config) {
        Ok(Some(api)) => api,
        Ok(None) => {
            output::print_error(&format!("no server is running at {}", api_connection::local_origin(&config)));
            return exit::failed();
        }
        Err(code) => return code,
    };
    match server_status(&api) {
        Ok(status) => {
            output::show(format, &status);
            if status["state"] == "ready" { ExitCode::SUCCESS } else { exit::failed() }
        }
        Err(error) => {
            output::print_error(&error);
            exit::failed()
        }
    }
}

fn server_status(api: &ApiConnection) -> Result<Value, String> {
    let health = api.get_json("/health/ready")?;
    let version = api.get_json("/v2/openapi.json")?["info"]["version"].take();
    let session = api.call("GET", "/larder/v1/session", None)?;
    let stores = api.call("GET", "/v2/key-value-stores?unnamed=1&limit=1", None)?;
    Ok(json!({
        "server": api.origin(),
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
        Format::Json => output::print_line(&json!({ "version": version }).to_string()),
        Format::Table => output::print_line(&format!("larder {version}")),
    }
    ExitCode::SUCCESS
}
