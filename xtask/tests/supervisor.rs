//! Child processes end with the command that started them, however it ends: a server with its supervisor, and all that a
//! test command has started. A process that does not end by itself fails the run.
#![cfg(target_os = "linux")]
#![expect(clippy::disallowed_methods, reason = "another process's time cannot be injected")]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// A server that has started two more, and writes their process ids to a file.
const FAMILY: &str = "sleep 1000 & echo $! >> started; sleep 1000 & echo $! >> started; echo $$ >> started; wait";

/// One that does not end when it is asked to.
const STUBBORN: &str = "trap '' TERM; sleep 1000 & echo $! >> started; echo $$ >> started; echo >> started; wait";

/// One that ends when a file appears, and leaves another running.
const FAILING: &str = "sleep 1000 & echo $! >> started; echo >> started; echo >> started; \
                       until [ -e end ]; do sleep 0.02; done; exit 3";

#[test]
fn a_server_and_all_that_it_started_end_with_the_command() {
    for server in [FAMILY, STUBBORN] {
        let folder = folder("end");
        let mut supervisor = supervisor(&folder, server);
        let processes = started_processes(&folder);
        assert!(processes.iter().all(|process| runs(process)));
        // All that is left of a command, however it ended, is that its end of the pipe is closed.
        drop(supervisor.stdin.take());
        assert!(supervisor.wait().expect("it ends").success());
        assert_eq!(processes.iter().filter(|process| runs(process)).count(), 0, "{server}");
        assert!(!folder.exists(), "its data are gone");
    }
}

#[test]
fn a_server_that_ends_by_itself_is_noticed() {
    let folder = folder("early");
    let mut supervisor = supervisor(&folder, FAILING);
    let processes = started_processes(&folder);
    fs::write(folder.join("end"), "").expect("it is there yet");
    until("the supervisor ends", || supervisor.try_wait().expect("it is a child").is_some());
    assert!(!supervisor.wait().expect("it ended").success());
    assert!(!processes.iter().any(|process| runs(process)), "what it left behind is ended");
}

fn supervisor(folder: &Path, server: &str) -> Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
    command.arg("supervisor").arg(folder).args(["sh", "-c", server]).current_dir(folder);
    command.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().expect("the supervisor starts")
}

/// Returns the processes that a server has noted by now, once it has noted all.
fn started_processes(folder: &Path) -> Vec<String> {
    let read = || fs::read_to_string(folder.join("started")).unwrap_or_default();
    until("the server starts", || read().lines().count() == 3);
    read().lines().filter(|line| !line.is_empty()).map(str::to_owned).collect()
}

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

/// Time after which a wait has failed.
const WAIT_TIMEOUT: Duration = Duration::from_mins(1);

/// Returns whether a process of this id runs. One that has ended and is not waited for yet does not.
fn runs(process: &str) -> bool {
    let state = fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    state.rsplit(") ").next().is_some_and(|state| !state.is_empty() && !state.starts_with('Z'))
}

/// Waits until a condition holds.
fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let began = Instant::now();
    while !condition() {
        assert!(began.elapsed() < WAIT_TIMEOUT, "{what}: not within {WAIT_TIMEOUT:?}");
        sleep(Duration::from_millis(5));
    }
}

/// Makes a folder of this test process.
fn folder(name: &str) -> PathBuf {
    let folder = std::env::temp_dir().join(format!("larder-xtask-{name}-{}", std::process::id()));
    fs::create_dir_all(&folder).expect("a temporary folder");
    folder
}
