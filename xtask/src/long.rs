//! Checks that take longer than CI may: `cargo xtask test-long NAME` runs one, `cargo xtask test-long` lists them.
//!
//! Each is an ignored test, run in full size over SeaweedFS and, where the test says so, over a folder.

use crate::backends::SEAWEEDFS;
use crate::shell;

/// A long check.
struct LongTest {
    name: &'static str,
    summary: &'static str,
    /// Arguments of `cargo test` that select the ignored tests.
    arguments: &'static [&'static str],
}

/// All long checks, in alphabetical order.
const LONG_TESTS: &[LongTest] = &[
    LongTest {
        name: "cycle",
        summary: "100,000 stores come and go over a folder and SeaweedFS, twice: objects, index file and memory",
        arguments: &["--config", "profile.dev.opt-level=2", "--test", "cycle", "very_many_stores"],
    },
    LongTest {
        name: "migrate",
        summary: "an installation of 1,000 stores moves from a folder to SeaweedFS and back, killed in the middle of each",
        arguments: &["--test", "process", "a_thousand_stores_that_went"],
    },
    LongTest {
        name: "million",
        summary: "a million stores over a folder: first list, list after mass expiry, search, sweep beside requests",
        arguments: &["--config", "profile.dev.opt-level=2", "--test", "cycle", "a_million_stores"],
    },
    LongTest {
        name: "runs",
        summary: "10,000 runs come and go over a folder and SeaweedFS: objects and memory",
        arguments: &["--config", "profile.dev.opt-level=2", "--test", "cycle", "very_many_runs"],
    },
    LongTest {
        name: "strangers",
        summary: "400 connections without a token, each with a body that never ends, on every route that takes one",
        arguments: &["--test", "process", "four_hundred_strangers"],
    },
];

/// Runs the long check of that name, or lists all.
///
/// # Errors
/// Returns a message if there is no such check or it fails.
pub fn run(arguments: &[String]) -> Result<(), String> {
    let Some(name) = arguments.first() else {
        for LongTest { name, summary, .. } in LONG_TESTS {
            println!("  {name:<14}  {summary}");
        }
        return Ok(());
    };
    let Some(test) = LONG_TESTS.iter().find(|test| test.name == name) else {
        let names: Vec<_> = LONG_TESTS.iter().map(|test| test.name).collect();
        return Err(format!("There is no long check {name:?}; there are {}.", names.join(", ")));
    };
    let seaweedfs = SEAWEEDFS.start()?;
    let mut command = shell::cargo(&["test", "--locked"]);
    command.args(test.arguments).args(["--", "--ignored", "--nocapture"]).envs(seaweedfs.server.variables());
    shell::run(&mut command).map_err(|error| format!("{error}\n{}", seaweedfs.end_of_log()))
}
