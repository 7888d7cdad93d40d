//! `larder doctor`: what is well with the backend, what is not, and what to do about it.

use std::process::ExitCode;

use tokio::runtime;

use crate::{
    config::{Given, load},
    gateway::{Diagnosis, Mode},
    storage::examination::{Finding, Verdict},
};

use super::{exit, output};

/// Examines the backend of the configuration that was given, and shows what was found, for people or as JSON.
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
    if !is_json {
        output::complain("examining the backend; this takes up to a few minutes");
    }
    let diagnosis = runtime.block_on(Diagnosis::of(&config));
    if is_json {
        show_json(&diagnosis);
    } else {
        show(&diagnosis);
    }
    if diagnosis.is_well() { ExitCode::SUCCESS } else { exit::failed() }
}

fn show_json(diagnosis: &Diagnosis) {
    let mut shown = serde_json::json!(diagnosis);
    shown["well"] = diagnosis.is_well().into();
    output::say(&format!("{shown:#}"));
}

fn show(diagnosis: &Diagnosis) {
    output::say(&format!("{}\n", diagnosis.backend));
    let width = diagnosis.findings.iter().map(|finding| finding.check.len()).max().unwrap_or_default();
    for Finding { check, tried, outcome } in &diagnosis.findings {
        let verdict = match outcome.verdict {
            Verdict::Ok => "ok",
            Verdict::Lacks => "lacks",
            Verdict::Wrong => "WRONG",
            Verdict::Unfinished => "UNDONE",
        };
        output::say(&format!("{verdict:<6}  {check:<width$}  {}", outcome.meaning));
        if let Some(advice) = &outcome.advice {
            let margin = " ".repeat(width + 8);
            output::say(&format!("{margin}  tried: {tried}\n{margin}  to do: {advice}"));
        }
    }
    let mode = match diagnosis.mode {
        Some(Mode::Alone) => "one gateway has this folder for itself",
        Some(Mode::Conditional) => "conditional: any number of equal gateways",
        Some(Mode::Keeper) => "keeper: one gateway makes the writes that depend on what is there (LARDER_KEEPER)",
        None => "could not be found out",
    };
    output::say(&format!("\nmode: {mode}"));
    output::say(if diagnosis.is_well() { "all is well" } else { "something is wrong" });
}
