//! `larder doctor`: its results, the objects that it leaves alone, and its exit codes.

use std::{path::Path, process::Command};

use serde_json::Value;

use crate::{
    folder,
    program::{Program, command, run},
};

/// Returns the JSON output of a command, and its exit code.
fn diagnosis(command: Command) -> (Value, Option<i32>) {
    let ended = run(command);
    let text = ended.stdout.join("\n");
    let said = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text} {}", ended.stderr));
    (said, ended.status.code())
}

fn on_folder(folder: &Path) -> (Value, Option<i32>) {
    diagnosis(command(folder, &["doctor", "--json"]))
}

/// Returns the status and the message of a check.
fn result<'a>(diagnosis: &'a Value, check: &str) -> (&'a str, &'a str) {
    let results = diagnosis["results"].as_array().expect("a list");
    let found = results.iter().find(|result| result["check"] == check);
    let found = found.unwrap_or_else(|| panic!("no {check} in {diagnosis:#}"));
    (found["status"].as_str().expect("a word"), found["message"].as_str().expect("words"))
}

#[test]
fn a_folder_is_diagnosed_unless_a_process_uses_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let (new, code) = on_folder(folder.path());
    assert_eq!((result(&new, "data folder").0, code), ("pass", Some(0)));
    assert!(!folder::data(folder.path()).exists(), "it is not made");

    let program = Program::serve(folder.path(), &[]);
    program.records_of("shelf");
    let (used, code) = on_folder(folder.path());
    let (status, message) = result(&used, "data folder");
    assert!(status == "degraded" && message.contains("another process") && code == Some(0), "{used:#}");
    program.stop();

    let (free, code) = on_folder(folder.path());
    assert!(free["isHealthy"] == true && free["mode"] == "alone" && code == Some(0), "{free:#}");
    for check in ["free space", "data folder", "conditional writes", "order of lists", "long lists", "large bodies"] {
        assert_eq!(result(&free, check).0, "pass", "{check}");
    }
    assert!(Program::serve(folder.path(), &[]).stop().status.success(), "it can be served from as before");
}

#[test]
fn a_damaged_folder_is_an_exit_code_of_one() {
    let folder = tempfile::tempdir().expect("a folder");
    Program::serve(folder.path(), &[]).stop();
    std::fs::write(folder::data(folder.path()).join("index.sqlite"), [7; 9000]).expect("it is there");
    let (damaged, code) = on_folder(folder.path());
    let (status, message) = result(&damaged, "data folder");
    assert!(status == "fail" && message.contains("index.sqlite") && code == Some(1), "{damaged:#}");
    assert_eq!(damaged["isHealthy"], false);
}

#[test]
fn wrong_settings_are_an_exit_code_of_two() {
    let folder = tempfile::tempdir().expect("a folder");
    let ended = run(command(folder.path(), &["doctor", "--listen", "nowhere"]));
    assert_eq!(ended.status.code(), Some(2));
    assert!(ended.stdout.is_empty() && ended.stderr.contains("listen"), "{}", ended.stderr);
}

#[cfg(feature = "s3")]
mod bucket {
    use std::{
        io::{BufRead, BufReader},
        process::Stdio,
    };

    use super::{Path, Value, diagnosis, result};
    use crate::{
        bucket::{own_prefix, variable},
        program::{command, run},
        proxy::{Fault, Proxy, Times},
    };

    /// In a bucket of its own: rules and canaries are the bucket's.
    fn on_bucket(folder: &Path, bucket: &str) -> std::process::Command {
        let mut command = command(folder, &["doctor", "--json"]);
        command.env("LARDER_S3_ENDPOINT", variable("LARDER_TEST_S3_ENDPOINT"));
        command.env("LARDER_S3_REGION", variable("LARDER_TEST_S3_REGION"));
        command.env("LARDER_S3_BUCKET", bucket);
        command
    }

    #[test]
    fn a_bucket_is_diagnosed_and_its_canaries_are_found_again() {
        let folder = tempfile::tempdir().expect("a folder");
        let bucket = own_prefix("larder-doctor");
        let (first, code) = diagnosis(on_bucket(folder.path(), &bucket));
        assert!(first["isHealthy"] == true && code == Some(0), "{first:#}");
        let checks =
            ["bucket", "reads after writes", "attributes", "clock", "order of lists", "long lists", "odd keys"];
        for check in checks.into_iter().chain(["large bodies", "lifecycle rules", "codings", "old versions"]) {
            assert_eq!(result(&first, check).0, "pass", "{first:#}");
        }
        let mode = first["mode"].as_str().expect("it is found out");
        let holds = first["results"][1]["message"].as_str().expect("words").starts_with("conditions hold");
        assert_eq!(mode, if holds { "conditional" } else { "leader" });
        assert!(result(&first, "expiring canary").1.contains("written now"), "{first:#}");

        let (second, code) = diagnosis(on_bucket(folder.path(), &bucket));
        assert_eq!(code, Some(0));
        for canary in ["expiring canary", "permanent canary"] {
            let (status, message) = result(&second, canary);
            assert!(status == "pass" && message.contains("still there: fine"), "{second:#}");
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn what_is_found_is_shown_at_once_and_not_when_all_is_done() {
        let folder = tempfile::tempdir().expect("a folder");
        let proxy = Proxy::before(&variable("LARDER_TEST_S3_ENDPOINT")).await;
        let _silence = proxy.arm(Fault::NeverAnswer, Times::UntilDisarmed, |request| request.path.contains("/probe/"));
        let mut doctor = command(folder.path(), &["doctor"]);
        doctor.env("LARDER_S3_ENDPOINT", proxy.endpoint());
        doctor.env("LARDER_S3_REGION", variable("LARDER_TEST_S3_REGION"));
        doctor.env("LARDER_S3_BUCKET", variable("LARDER_TEST_S3_BUCKET"));
        let mut doctor = doctor.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("it starts");
        let lines = BufReader::new(doctor.stdout.take().expect("it is piped")).lines().map_while(Result::ok);
        let shown: Vec<String> = lines.take(3).collect();
        assert!(shown[2].starts_with("pass      bucket "), "{shown:?}");
        assert!(doctor.try_wait().expect("it can be asked").is_none(), "it has ended");
        doctor.kill().expect("it runs");
        doctor.wait().expect("it ended");
    }

    #[test]
    fn a_bucket_that_cannot_be_opened_is_an_exit_code_of_one_and_shows_no_secret() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut command = on_bucket(folder.path(), &variable("LARDER_TEST_S3_BUCKET"));
        command.env("AWS_SECRET_ACCESS_KEY", "not-the-key-of-this-object-store-at-all");
        let ended = run(command);
        let text = ended.stdout.join("\n");
        let said: Value = serde_json::from_str(&text).expect("JSON");
        let (status, message) = result(&said, "bucket");
        assert_eq!((status, ended.status.code()), ("fail", Some(1)), "{text}");
        let key_id = variable("AWS_ACCESS_KEY_ID");
        for part in [&variable("LARDER_TEST_S3_ENDPOINT"), &variable("LARDER_TEST_S3_BUCKET"), &key_id] {
            assert!(message.contains(part.as_str()), "{part} is missing: {message}");
        }
        assert!(message.contains("SignatureDoesNotMatch") && message.contains("AWS_SECRET_ACCESS_KEY"), "{message}");
        assert_eq!(said["mode"], Value::Null);
        assert!(!text.contains("not-the-key") && !ended.stderr.contains("not-the-key"));
    }
}
