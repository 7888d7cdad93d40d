//! The runner of checks: its folder, their deadlines and results, and the clean-up after them.

use std::{
    error::Error as StdError,
    fmt::{self, Write as _},
    future::Future,
    time::Duration,
};

use serde::Serialize;

use larder_runtime::clock::{Clock, Random};

use crate::{
    error::Result,
    object::ListOptions,
    store::{MAX_LIST_KEYS, ObjectStore},
};

use super::checks::{self, Conditions};

/// Prefix of all objects that only a probe writes.
pub const PROBES: &str = "larder/probe/";

/// Default deadline of a check.
const LIMIT: Duration = Duration::from_mins(1);

/// Deadline of checks with many requests: 2,000, or a race that takes steps of a second (`SeaweedFS`).
const LONG_LIMIT: Duration = Duration::from_mins(3);

/// Minimum age of objects of other examinations or probes before they are deleted.
const LEFT_BEHIND: Duration = Duration::from_hours(1);

/// Maximum number of pages of the clean-up.
const PAGES: usize = 20;

/// Receives each finding as soon as its check ends.
pub type OnFinding<'a> = &'a (dyn Fn(&Finding) + Sync);

/// Examines an object store.
pub struct Examiner<'a> {
    /// The object store under examination.
    pub objects: &'a dyn ObjectStore,
    clock: &'a dyn Clock,
    folder: String,
    findings: Vec<Finding>,
    on_finding: Option<OnFinding<'a>>,
}

impl fmt::Debug for Examiner<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Examiner")
            .field("folder", &self.folder)
            .field("findings", &self.findings)
            .finish_non_exhaustive()
    }
}

impl<'a> Examiner<'a> {
    /// Returns an examiner of `objects`.
    pub fn new(objects: &'a dyn ObjectStore, clock: &'a dyn Clock, random: &dyn Random) -> Self {
        let own = random.characters(b"abcdefghijklmnopqrstuvwxyz0123456789", 16);
        let folder = format!("{PROBES}{}/", String::from_utf8_lossy(&own));
        Self { objects, clock, folder, findings: Vec::new(), on_finding: None }
    }

    /// Reports each finding as soon as its check ends.
    #[must_use]
    pub fn passing_on(self, on_finding: OnFinding<'a>) -> Self {
        Self { on_finding: Some(on_finding), ..self }
    }

    fn add(&mut self, finding: Finding) {
        if let Some(on_finding) = self.on_finding {
            on_finding(&finding);
        }
        self.findings.push(finding);
    }

    /// Runs a check, and records its finding.
    pub async fn check(
        &mut self,
        check: &'static str,
        tried: &'static str,
        limit: Duration,
        trial: impl Future<Output = Result<Outcome>>,
    ) {
        let outcome = tokio::select! {
            outcome = trial => outcome.unwrap_or_else(|error| Outcome::failed(&error)),
            () = self.clock.sleep(limit) => Outcome::unfinished(limit.as_secs()),
        };
        self.add(Finding { check, tried, outcome });
    }

    /// Checks conditional writes, by `found` or by a probe; `None` if that failed.
    pub async fn examine_conditions(&mut self, found: impl Future<Output = Result<Conditions>>) -> Option<Conditions> {
        let mut conditions = None;
        let trial = async {
            let found = found.await?;
            conditions = Some(found);
            Ok(found.outcome())
        };
        self.check("conditional writes", checks::CONDITIONS_DESCRIPTION, LONG_LIMIT, trial).await;
        conditions
    }

    /// Probes conditional writes, for stores without better knowledge.
    pub async fn try_conditions(&mut self) -> Option<Conditions> {
        let (objects, folder) = (self.objects, self.folder.clone());
        self.examine_conditions(checks::find_conditions(objects, &folder)).await
    }

