//! `larder doctor`: diagnosis of the backend, with advice.

use std::process::ExitCode;

use tokio::runtime;

use crate::{
    config::{Given, load},
    gateway::{Diagnosis, Mode, Progress},
    storage::examination::{Finding, Verdict},
};

use super::{exit, output};

/// Maximum number of characters of a check's name.
const NAME_WIDTH: usize = 18;

/// Examines the backend of the configuration, and shows the results, for people or as JSON.
pub(super) fn doctor(is_json: bool, given: &Given) -> ExitCode {
    let config = match load(given) {
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
