//! Larder's work commands: `cargo xtask` lists them, `cargo xtask NAME` runs one.
//!
//! Each task of development and CI has one command. The program builds in seconds, has no dependencies, and does not
//! depend on Larder's crates.
#![expect(
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a tool of the terminal prints, and measures and waits by the system's clock"
)]

mod backends;
mod bench;
mod chaos;
mod clients;
mod console;
mod deploy;
mod fuzz;
mod packages;
mod quickstart;
mod rolling_restart;
mod sdks;
mod server;
mod shell;
mod supervisor;
mod test;
mod tools;

use std::process::ExitCode;

/// A work command.
struct Command {
    name: &'static str,
    /// Arguments as the list of commands shows them.
    arguments: &'static str,
    summary: &'static str,
    run: fn(&[String]) -> Result<(), String>,
}

/// All work commands, in the order in which they are listed.
const COMMANDS: [Command; 9] = [
    Command {
        name: "test",
        arguments: "[STEP...]",
        summary: "Run every check that a change must pass, or some of its steps",
        run: test::run,
    },
    Command {
        name: "test-long",
        arguments: "[NAME]",
        summary: "Run a check that takes too long for CI; without a name, list these checks",
        run: test::run_long,
    },
    Command {
        name: "test-s3",
        arguments: "seaweedfs|ceph|garage | --endpoint URL [--region R] [--bucket B]",
        summary: "Run all tests that need an object store, over one that is started for them or a running one",
        run: backends::test_s3,
    },
    Command {
        name: "backend",
        arguments: "seaweedfs|ceph|garage",
        summary: "Install and start an object store, and print its address and keys; Ctrl-C stops it",
        run: backends::backend,
    },
    Command {
        name: "bench",
        arguments: "[http|large_store|expiry_sweep|gateway|console|competitors SERVER] [ARGUMENT...]",
        summary: "Run the benchmarks of docs/PERFORMANCE.md, or one of them",
        run: bench::run,
    },
    Command {
        name: "chaos",
        arguments: "[FILTER | folder|seaweedfs|ceph|garage [--minutes M] [--gateways N]]",
        summary: "Run the tests of the whole program at full length, or check random histories for linearizability",
        run: chaos::run,
    },
    Command {
        name: "fuzz",
        arguments: "[TARGET] [--minutes M]",
        summary: "Fuzz all parsers with libFuzzer, or one, for a minute each",
        run: fuzz::run,
    },
    Command {
        name: "screenshots",
        arguments: "",
        summary: "Take screenshots of every page of the console, in target/screenshots",
        run: console::screenshots,
    },
    Command {
        name: "deny",
        arguments: "",
        summary: "Check licences, advisories and sources of the dependencies (needs cargo-deny)",
        run: test::deny,
    },
];

/// Commands that other commands start. They are not listed.
const INTERNAL_COMMANDS: [Command; 2] = [
    Command {
        name: supervisor::SUPERVISOR,
        arguments: "FOLDER PROGRAM [ARGUMENT...]",
        summary: "End a server when its command ends",
        run: supervisor::run_supervisor,
    },
    Command {
        name: supervisor::WATCHER,
        arguments: "MARK",
        summary: "End the processes that a command leaves",
        run: supervisor::watch,
    },
];

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let Some(code) = fuzz::compile(&arguments) {
        return code;
    }
    if let Some(code) = supervisor::supervise(&arguments) {
        return code;
    }
    let Some((name, rest)) = arguments.split_first() else {
        list();
        return ExitCode::SUCCESS;
    };
    let mut commands = COMMANDS.iter().chain(&INTERNAL_COMMANDS);
    let Some(command) = commands.find(|command| command.name == name) else {
        println!("unknown command {name:?}\n");
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
    println!("Usage: cargo xtask COMMAND [ARGUMENT...]\n\nCommands:");
    for command in &COMMANDS {
        println!("  {} {}\n      {}", command.name, command.arguments, command.summary);
    }
    println!("\nSteps of test: {}", test::step_names().join(", "));
}
