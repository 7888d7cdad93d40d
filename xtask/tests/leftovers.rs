//! The test command ends all processes that it started, whatever way it ends, and fails the run if one does not end by
//! itself.
#![cfg(target_os = "linux")]
#![expect(clippy::disallowed_methods, reason = "another process's time cannot be injected")]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};

mod processes;

use processes::{folder, runs, until};

#[test]
fn a_process_that_outlives_its_step_is_named_and_ended_and_fails_the_run() {
    let folder = folder("left");
    let output = test_format(&folder, "sleep 1000 < /dev/null > /dev/null 2>&1 & echo $! > started")
        .output()
        .expect("it starts");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let left = started(&folder);
    assert!(!output.status.success() && said.contains(&format!("{left} sleep 1000")), "{said}");
    until("what was left ends", || !runs(&left));
    fs::remove_dir_all(folder).expect("it is removed");
}

#[test]
fn what_a_killed_run_has_started_ends() {
    let folder = folder("killed");
    let mut run = test_format(&folder, "echo $$ > started; exec sleep 1000")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("it starts");
    until("the step starts", || !started(&folder).is_empty());
    let step = started(&folder);
    assert!(runs(&step));
    run.kill().expect("it runs");
    run.wait().expect("it ends");
    until("the step ends", || !runs(&step));
    fs::remove_dir_all(folder).expect("it is removed");
}

/// Returns the command that tests the format, with a stand-in for cargo that runs `script` in `folder`.
fn test_format(folder: &Path, script: &str) -> Command {
    let cargo = folder.join("cargo");
    fs::write(&cargo, format!("#!/bin/sh\ncd '{}'\n{script}\n", folder.display())).expect("it is written");
    fs::set_permissions(&cargo, fs::Permissions::from_mode(0o755)).expect("it can be run");
    let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
    // These tests are run by such a command themselves.
    command.args(["test", "fmt"]).env("CARGO", cargo).env_remove("XTASK_RUN");
    command
}

fn started(folder: &Path) -> String {
    fs::read_to_string(folder.join("started")).unwrap_or_default().trim().to_owned()
}