    /// Runs all checks that are the same for every object store.
    pub async fn examine(&mut self) {
        let (objects, clock, folder) = (self.objects, self.clock, self.folder.clone());
        let folder = folder.as_str();
        self.check("reads after writes", checks::SEEN_WRITES, LIMIT, checks::writes_are_seen(objects, folder)).await;
        self.check("attributes", checks::KEPT_ATTRIBUTES, LIMIT, checks::attributes_are_kept(objects, folder)).await;
        self.check("clock", checks::CLOCK_DATE, LIMIT, checks::clock_agrees(objects, clock, folder)).await;
        self.check("order of lists", checks::KEY_ORDER, LIMIT, checks::keys_are_in_order(objects, folder)).await;
        self.check("long lists", checks::KEY_PAGES, LONG_LIMIT, checks::keys_are_all_listed(objects, folder)).await;
        self.check("odd keys", checks::ODD_KEYS, LIMIT, checks::odd_keys_are_taken(objects, folder)).await;
        self.check(
            "large bodies",
            checks::LARGE_BODIES,
            LONG_LIMIT,
            checks::large_bodies_arrive_whole(objects, folder),
        )
        .await;
        if objects.lifecycle().is_some() {
            self.check("lifecycle rules", checks::RULES_DESCRIPTION, LIMIT, checks::rules_are_kept(objects)).await;
        }
    }

    /// Deletes the objects of the checks, and returns the findings.
    pub async fn finish(mut self) -> Vec<Finding> {
        let (objects, clock, folder) = (self.objects, self.clock, self.folder.clone());
        let tidied = tidy(objects, clock, &folder);
        let failed = tokio::select! {
            tidied = tidied => tidied.err().map(|error| Outcome::failed(&error)),
            () = clock.sleep(LIMIT) => Some(Outcome::unfinished(LIMIT.as_secs())),
        };
        let tried = "remove everything that was tried out";
        if let Some(outcome) = failed {
            self.add(Finding { check: "tidying up", tried, outcome });
        }
        self.findings
    }
}

async fn tidy(objects: &dyn ObjectStore, clock: &dyn Clock, folder: &str) -> Result<()> {
    let mut start_after = None;
    for _ in 0..PAGES {
        let options = ListOptions { prefix: PROBES.to_owned(), start_after: start_after.take(), limit: MAX_LIST_KEYS };
        let page = objects.list(options).await?;
        start_after = page.objects.last().filter(|_| page.is_truncated).map(|last| last.key.clone());
        let now = clock.now();
        let is_left = |object: &crate::object::ListedObject| {
            object.key.starts_with(folder) || now.since(object.last_modified) > LEFT_BEHIND
        };
        let left: Vec<_> = page.objects.into_iter().filter(is_left).map(|object| object.key).collect();
        if !left.is_empty() {
            objects.delete_many(left).await?;
        }
        if start_after.is_none() {
            break;
        }
    }
    Ok(())
}

/// The verdict of a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Verdict {
    /// As required.
    Ok,
    /// A feature is missing, and Larder works without it.
    Lacks,
    /// A requirement is not met.
    Wrong,
    /// The check did not finish in time.
    Unfinished,
}

/// The result of a check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Subject of the check, in a word or two.
    pub check: &'static str,
    /// Description of the check.
    pub tried: &'static str,
    /// Outcome of the check.
    #[serde(flatten)]
    pub outcome: Outcome,
}

/// The outcome of a check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Outcome {
    /// The verdict.
    pub verdict: Verdict,
    /// The observation, and its meaning.
    pub meaning: String,
    /// Advice, if anything needs to be done.
    pub advice: Option<String>,
}

impl Outcome {
    /// Returns the outcome of a check that passed.
    pub fn ok(meaning: impl Into<String>) -> Self {
        Self { verdict: Verdict::Ok, meaning: meaning.into(), advice: None }
    }

    /// Returns the outcome for a missing feature that Larder works without.
    pub fn lacks(meaning: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { verdict: Verdict::Lacks, meaning: meaning.into(), advice: Some(advice.into()) }
    }

    /// Returns the outcome for an unmet requirement.
    pub fn wrong(meaning: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { verdict: Verdict::Wrong, meaning: meaning.into(), advice: Some(advice.into()) }
    }

    /// Returns the outcome of a failure, with all its causes.
    pub fn failed(error: &dyn StdError) -> Self {
        let mut text = error.to_string();
        let mut cause = error.source();
        while let Some(error) = cause {
            let _ = write!(text, ": {error}");
            cause = error.source();
        }
        Self::wrong(text, "do what the object store says, and run the doctor again")
    }

    /// Returns the outcome of a check that did not finish.
    pub fn unfinished(seconds: u64) -> Self {
        Self {
            verdict: Verdict::Unfinished,
            meaning: format!("the check was not done after {seconds} s"),
            advice: Some("look whether the object store is overloaded or far away, and try again".to_owned()),
        }
    }
}
