//! Larder's work commands: `cargo xtask` lists them, `cargo xtask NAME` runs one.
//!
//! Everything a person or a machine runs on this repository, by one name each. It builds in seconds, needs nothing but
//! the standard library, and knows nothing of Larder's own code.
#![expect(
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a tool of the terminal prints, and measures and waits by the system's clock"
)]

mod backends;
mod clients;
mod console;
mod deploy;
mod effort;
mod folders;
mod fuzz;
mod guard;
mod histories;
mod hour;
mod installed;
mod leftovers;
mod long;
mod npm;
mod openapi;
mod python;
mod rolling;
mod sdks;
mod server;
mod shell;
mod test;
mod tools;

use std::process::ExitCode;

/// A work command.
struct Command {
    name: &'static str,
    summary: &'static str,
    run: fn(&[String]) -> Result<(), String>,
}

/// All work commands, in the order in which they are listed.
const COMMANDS: [Command; 9] = [
    Command {
        name: "test",
        summary: "checks everything: format, lints, tests, documentation, clients, SDKs, OpenAPI, console, deployment; `test STEP` checks one",
        run: test::run,
    },
    Command {
        name: "test-long",
        summary: "runs a check that takes longer than CI may; without a name it lists them",
        run: long::run,
    },
    Command {
        name: "test-s3",
        summary: "tests over an object store: seaweedfs, ceph, garage, or --endpoint URL [--region R] [--bucket B]",
        run: backends::test_s3,
    },
    Command {
        name: "backend",
        summary: "starts an object store (seaweedfs, ceph, garage) and keeps it until Ctrl-C",
        run: backends::backend,
    },
    Command {
        name: "bench",
        summary: "measures (docs/PERFORMANCE.md says what): wire, depth, sweep, gateway, or one of them, or console, or rivals seaweedfs|garage|ceph, with its arguments",
        run: effort::bench,
    },
    Command {
        name: "torture",
        summary: "tests the program by a hundred kills, a 5 GiB record and a start with 100,000 records; `torture \
                  folder|seaweedfs|ceph|garage [--minutes M] [--gateways N]` by random histories instead",
        run: effort::torture,
    },
    Command {
        name: "fuzz",
        summary: "gives every parser bytes that libFuzzer chooses, a minute each; `fuzz [TARGET] [--minutes M]`",
        run: fuzz::run,
    },
    Command {
        name: "screenshots",
        summary: "makes pictures of every page of the console, in target/screenshots",
        run: console::screenshots,
    },
    Command {
        name: "deny",
        summary: "checks licences, advisories and sources of the dependencies (needs cargo-deny)",
        run: effort::deny,
    },
];

/// Command that other commands start; it is not for users.
const GUARD: Command = Command { name: guard::NAME, summary: "ends a server with its command", run: guard::run };

/// A program that a command starts beside itself.
const WATCHER: Command =
    Command { name: leftovers::NAME, summary: "ends what a command leaves behind", run: leftovers::watch };

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let Some(code) = fuzz::compile(&arguments) {
        return code;
    }
    if let Some(code) = leftovers::supervise(&arguments) {
        return code;
    }
    let Some((name, rest)) = arguments.split_first() else {
        list();
        return ExitCode::SUCCESS;
    };
    let mut commands = COMMANDS.iter().chain([&GUARD, &WATCHER]);
    let Some(command) = commands.find(|command| command.name == name) else {
        println!("There is no command {name:?}.\n");
        list();
        return ExitCode::from(2);
    };
    match (command.run)(rest) {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            println!("{message}");
            ExitCode::FAILURE
        }
    }
}

fn list() {
    println!("cargo xtask NAME runs a work command:\n");
    for command in &COMMANDS {
        println!("  {:<11}  {}", command.name, command.summary);
    }
    println!("\nThe steps of test: {}.", test::step_names().join(", "));
}
