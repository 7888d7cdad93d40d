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
        diagnostics::{Examiner, Finding, Outcome, Verdict},
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
    /// The findings, in the order of the checks.
    pub findings: Vec<Finding>,
}

/// A step of a diagnosis.
#[derive(Debug, Clone, Copy)]
pub enum Progress<'a> {
    /// Start, with the name of the backend.
    Begun(&'a str),
    /// A finding.
    Found(&'a Finding),
}

/// The findings so far; each is reported when it is added.
struct Findings<'a> {
    all: Vec<Finding>,
    progress: &'a (dyn Fn(Progress<'_>) + Sync),
}

impl<'a> Findings<'a> {
    fn new(backend: &str, progress: &'a (dyn Fn(Progress<'_>) + Sync)) -> Self {
        progress(Progress::Begun(backend));
        Self { all: Vec::new(), progress }
    }

    fn add(&mut self, check: &'static str, tried: &'static str, outcome: Outcome) {
        let finding = Finding { check, tried, outcome };
        (self.progress)(Progress::Found(&finding));
        self.all.push(finding);
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
    /// Diagnoses the backend, and reports each finding as soon as it is known.
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
        self.findings.iter().all(|finding| matches!(finding.outcome.verdict, Verdict::Ok | Verdict::Lacks))
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
    let tried = "open the bucket with the keys that are set, and make it if it is missing";
    let mut findings = Findings::new(&backend, progress);
    let opened = tokio::select! {
        opened = S3Store::open(config.s3.clone(), Arc::clone(&clock), Arc::clone(&random)) => {
            opened.map_err(|error| Outcome::failed(&error))
        }
        () = clock.sleep(CHECK_TIMEOUT) => Err(Outcome::unfinished(CHECK_TIMEOUT.as_secs())),
    };
    let bucket = match opened {
        Ok(bucket) => bucket,
        Err(outcome) => {
            findings.add("bucket", tried, outcome);
            return Diagnosis { backend, mode: None, findings: findings.all };
        }
    };
    findings.add("bucket", tried, Outcome::ok("the bucket can be opened with these keys"));
    let pass_on = |finding: &Finding| progress(Progress::Found(finding));
    let mut examiner = Examiner::new(&bucket, clock.as_ref(), random.as_ref()).passing_on(&pass_on);
    let conditions = examiner.examine_conditions(Box::pin(bucket.detect_conditions(random.as_ref()))).await;
    examiner.examine().await;
    examiner
        .check(
            "codings",
            S3Store::CONTENT_ENCODINGS_DESCRIPTION,
            CHECK_TIMEOUT,
            bucket.check_content_encodings(random.as_ref()),
        )
        .await;
    examiner.check("old versions", S3Store::VERSIONING_DESCRIPTION, CHECK_TIMEOUT, bucket.check_versioning()).await;
    findings.all.extend(examiner.finish().await);
    findings.add("format", FORMAT_TRIED, format_of(&bucket).await);
    let access =
        conditions.map(
            |conditions| if conditions.are_relied_on() { BackendAccess::SharedCas } else { BackendAccess::SharedNoCas },
        );
    if let Some(access) = access {
        let outcome = match Role::from_config(config, access, &clock) {
            Ok(_) => Outcome::ok("these settings fit the object store"),
            Err(error) => Outcome::lacks(error.to_string(), "set it where `serve` runs"),
        };
        findings.add("configuration", "what `serve` would make of these settings", outcome);
    }
    let has_rules = |finding: &Finding| finding.check == "lifecycle rules" && finding.outcome.verdict == Verdict::Ok;
    let canaries = Canaries { objects: &bucket, clock: clock.as_ref(), has_rules: findings.all.iter().any(has_rules) };
    let looked = tokio::select! {
        looked = canaries.check() => looked.map_err(|error| Outcome::failed(&error)),
        () = clock.sleep(CHECK_TIMEOUT) => Err(Outcome::unfinished(CHECK_TIMEOUT.as_secs())),
    };
    let tried = "look what became of them";
    let unseen = |outcome| vec![Finding { check: "canaries", tried, outcome }];
    for Finding { check, tried, outcome } in looked.unwrap_or_else(unseen) {
        findings.add(check, tried, outcome);
    }
    bucket.close().await;
    let mode = access.map(|access| if access == BackendAccess::SharedCas { Mode::Conditional } else { Mode::Leader });
    Diagnosis { backend, mode, findings: findings.all }
}

