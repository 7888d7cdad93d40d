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
    object::ListOptions,
    store::{MAX_LIST_KEYS, ObjectStore, Result},
};

use super::checks::{self, Conditions};

/// Prefix of all objects that only a probe writes.
pub const PROBES: &str = "larder/probe/";

/// Default deadline of a check.
const CHECK_TIMEOUT: Duration = Duration::from_mins(1);

/// Deadline of checks with many requests: 2,000, or a race that takes steps of a second (`SeaweedFS`).
const LONG_CHECK_TIMEOUT: Duration = Duration::from_mins(3);

/// Minimum age of objects of other runs or probes before they are deleted.
const MIN_STALE_AGE: Duration = Duration::from_hours(1);

/// Maximum number of pages of the clean-up.
const MAX_CLEANUP_PAGES: usize = 20;

/// Receives each result as soon as its check ends.
pub type OnResult<'a> = &'a (dyn Fn(&CheckResult) + Sync);

/// A runner of checks of an object store.
pub struct CheckRunner<'a> {
    /// The object store that is checked.
    pub objects: &'a dyn ObjectStore,
    clock: &'a dyn Clock,
    folder: String,
    results: Vec<CheckResult>,
    on_result: Option<OnResult<'a>>,
}

impl fmt::Debug for CheckRunner<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CheckRunner")
            .field("folder", &self.folder)
            .field("results", &self.results)
            .finish_non_exhaustive()
    }
}

impl<'a> CheckRunner<'a> {
    /// Returns a runner of checks of `objects`.
    pub fn new(objects: &'a dyn ObjectStore, clock: &'a dyn Clock, random: &dyn Random) -> Self {
        let own = random.characters(b"abcdefghijklmnopqrstuvwxyz0123456789", 16);
        let folder = format!("{PROBES}{}/", String::from_utf8_lossy(&own));
        Self { objects, clock, folder, results: Vec::new(), on_result: None }
    }

    /// Reports each result as soon as its check ends.
    #[must_use]
    pub fn with_callback(self, on_result: OnResult<'a>) -> Self {
        Self { on_result: Some(on_result), ..self }
    }

    fn add(&mut self, result: CheckResult) {
        if let Some(on_result) = self.on_result {
            on_result(&result);
        }
        self.results.push(result);
    }

    /// Runs a check, and records its result.
    pub async fn check(
        &mut self,
        check: &'static str,
        description: &'static str,
        limit: Duration,
        outcome: impl Future<Output = Result<Outcome>>,
    ) {
        let outcome = tokio::select! {
            outcome = outcome => outcome.unwrap_or_else(|error| Outcome::from_error(&error)),
            () = self.clock.sleep(limit) => Outcome::timed_out(limit.as_secs()),
        };
        self.add(CheckResult { check, description, outcome });
    }

    /// Checks conditional writes, by `found` or by a probe; `None` if that failed.
    pub async fn check_conditions(&mut self, found: impl Future<Output = Result<Conditions>>) -> Option<Conditions> {
        let mut conditions = None;
        let outcome = async {
            let found = found.await?;
            conditions = Some(found);
            Ok(found.outcome())
        };
        self.check("conditional writes", checks::CONDITIONAL_WRITES_DESCRIPTION, LONG_CHECK_TIMEOUT, outcome).await;
        conditions
    }

    /// Probes conditional writes, for stores without better knowledge.
    pub async fn probe_conditions(&mut self) -> Option<Conditions> {
        let (objects, folder) = (self.objects, self.folder.clone());
        self.check_conditions(checks::probe_conditions(objects, &folder)).await
    }

