//! The guard over servers: whatever way a command ends, its servers end with it.
#![expect(clippy::disallowed_methods, reason = "another process's time cannot be injected")]

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};

mod processes;

use processes::{folder, runs, until};

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
        let mut guard = guard(&folder, server);
        let processes = started(&folder);
        assert!(processes.iter().all(|process| runs(process)));
        // All that is left of a command, however it ended, is that its end of the pipe is closed.
        drop(guard.stdin.take());
        assert!(guard.wait().expect("it ends").success());
        assert_eq!(processes.iter().filter(|process| runs(process)).count(), 0, "{server}");
        assert!(!folder.exists(), "its data are gone");
    }
}

#[test]
fn a_server_that_ends_by_itself_is_noticed() {
    let folder = folder("early");
    let mut guard = guard(&folder, FAILING);
    let processes = started(&folder);
    fs::write(folder.join("end"), "").expect("it is there yet");
    until("the guard ends", || guard.try_wait().expect("it is a child").is_some());
    assert!(!guard.wait().expect("it ended").success());
    assert!(!processes.iter().any(|process| runs(process)), "what it left behind is ended");
}

fn guard(folder: &Path, server: &str) -> Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
    command.arg("guard").arg(folder).args(["sh", "-c", server]).current_dir(folder);
    command.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().expect("the guard starts")
}

/// Returns the processes that a server has noted by now, once it has noted all.
fn started(folder: &Path) -> Vec<String> {
    let read = || fs::read_to_string(folder.join("started")).unwrap_or_default();
    until("the server starts", || read().lines().count() == 3);
    read().lines().filter(|line| !line.is_empty()).map(str::to_owned).collect()
}
