//! Processes that the tests have started end with them, however the tests end.

use std::{
    fs,
    process::{Command, Stdio},
};

use crate::program::{Program, until};

/// Says which program it has started, and is gone without having ended it.
#[test]
#[ignore = "a part of the test below"]
#[expect(clippy::disallowed_methods, reason = "another process says where to write")]
fn starts_a_program_and_is_killed() {
    let folder = tempfile::tempdir().expect("a folder").keep();
    let program = Program::serve(&folder, &[]);
    fs::write(std::env::var_os("WATCHED_FILE").expect("it is set"), program.id().to_string()).expect("it is written");
    fs::remove_dir_all(&folder).expect("it is removed");
    std::process::abort();
}

#[test]
fn a_program_ends_with_tests_that_are_killed() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("id");
    let mut tests = Command::new(std::env::current_exe().expect("it is known"));
    tests.args(["--ignored", "--exact", "watched::starts_a_program_and_is_killed"]).env("WATCHED_FILE", &file);
    let killed = tests.stdout(Stdio::null()).stderr(Stdio::null()).status().expect("it starts");
    assert!(!killed.success());
    let id = fs::read_to_string(&file).expect("a program was started");
    let is_running = || {
        let command = fs::read(format!("/proc/{id}/cmdline")).unwrap_or_default();
        command.windows(6).any(|word| word == b"larder")
    };
    until("the program is gone", || !is_running());
}
