//! The commands about object stores: the suites that face one, run against a server of choice; a server to work with by hand.

use super::backend::{BACKENDS, BUCKET, Backend, REGION, S3Server};
use crate::clients::DRIVERS;
use crate::shell;

/// The test binaries that face an object store, and which of their tests do, by a part of their names.
const SUITES: [(&str, &str); 4] = [("storage", "s3"), ("api", "s3"), ("s3", ""), ("process", "bucket")];

/// The master secret of a Larder that serves nothing but tests.
const SECRET: &str = "a-secret-that-guards-nothing-but-tests";

/// Object store that the tests use.
#[derive(Debug, PartialEq, Eq)]
enum Choice {
    /// One that is started here.
    Started(String),
    /// One that runs already.
    Given { endpoint: String, region: String, bucket: String },
}

/// Runs every suite that faces an object store: `NAME`, or `--endpoint URL [--region REGION] [--bucket BUCKET]`.
///
/// # Errors
/// Returns a message with the end of the server's log, when something cannot be started or a test fails.
pub fn test_s3(arguments: &[String]) -> Result<(), String> {
    match parsed(arguments)? {
        Choice::Started(name) => {
            let backend = named(&name)?;
            with(&name, run_suites)?;
            match backend.start_with_short_days() {
                None => {
                    println!(
                        "{name} cannot shorten the day of lifecycle rules: the tests of expiry by rules are skipped."
                    );
                    Ok(())
                }
                Some(started) => {
                    let running = started?;
                    run_with_short_days(&running.server).map_err(|error| format!("{error}\n{}", running.end_of_log()))
                }
            }
        }
        Choice::Given { endpoint, region, bucket } => {
            let key = |name: &str| {
                std::env::var(name).map_err(|_| format!("{name} is not set; the tests sign their requests with it"))
            };
            let (access_key, secret_key) = (key("AWS_ACCESS_KEY_ID")?, key("AWS_SECRET_ACCESS_KEY")?);
            run_suites(&S3Server { endpoint, region, bucket, access_key, secret_key })
        }
    }
}

/// Returns `true` if an object store of this name can be started.
pub fn is_known(name: &str) -> bool {
    named(name).is_ok()
}

/// Starts an object store, and runs some work over it.
///
/// # Errors
/// Returns a message with the end of the server's log, when it cannot be started or the work fails.
pub fn with(name: &str, work: impl FnOnce(&S3Server) -> Result<(), String>) -> Result<(), String> {
    let backend = named(name)?;
    backend.install()?;
    let running = backend.start()?;
    work(&running.server).map_err(|error| format!("{error}\n{}", running.end_of_log()))
}

/// Starts an object store and keeps it until the command is interrupted.
///
/// # Errors
/// Returns a message when it cannot be started, or ends by itself.
pub fn backend(arguments: &[String]) -> Result<(), String> {
    let [name] = arguments else { return Err(format!("The command takes one of {}.", names())) };
    let backend = named(name)?;
    backend.install()?;
    let running = backend.start()?;
    println!("\nFor a Larder before it:\n");
    for (variable, value) in running.server.settings("") {
        println!("export {variable}={value}");
    }
    let tests: Vec<_> = running.server.variables().iter().map(|(name, value)| format!("{name}={value}")).collect();
    println!("\nFor tests over it, before their command:\n\n{}", tests.join(" "));
    println!("\nCtrl-C ends it and removes its data.");
    Err(format!("{name}: {}", running.wait()))
}

/// Runs the tests that wait for lifecycle rules.
fn run_with_short_days(server: &S3Server) -> Result<(), String> {
    let mut command = shell::cargo(&["test", "--locked", "--test", "process", "--", "--ignored", "with_short_days"]);
    shell::run(command.envs(server.variables()))
}

fn run_suites(server: &S3Server) -> Result<(), String> {
    let test = |suite: &str| {
        let mut command = shell::cargo(&["test", "--locked", "--test", suite]);
        command.envs(server.variables());
        command
    };
    for (suite, filter) in SUITES {
        let listed = shell::output_of(test(suite).args(["--", "--list", filter]))?;
        if !listed.lines().any(|line| line.ends_with(": test")) {
            return Err(format!("tests/{suite} has no test with {filter:?} in its name: nothing would be tested"));
        }
        shell::run(test(suite).args(["--", filter]))?;
    }
    shell::run(&mut shell::cargo(&["build", "--quiet", "--locked", "--bin", "larder"]))?;
    for driver in &DRIVERS {
        driver.install()?;
        // Not what an earlier run has left in a bucket that stays.
        let prefix = format!("drivers-{}-{}/", driver.name, std::process::id());
        let mut settings = server.settings(&prefix);
        // Wanted where the server has no conditional writes, and no harm elsewhere.
        settings.extend(
            [("LARDER_SECRET", SECRET), ("LARDER_LEADER", "self")].map(|(name, value)| (name, value.to_owned())),
        );
        driver.run(&settings)?;
    }
    Ok(())
}

fn parsed(arguments: &[String]) -> Result<Choice, String> {
    let usage = || format!("The command takes one of {}, or --endpoint URL [--region R] [--bucket B].", names());
    if let [name] = arguments
        && !name.starts_with('-')
    {
        return Ok(Choice::Started(name.clone()));
    }
    let (mut endpoint, mut region, mut bucket) = (None, REGION.to_owned(), BUCKET.to_owned());
    let (pairs, rest) = arguments.as_chunks::<2>();
    if !rest.is_empty() {
        return Err(usage());
    }
    for [option, value] in pairs {
        match option.as_str() {
            "--endpoint" => endpoint = Some(value.clone()),
            "--region" => region.clone_from(value),
            "--bucket" => bucket.clone_from(value),
            _ => return Err(usage()),
        }
    }
    Ok(Choice::Given { endpoint: endpoint.ok_or_else(usage)?, region, bucket })
}

fn named(name: &str) -> Result<&'static Backend, String> {
    let found = BACKENDS.into_iter().find(|backend| backend.name == name);
    found.ok_or_else(|| format!("There is no object store {name:?}; those that can be started are {}.", names()))
}

fn names() -> String {
    BACKENDS.map(|backend| backend.name).join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn choice(arguments: &str) -> Result<Choice, String> {
        parsed(&arguments.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn a_server_is_chosen_by_name_or_by_where_it_is() {
        assert_eq!(choice("ceph"), Ok(Choice::Started("ceph".to_owned())));
        let given = |endpoint: &str, region: &str, bucket: &str| {
            Ok(Choice::Given { endpoint: endpoint.to_owned(), region: region.to_owned(), bucket: bucket.to_owned() })
        };
        assert_eq!(choice("--endpoint http://minio:9000"), given("http://minio:9000", REGION, BUCKET));
        assert_eq!(choice("--region eu --bucket b --endpoint https://s3"), given("https://s3", "eu", "b"));
    }

    #[test]
    fn what_is_not_understood_is_refused_with_the_names() {
        for arguments in ["", "--region eu", "--endpoint", "ceph garage", "ceph --region eu", "--port 1"] {
            assert!(choice(arguments).is_err_and(|error| error.contains("seaweedfs, ceph, garage")), "{arguments}");
        }
        assert!(named("minio").is_err_and(|error| error.contains("seaweedfs, ceph, garage")));
    }
}
