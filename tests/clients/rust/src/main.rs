//! Drives a running Larder with the official Rust client, as crates.io ships it.
//!
//! `LARDER_URL` and `LARDER_TOKEN` say where it runs. Each check makes its own stores and removes them, so checks
//! neither depend on each other nor leave anything behind. Prints `ok NAME` or `FAILED NAME` for each, and at the end
//! `N passed, M failed`. The client knows no streams, no schema and no second way to read: these checks cover all that
//! it has.

mod bench;
mod faults;
mod keys;
mod records;
mod stores;

use std::process::ExitCode;
use std::time::Instant;

use bench::Bench;

fn required(name: &str) -> Result<String, String> {
    std::env::var(name)
        .map_err(|_| format!("{name} is not set: it says which Larder to drive (cargo xtask test clients sets it)"))
}

#[tokio::main]
async fn main() -> ExitCode {
    let (url, token) = match (required("LARDER_URL"), required("LARDER_TOKEN")) {
        (Ok(url), Ok(token)) => (url, token),
        (Err(missing), _) | (_, Err(missing)) => {
            eprintln!("{missing}");
            return ExitCode::from(2);
        }
    };
    let bench = Bench::new(&url, &token);
    let (mut passed, mut failed) = (0, 0);
    for check in stores::checks().into_iter().chain(records::checks()).chain(keys::checks()).chain(faults::checks()) {
        let (started, name) = (Instant::now(), check.name.replace('_', " "));
        // A task of its own, so that a failed assertion ends the check and not the driver.
        let outcome = tokio::spawn((check.run)(bench.clone())).await;
        let millis = started.elapsed().as_millis();
        match outcome {
            Ok(Ok(())) => {
                passed += 1;
                println!("ok {name} ({millis} ms)");
            }
            Ok(Err(error)) => {
                failed += 1;
                println!("FAILED {name}\n{error:?}");
            }
            Err(panic) => {
                failed += 1;
                println!("FAILED {name} ({panic}; the assertion is printed above)");
            }
        }
        if let Err(error) = bench.clear().await {
            failed += 1;
            println!("FAILED to remove the stores of {name}\n{error:?}");
        }
    }
    println!("{passed} passed, {failed} failed");
    if passed > 0 && failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
