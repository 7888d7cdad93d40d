//! Diagnosis of the configured backend, by trying its operations.

#[cfg(feature = "s3")]
use std::time::Duration;
use std::{path::Path, sync::Arc};

use serde::Serialize;
use tokio::task::spawn_blocking;

use crate::{
    clock::{Clock, Random, SystemClock, SystemRandom},
    config::Config,
    kv::{FormatError, check_format},
    storage::{
        ObjectStore,
        diagnostics::{CheckResult, CheckRunner, Outcome, Status},
        embedded::{EmbeddedOptions, EmbeddedStore, FolderStatus, OpenError},
    },
};
#[cfg(feature = "s3")]
use crate::{kv::Canaries, storage::s3::S3Store};

#[cfg(feature = "s3")]
use super::role::{BackendAccess, Role};
use super::start::describe_backend;

/// Timeout for opening a bucket and for each check, on top of the timeouts of single requests.
#[cfg(feature = "s3")]
const CHECK_TIMEOUT: Duration = Duration::from_mins(2);

/// Free space below this is low.
const LOW_SPACE_BYTES: u64 = 1 << 30;

/// Free space below this counts as none: the engine reserves some for itself.
const MIN_SPACE_BYTES: u64 = 64 << 20;

/// Result of a diagnosis.
#[derive(Debug, Serialize)]
pub struct Diagnosis {
    /// Description of the backend.
    pub backend: String,
    /// Access mode of the backend; `None` if unknown.
    pub mode: Option<Mode>,
    /// The results, in the order of the checks.
    pub results: Vec<CheckResult>,
}

/// A step of a diagnosis.
#[derive(Debug, Clone, Copy)]
pub enum Progress<'a> {
    /// Start, with the name of the backend.
    Begun(&'a str),
    /// A result.
    Found(&'a CheckResult),
}

/// The results so far; each is reported when it is added.
struct Results<'a> {
    all: Vec<CheckResult>,
    progress: &'a (dyn Fn(Progress<'_>) + Sync),
}

impl<'a> Results<'a> {
    fn new(backend: &str, progress: &'a (dyn Fn(Progress<'_>) + Sync)) -> Self {
        progress(Progress::Begun(backend));
        Self { all: Vec::new(), progress }
    }

    fn add(&mut self, check: &'static str, description: &'static str, outcome: Outcome) {
        let result = CheckResult { check, description, outcome };
        (self.progress)(Progress::Found(&result));
        self.all.push(result);
    }
}

/// Mode in which gateways share a backend.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Mode {
    /// A single gateway.
    Alone,
    /// All gateways are equal.
    Conditional,
    /// One gateway is the leader.
    Leader,
}

