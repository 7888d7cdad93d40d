//! Commands for a special effort: measuring, torturing, looking at the dependencies.

use crate::shell;

/// Crashes in a row, as many as the promise of durability names.
const TORTURE_ROUNDS: &str = "100";

/// Bytes of the record that must stream through flat memory: 5 GiB.
const BIG_RECORD_BYTES: &str = "5368709120";

/// Records in the folder whose start must take less than a second.
const START_RECORDS: &str = "100000";

/// Builds with optimisation and runs the benchmarks.
pub fn bench(arguments: &[String]) -> Result<(), String> {
    shell::run(shell::cargo(&["bench", "--bench", "*", "--"]).args(arguments))
}

/// Runs the tests of the whole program at full length; arguments choose among them.
pub fn torture(arguments: &[String]) -> Result<(), String> {
    let mut command = shell::cargo(&["test", "--test", "process", "--", "--nocapture", "--test-threads", "1"]);
    command.env("LARDER_TORTURE_ROUNDS", TORTURE_ROUNDS);
    command.env("LARDER_BIG_RECORD_BYTES", BIG_RECORD_BYTES);
    command.env("LARDER_START_RECORDS", START_RECORDS);
    shell::run(command.args(arguments))
}

/// Checks the dependencies against `deny.toml`.
pub fn deny(arguments: &[String]) -> Result<(), String> {
    if shell::output("cargo", &["deny", "--version"]).is_none() {
        return Err("cargo-deny is missing; install it with: cargo install --locked cargo-deny".to_owned());
    }
    shell::run(shell::cargo(&["deny", "check"]).args(arguments))
}