async fn of_folder(
    config: &Config,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
    progress: &(dyn Fn(Progress<'_>) + Sync),
) -> Diagnosis {
    let backend = describe_backend(config);
    let mut findings = Findings::new(&backend, progress);
    examine_folder(config, (&clock, &random), &mut findings).await;
    Diagnosis { backend, mode: Some(Mode::Alone), findings: findings.all }
}

async fn examine_folder(
    config: &Config,
    (clock, random): (&Arc<dyn Clock>, &Arc<dyn Random>),
    findings: &mut Findings<'_>,
) {
    let progress = findings.progress;
    let mut add = |check, tried, outcome| findings.add(check, tried, outcome);
    let standing = match FolderStatus::read(&config.data) {
        Ok(standing) => standing,
        Err(error) => {
            return add("data folder", "look at it", Outcome::failed(&error));
        }
    };
    add("free room", "ask the disk", room(standing.free_bytes));
    let (check, tried) = ("data folder", "open it as `serve` does, unless that would change it");
    match &standing.format {
        None => {
            let outcome = match FolderStatus::reject_foreign(&config.data) {
                Ok(()) => Outcome::ok("the folder is not there yet: the first start makes it"),
                Err(error) => Outcome::failed(&error),
            };
            return add(check, tried, outcome);
        }
        Some(format) if !standing.is_current => {
            let meaning = format!("its format is {format:?}, which this version does not know");
            return add(check, tried, Outcome::wrong(meaning, "use the version that wrote it, or a newer one"));
        }
        Some(_) => {}
    }
    let engine = match open_folder(&config.data, clock).await {
        Ok(engine) => engine,
        Err(outcome) => return add(check, tried, outcome),
    };
    add(check, tried, Outcome::ok("the folder can be opened, and no other process uses it"));
    let pass_on = |finding: &Finding| progress(Progress::Found(finding));
    let mut examiner = Examiner::new(&engine, clock.as_ref(), random.as_ref()).passing_on(&pass_on);
    examiner.try_conditions().await;
    examiner.examine().await;
    findings.all.extend(examiner.finish().await);
    findings.add("format", FORMAT_TRIED, format_of(&engine).await);
    engine.close().await;
}

/// Description of the format check.
const FORMAT_TRIED: &str = "read which format the objects have";

/// Returns the format of the objects, and its consequence for a gateway that would start over them.
async fn format_of(objects: &dyn ObjectStore) -> Outcome {
    match check_format(objects).await {
        Ok(None) => Outcome::ok("there is no installation yet: the first start makes one"),
        Ok(Some(format)) => Outcome::ok(format!("the objects have format {format}, which this version can use")),
        Err(error @ FormatError::Newer { .. }) => Outcome::wrong(error.to_string(), "use that version, or a newer one"),
        Err(error) => Outcome::failed(&error),
    }
}

async fn open_folder(folder: &Path, clock: &Arc<dyn Clock>) -> Result<EmbeddedStore, Outcome> {
    let (options, clock) = (EmbeddedOptions::new(folder), Arc::clone(clock));
    match spawn_blocking(move || EmbeddedStore::open(&options, clock)).await {
        Ok(Ok(engine)) => Ok(engine),
        Ok(Err(OpenError::Locked { .. })) => Err(Outcome::lacks(
            "it is in use by another process, a running Larder most likely; it was left alone",
            "ask that one with `larder health`, or stop it and look again",
        )),
        Ok(Err(error)) => Err(Outcome::failed(&error)),
        Err(error) => Err(Outcome::failed(&error)),
    }
}

fn room(free_bytes: u64) -> Outcome {
    let meaning = format!("{} MiB are free", free_bytes >> 20);
    let advice = "free some, or move the folder to a larger disk (LARDER_DATA)";
    match free_bytes {
        ..MIN_SPACE_BYTES => Outcome::wrong(meaning, advice),
        MIN_SPACE_BYTES..LOW_SPACE_BYTES => Outcome::lacks(meaning, advice),
        LOW_SPACE_BYTES.. => Outcome::ok(meaning),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn low_disk_space_is_distinguished_from_none() {
        let verdict = |bytes| room(bytes).verdict;
        assert_eq!(verdict(10 << 20), Verdict::Wrong);
        assert_eq!(verdict(500 << 20), Verdict::Lacks);
        assert_eq!(verdict(5 << 30), Verdict::Ok);
    }
}