    /// Runs all checks that are the same for every object store.
    pub async fn run_all(&mut self) {
        let (objects, clock, folder) = (self.objects, self.clock, self.folder.clone());
        let folder = folder.as_str();
        self.check(
            "reads after writes",
            checks::READ_AFTER_WRITE_DESCRIPTION,
            CHECK_TIMEOUT,
            checks::check_read_after_write(objects, folder),
        )
        .await;
        self.check(
            "attributes",
            checks::ATTRIBUTES_DESCRIPTION,
            CHECK_TIMEOUT,
            checks::check_attributes(objects, folder),
        )
        .await;
        self.check("clock", checks::CLOCK_DESCRIPTION, CHECK_TIMEOUT, checks::check_clock(objects, clock, folder))
            .await;
        self.check(
            "order of lists",
            checks::LIST_ORDER_DESCRIPTION,
            CHECK_TIMEOUT,
            checks::check_list_order(objects, folder),
        )
        .await;
        self.check(
            "long lists",
            checks::LIST_PAGES_DESCRIPTION,
            LONG_CHECK_TIMEOUT,
            checks::check_list_pages(objects, folder),
        )
        .await;
        self.check(
            "odd keys",
            checks::UNUSUAL_KEYS_DESCRIPTION,
            CHECK_TIMEOUT,
            checks::check_unusual_keys(objects, folder),
        )
        .await;
        self.check(
            "large bodies",
            checks::LARGE_BODIES_DESCRIPTION,
            LONG_CHECK_TIMEOUT,
            checks::check_large_bodies(objects, folder),
        )
        .await;
        if objects.lifecycle().is_some() {
            self.check(
                "lifecycle rules",
                checks::LIFECYCLE_RULES_DESCRIPTION,
                CHECK_TIMEOUT,
                checks::check_lifecycle_rules(objects),
            )
            .await;
        }
    }

    /// Deletes the objects of the checks, and returns the results.
    pub async fn finish(mut self) -> Vec<CheckResult> {
        let (objects, clock, folder) = (self.objects, self.clock, self.folder.clone());
        let deleted = delete_probe_objects(objects, clock, &folder);
        let failed = tokio::select! {
            deleted = deleted => deleted.err().map(|error| Outcome::from_error(&error)),
            () = clock.sleep(CHECK_TIMEOUT) => Some(Outcome::timed_out(CHECK_TIMEOUT.as_secs())),
        };
        let description = "delete all objects of these checks";
        if let Some(outcome) = failed {
            self.add(CheckResult { check: "cleanup", description, outcome });
        }
        self.results
    }
}

async fn delete_probe_objects(objects: &dyn ObjectStore, clock: &dyn Clock, folder: &str) -> Result<()> {
    let mut start_after = None;
    for _ in 0..MAX_CLEANUP_PAGES {
        let options = ListOptions { prefix: PROBES.to_owned(), start_after: start_after.take(), limit: MAX_LIST_KEYS };
        let page = objects.list(options).await?;
        start_after = page.objects.last().filter(|_| page.is_truncated).map(|last| last.key.clone());
        let now = clock.now();
        let is_left = |object: &crate::object::ListedObject| {
            object.key.starts_with(folder) || now.since(object.last_modified) > MIN_STALE_AGE
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

/// Status of a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Status {
    /// The requirement is met.
    Pass,
    /// A feature is missing, and Larder works without it.
    Degraded,
    /// The requirement is not met.
    Fail,
    /// The check did not finish before its deadline.
    TimedOut,
}

/// The result of a check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CheckResult {
    /// Subject of the check, in a word or two.
    pub check: &'static str,
    /// Description of the check.
    pub description: &'static str,
    /// Outcome of the check.
    #[serde(flatten)]
    pub outcome: Outcome,
}

/// The outcome of a check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Outcome {
    /// The status.
    pub status: Status,
    /// The observation, and its consequence.
    pub message: String,
    /// Advice, if anything needs to be done.
    pub advice: Option<String>,
}

impl Outcome {
    /// Returns the outcome of a check that passed.
    pub fn pass(message: impl Into<String>) -> Self {
        Self { status: Status::Pass, message: message.into(), advice: None }
    }

    /// Returns the outcome for a missing feature that Larder works without.
    pub fn degraded(message: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { status: Status::Degraded, message: message.into(), advice: Some(advice.into()) }
    }

    /// Returns the outcome for an unmet requirement.
    pub fn fail(message: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { status: Status::Fail, message: message.into(), advice: Some(advice.into()) }
    }

    /// Returns the outcome of a failure, with all its causes.
    pub fn from_error(error: &dyn StdError) -> Self {
        let mut text = error.to_string();
        let mut cause = error.source();
        while let Some(error) = cause {
            let _ = write!(text, ": {error}");
            cause = error.source();
        }
        Self::fail(text, "correct the cause, and run the doctor again")
    }

    /// Returns the outcome of a check that did not finish.
    pub fn timed_out(seconds: u64) -> Self {
        Self {
            status: Status::TimedOut,
            message: format!("the check did not finish within {seconds} s"),
            advice: Some(
                "check whether the object store is overloaded or far away, and run the doctor again".to_owned(),
            ),
        }
    }
}
