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
        embedded::inspect,
        examination::{Finding, Verdict},
    },
};

use super::{
    api_connection::{self, Door, Question, Server},
    exit,
    output::{self, Format},
};

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
pub(super) fn check(asked: Asked, sources: &ConfigSources) -> ExitCode {
    if asked == Asked::Example {
        output::say(example().trim_end());
        return ExitCode::SUCCESS;
    }
    match load(sources) {
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

/// Maximum number of characters of a check's name.
const NAME_WIDTH: usize = 18;

/// Examines the backend of the configuration, and shows the results, for people or as JSON.
pub(super) fn doctor(is_json: bool, sources: &ConfigSources) -> ExitCode {
    let config = match load(sources) {
        Ok(loaded) => loaded.config,
        Err(problems) => {
            output::print_error(&problems.to_string());
            return exit::wrong_settings();
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
        let diagnosis = runtime.block_on(Diagnosis::of(&config, &|_| {}));
        show_json(&diagnosis);
        diagnosis
    } else {
        output::complain("examining the backend; this takes up to a few minutes");
        let diagnosis = runtime.block_on(Diagnosis::of(&config, &show_step));
        show_end(&diagnosis);
        diagnosis
    };
    if diagnosis.is_well() { ExitCode::SUCCESS } else { exit::failed() }
}

fn show_json(diagnosis: &Diagnosis) {
    let mut shown = serde_json::json!(diagnosis);
    shown["well"] = diagnosis.is_well().into();
    output::say(&format!("{shown:#}"));
}

/// Shows a step as soon as it is done, so that users see slow steps, and keep the results of an interrupted run.
fn show_step(step: Progress<'_>) {
    let Finding { check, tried, outcome } = match step {
        Progress::Begun(backend) => return output::say(&format!("{backend}\n")),
        Progress::Found(finding) => finding,
    };
    let verdict = match outcome.verdict {
        Verdict::Ok => "ok",
        Verdict::Lacks => "lacks",
        Verdict::Wrong => "WRONG",
        Verdict::Unfinished => "UNDONE",
    };
    output::say(&format!("{verdict:<6}  {check:<NAME_WIDTH$}  {}", outcome.meaning));
    if let Some(advice) = &outcome.advice {
        let margin = " ".repeat(NAME_WIDTH + 8);
        output::say(&format!("{margin}  tried: {tried}\n{margin}  to do: {advice}"));
    }
}

fn show_end(diagnosis: &Diagnosis) {
    let mode = match diagnosis.mode {
        Some(Mode::Alone) => "one gateway has this folder for itself",
        Some(Mode::Conditional) => "conditional: any number of equal gateways",
        Some(Mode::Leader) => "leader: one gateway makes the writes that depend on what is there (LARDER_LEADER)",
        None => "could not be found out",
    };
    output::say(&format!("\nmode: {mode}"));
    output::say(if diagnosis.is_well() { "all is well" } else { "something is wrong" });
}

/// Path of the readiness check.
const PATH: &str = "/health/ready";

/// Checks the server at `url`, or at the address in the configuration.
pub(super) fn health(url: Option<String>, sources: &ConfigSources) -> ExitCode {
    let server = match url.or_else(|| sources.variable("LARDER_URL").map(str::to_owned)) {
        Some(url) => Server::at(&url, sources),
        None => match load(sources) {
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

/// Shows the server's address, its readiness, and the caller. Starts no server.
pub(super) fn status(format: Format, url: Option<String>, sources: &ConfigSources) -> ExitCode {
    let config = match load(sources) {
        Ok(loaded) => loaded.config,
        Err(problems) => {
            output::print_error(&problems.to_string());
            return exit::wrong_settings();
        }
    };
    let door = match Door::of_running(url, sources, &config) {
        Ok(Some(door)) => door,
        Ok(None) => {
            output::print_error(&format!("no server answers at {}", api_connection::origin_of(&config)));
            return exit::failed();
        }
        Err(code) => return code,
    };
    match look_at(&door) {
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
