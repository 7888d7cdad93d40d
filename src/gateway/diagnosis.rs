//! What is well and what is not with the backend that a configuration asks for, found out by trying.

#[cfg(feature = "s3")]
use std::time::Duration;
use std::{path::Path, sync::Arc};

use serde::Serialize;
use tokio::task::spawn_blocking;

use crate::{
    clock::{Clock, Random, SystemClock, SystemRandom},
    config::Config,
    kv::{FORMAT, FormatError, FormatStanding, look_at_format},
    storage::{
        ObjectStore,
        embedded::{EmbeddedOptions, EmbeddedStore, FolderStanding, OpenError},
        examination::{Examiner, Finding, Outcome, Verdict},
    },
};
#[cfg(feature = "s3")]
use crate::{kv::Canaries, storage::s3::S3Store};

#[cfg(feature = "s3")]
use super::role::{Role, Sharing};
use super::summary;

/// How long a bucket may take to be opened or to be asked one thing, beyond all timeouts of single requests.
#[cfg(feature = "s3")]
const LIMIT: Duration = Duration::from_mins(2);

/// So little free room will not last.
const LITTLE_ROOM: u64 = 1 << 30;

/// So little free room is none: the engine sets some aside for itself.
const NO_ROOM: u64 = 64 << 20;

/// What was found out.
#[derive(Debug, Serialize)]
pub struct Diagnosis {
    /// What keeps everything.
    pub backend: String,
    /// How gateways share it; `None` where that could not be found out.
    pub mode: Option<Mode>,
    /// What was found, in the order in which it was tried.
    pub findings: Vec<Finding>,
}

/// How gateways share a backend.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Mode {
    /// One gateway has it for itself.
    Alone,
    /// All gateways are equal.
    Conditional,
    /// One gateway is the keeper.
    Keeper,
}

impl Diagnosis {
    /// Examines the backend.
    pub async fn of(config: &Config) -> Self {
        let (clock, random): (Arc<dyn Clock>, Arc<dyn Random>) = (Arc::new(SystemClock), Arc::new(SystemRandom));
        #[cfg(feature = "s3")]
        if !config.s3.bucket.is_empty() {
            return Box::pin(of_bucket(config, clock, random)).await;
        }
        of_folder(config, clock, random).await
    }

    /// Whether nothing is wrong, and everything could be found out.
    pub fn is_well(&self) -> bool {
        self.findings.iter().all(|finding| matches!(finding.outcome.verdict, Verdict::Ok | Verdict::Lacks))
    }
}

#[cfg(feature = "s3")]
async fn of_bucket(config: &Config, clock: Arc<dyn Clock>, random: Arc<dyn Random>) -> Diagnosis {
    let backend = summary::backend(config);
    let tried = "open the bucket with the keys that are set, and make it if it is missing";
    let found = |outcome| Finding { check: "bucket", tried, outcome };
    let opened = tokio::select! {
        opened = S3Store::open(config.s3.clone(), Arc::clone(&clock), Arc::clone(&random)) => {
            opened.map_err(|error| Outcome::failed(&error))
        }
        () = clock.sleep(LIMIT) => Err(Outcome::unfinished(LIMIT.as_secs())),
    };
    let bucket = match opened {
        Ok(bucket) => bucket,
        Err(outcome) => return Diagnosis { backend, mode: None, findings: vec![found(outcome)] },
    };
    let mut findings = vec![found(Outcome::ok("it can be used"))];
    let mut examiner = Examiner::new(&bucket, clock.as_ref(), random.as_ref());
    let conditions = examiner.examine_conditions(Box::pin(bucket.find_conditions(random.as_ref()))).await;
    examiner.examine().await;
    examiner.check("old versions", S3Store::VERSIONS, LIMIT, bucket.examine_versions()).await;
    findings.extend(examiner.finish().await);
    findings.push(format_of(&bucket).await);
    let sharing = conditions
        .map(|conditions| if conditions.are_relied_on() { Sharing::Conditional } else { Sharing::Unconditional });
    if let Some(sharing) = sharing {
        let outcome = match Role::of(config, sharing, &clock) {
            Ok(_) => Outcome::ok("the configuration fits"),
            Err(error) => Outcome::lacks(error.to_string(), "set it where `serve` runs"),
        };
        findings.push(Finding { check: "configuration", tried: "what `serve` would make of these settings", outcome });
    }
    let has_rules = |finding: &Finding| finding.check == "lifecycle rules" && finding.outcome.verdict == Verdict::Ok;
    let canaries = Canaries { objects: &bucket, clock: clock.as_ref(), has_rules: findings.iter().any(has_rules) };
    let looked = tokio::select! {
        looked = canaries.look() => looked.map_err(|error| Outcome::failed(&error)),
        () = clock.sleep(LIMIT) => Err(Outcome::unfinished(LIMIT.as_secs())),
    };
    let unseen = |outcome| vec![Finding { check: "canaries", tried: "look what became of them", outcome }];
    findings.extend(looked.unwrap_or_else(unseen));
    bucket.close().await;
    let mode = sharing.map(|sharing| if sharing == Sharing::Conditional { Mode::Conditional } else { Mode::Keeper });
    Diagnosis { backend, mode, findings }
}