impl Diagnosis {
    /// Diagnoses the backend, and reports each result as soon as it is known.
    pub async fn run(config: &Config, progress: &(dyn Fn(Progress<'_>) + Sync)) -> Self {
        let (clock, random): (Arc<dyn Clock>, Arc<dyn Random>) = (Arc::new(SystemClock), Arc::new(SystemRandom));
        #[cfg(feature = "s3")]
        if !config.s3.bucket.is_empty() {
            return Box::pin(of_bucket(config, clock, random, progress)).await;
        }
        of_folder(config, clock, random, progress).await
    }

    /// Returns whether all checks completed without a problem.
    pub fn is_healthy(&self) -> bool {
        self.results.iter().all(|result| matches!(result.outcome.status, Status::Pass | Status::Degraded))
    }
}

#[cfg(feature = "s3")]
async fn of_bucket(
    config: &Config,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
    progress: &(dyn Fn(Progress<'_>) + Sync),
) -> Diagnosis {
    let backend = describe_backend(config);
    let description = "open the bucket with the configured credentials, and create it if it does not exist";
    let mut results = Results::new(&backend, progress);
    let opened = tokio::select! {
        opened = S3Store::open(config.s3.clone(), Arc::clone(&clock), Arc::clone(&random)) => {
            opened.map_err(|error| Outcome::from_error(&error))
        }
        () = clock.sleep(CHECK_TIMEOUT) => Err(Outcome::timed_out(CHECK_TIMEOUT.as_secs())),
    };
    let bucket = match opened {
        Ok(bucket) => bucket,
        Err(outcome) => {
            results.add("bucket", description, outcome);
            return Diagnosis { backend, mode: None, results: results.all };
        }
    };
    results.add("bucket", description, Outcome::pass("the bucket can be opened with these credentials"));
    let report = |result: &CheckResult| progress(Progress::Found(result));
    let mut runner = CheckRunner::new(&bucket, clock.as_ref(), random.as_ref()).with_callback(&report);
    let conditions = runner.check_conditions(Box::pin(bucket.detect_conditions(random.as_ref()))).await;
    runner.run_all().await;
    runner
        .check(
            "codings",
            S3Store::CONTENT_ENCODINGS_DESCRIPTION,
            CHECK_TIMEOUT,
            bucket.check_content_encodings(random.as_ref()),
        )
        .await;
    runner.check("old versions", S3Store::VERSIONING_DESCRIPTION, CHECK_TIMEOUT, bucket.check_versioning()).await;
    results.all.extend(runner.finish().await);
    results.add("format", FORMAT_DESCRIPTION, format_of(&bucket).await);
    let access =
        conditions.map(
            |conditions| if conditions.are_relied_on() { BackendAccess::SharedCas } else { BackendAccess::SharedNoCas },
        );
    if let Some(access) = access {
        let outcome = match Role::from_config(config, access, &clock) {
            Ok(_) => Outcome::pass("these settings fit the object store"),
            Err(error) => Outcome::degraded(error.to_string(), "set it for `serve`"),
        };
        results.add("configuration", "apply these settings as `serve` does", outcome);
    }
    let has_rules = |result: &CheckResult| result.check == "lifecycle rules" && result.outcome.status == Status::Pass;
    let canaries = Canaries { objects: &bucket, clock: clock.as_ref(), has_rules: results.all.iter().any(has_rules) };
    let read = tokio::select! {
        read = canaries.check() => read.map_err(|error| Outcome::from_error(&error)),
        () = clock.sleep(CHECK_TIMEOUT) => Err(Outcome::timed_out(CHECK_TIMEOUT.as_secs())),
    };
    let description = "read the canaries back";
    let failed = |outcome| vec![CheckResult { check: "canaries", description, outcome }];
    for CheckResult { check, description, outcome } in read.unwrap_or_else(failed) {
        results.add(check, description, outcome);
    }
    bucket.close().await;
    let mode = access.map(|access| if access == BackendAccess::SharedCas { Mode::Conditional } else { Mode::Leader });
    Diagnosis { backend, mode, results: results.all }
}

async fn of_folder(
    config: &Config,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
    progress: &(dyn Fn(Progress<'_>) + Sync),
) -> Diagnosis {
    let backend = describe_backend(config);
    let mut results = Results::new(&backend, progress);
    check_folder(config, (&clock, &random), &mut results).await;
    Diagnosis { backend, mode: Some(Mode::Alone), results: results.all }
}

async fn check_folder(
    config: &Config,
    (clock, random): (&Arc<dyn Clock>, &Arc<dyn Random>),
    results: &mut Results<'_>,
) {
    let progress = results.progress;
    let mut add = |check, description, outcome| results.add(check, description, outcome);
    let folder = match FolderStatus::read(&config.data) {
        Ok(folder) => folder,
        Err(error) => {
            return add("data folder", "read its status", Outcome::from_error(&error));
        }
    };
    add("free space", "ask the file system", free_space(folder.free_bytes));
    let (check, description) = ("data folder", "open it as `serve` does, unless that would change it");
    match &folder.format {
        None => {
            let outcome = match FolderStatus::reject_foreign(&config.data) {
                Ok(()) => Outcome::pass("the folder does not exist yet: the first start creates it"),
                Err(error) => Outcome::from_error(&error),
            };
            return add(check, description, outcome);
        }
        Some(format) if !folder.is_current => {
            let message = format!("its format is {format:?}, which this version does not know");
            return add(check, description, Outcome::fail(message, "use the version that wrote it, or a newer one"));
        }
        Some(_) => {}
    }
    let engine = match open_folder(&config.data, clock).await {
        Ok(engine) => engine,
        Err(outcome) => return add(check, description, outcome),
    };
    add(check, description, Outcome::pass("the folder can be opened, and no other process uses it"));
    let report = |result: &CheckResult| progress(Progress::Found(result));
    let mut runner = CheckRunner::new(&engine, clock.as_ref(), random.as_ref()).with_callback(&report);
    runner.probe_conditions().await;
    runner.run_all().await;
    results.all.extend(runner.finish().await);
    results.add("format", FORMAT_DESCRIPTION, format_of(&engine).await);
    engine.close().await;
}

/// Description of the format check.
const FORMAT_DESCRIPTION: &str = "read the format of the objects";

/// Returns the format of the objects, and its consequence for a gateway that would start over them.
async fn format_of(objects: &dyn ObjectStore) -> Outcome {
    match check_format(objects).await {
        Ok(None) => Outcome::pass("there is no installation yet: the first start creates one"),
        Ok(Some(format)) => Outcome::pass(format!("the objects have format {format}, which this version can use")),
        Err(error @ FormatError::Newer { .. }) => Outcome::fail(error.to_string(), "use that version, or a newer one"),
        Err(error) => Outcome::from_error(&error),
    }
}

async fn open_folder(folder: &Path, clock: &Arc<dyn Clock>) -> Result<EmbeddedStore, Outcome> {
    let (options, clock) = (EmbeddedOptions::new(folder), Arc::clone(clock));
    match spawn_blocking(move || EmbeddedStore::open(&options, clock)).await {
        Ok(Ok(engine)) => Ok(engine),
        Ok(Err(OpenError::Locked { .. })) => Err(Outcome::degraded(
            "another process uses it, most likely a running gateway; it was not opened",
            "check that process with `larder health`, or stop it and run the doctor again",
        )),
        Ok(Err(error)) => Err(Outcome::from_error(&error)),
        Err(error) => Err(Outcome::from_error(&error)),
    }
}

fn free_space(free_bytes: u64) -> Outcome {
    let message = format!("{} MiB are free", free_bytes >> 20);
    let advice = "free some space, or move the folder to a larger disk (LARDER_DATA)";
    match free_bytes {
        ..MIN_SPACE_BYTES => Outcome::fail(message, advice),
        MIN_SPACE_BYTES..LOW_SPACE_BYTES => Outcome::degraded(message, advice),
        LOW_SPACE_BYTES.. => Outcome::pass(message),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn low_disk_space_is_distinguished_from_none() {
        let status = |bytes| free_space(bytes).status;
        assert_eq!(status(10 << 20), Status::Fail);
        assert_eq!(status(500 << 20), Status::Degraded);
        assert_eq!(status(5 << 30), Status::Pass);
    }
}