async fn of_folder(config: &Config, clock: Arc<dyn Clock>, random: Arc<dyn Random>) -> Diagnosis {
    let backend = summary::backend(config);
    let mut diagnosis = Diagnosis { backend, mode: Some(Mode::Alone), findings: Vec::new() };
    let mut add = |check, tried, outcome| diagnosis.findings.push(Finding { check, tried, outcome });
    let standing = match FolderStanding::of(&config.data) {
        Ok(standing) => standing,
        Err(error) => {
            add("data folder", "look at it", Outcome::failed(&error));
            return diagnosis;
        }
    };
    add("free room", "ask the disk", room(standing.free_bytes));
    let (check, tried) = ("data folder", "open it as `serve` does, unless that would change it");
    match &standing.format {
        None => {
            let outcome = match FolderStanding::require_own(&config.data) {
                Ok(()) => Outcome::ok("nothing is there yet: the first start makes it"),
                Err(error) => Outcome::failed(&error),
            };
            add(check, tried, outcome);
            return diagnosis;
        }
        Some(format) if standing.is_older => {
            let meaning = format!("its format is {format:?}, which is older than the one of this version");
            add(check, tried, Outcome::lacks(meaning, "start this version once, which brings it up to date"));
            return diagnosis;
        }
        Some(format) if !standing.is_current => {
            let meaning = format!("its format is {format:?}, which this version does not know");
            add(check, tried, Outcome::wrong(meaning, "use the version that wrote it, or a newer one"));
            return diagnosis;
        }
        Some(_) => {}
    }
    let engine = match open_folder(&config.data, &clock).await {
        Ok(engine) => engine,
        Err(outcome) => {
            add(check, tried, outcome);
            return diagnosis;
        }
    };
    add(check, tried, Outcome::ok("it can be used, and nobody else does"));
    let mut examiner = Examiner::new(&engine, clock.as_ref(), random.as_ref());
    examiner.try_conditions().await;
    examiner.examine().await;
    diagnosis.findings.extend(examiner.finish().await);
    diagnosis.findings.push(format_of(&engine).await);
    engine.close().await;
    diagnosis
}

/// Which format the objects have, in the words of whoever would start a gateway over them.
async fn format_of(objects: &dyn ObjectStore) -> Finding {
    let outcome = match look_at_format(objects).await {
        Ok(FormatStanding::Unsaid) => Outcome::ok("nothing is said yet: the first start says it"),
        Ok(FormatStanding::Older(format)) => {
            Outcome::ok(format!("{format}: the first start of this version raises it to {FORMAT}"))
        }
        Ok(FormatStanding::Usable(format)) => Outcome::ok(format!("{format}, which this version can use")),
        Err(error @ FormatError::Newer { .. }) => Outcome::wrong(error.to_string(), "use that version, or a newer one"),
        Err(error) => Outcome::failed(&error),
    };
    Finding { check: "format", tried: "read which format the objects have", outcome }
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
        ..NO_ROOM => Outcome::wrong(meaning, advice),
        NO_ROOM..LITTLE_ROOM => Outcome::lacks(meaning, advice),
        LITTLE_ROOM.. => Outcome::ok(meaning),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn little_room_is_told_from_none() {
        let verdict = |bytes| room(bytes).verdict;
        assert_eq!(verdict(10 << 20), Verdict::Wrong);
        assert_eq!(verdict(500 << 20), Verdict::Lacks);
        assert_eq!(verdict(5 << 30), Verdict::Ok);
    }
}
