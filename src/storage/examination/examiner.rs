//! The examiner: his folder, the deadlines of his checks, and what he leaves behind, which is nothing.

use std::{fmt, future::Future, time::Duration};

use crate::{
    clock::{Clock, Random},
    storage::{
        error::Result,
        object::ListOptions,
        store::{MAX_LIST_KEYS, ObjectStore},
    },
};

use super::{
    bodies, conditions,
    conditions::Conditions,
    finding::{Finding, Outcome},
    keys, objects, rules,
};

/// What everything that is only tried out begins with.
pub const PROBES: &str = "larder/probe/";

/// How long a check may take, unless more is said.
const LIMIT: Duration = Duration::from_mins(1);

/// How long what takes many requests may take: 2,000, or a race that is settled in steps of a second (`SeaweedFS`).
const LONG_LIMIT: Duration = Duration::from_mins(3);

/// How old what another examination or probe left behind must be before it is removed.
const LEFT_BEHIND: Duration = Duration::from_hours(1);

/// The most pages of what is removed in the end.
const PAGES: usize = 20;

/// Receives each finding as soon as it is there.
pub type OnFinding<'a> = &'a (dyn Fn(&Finding) + Sync);

/// Examines an object store.
pub struct Examiner<'a> {
    /// What is examined.
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
    /// An examiner of `objects`.
    pub fn new(objects: &'a dyn ObjectStore, clock: &'a dyn Clock, random: &dyn Random) -> Self {
        let own = random.characters(b"abcdefghijklmnopqrstuvwxyz0123456789", 16);
        let folder = format!("{PROBES}{}/", String::from_utf8_lossy(&own));
        Self { objects, clock, folder, findings: Vec::new(), on_finding: None }
    }

    /// Passes each finding on as soon as it is there.
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

    /// Makes a check, and remembers what it says.
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

    /// Finds out which conditions hold, by `found` or by trying; none where it could not be found out.
    pub async fn examine_conditions(&mut self, found: impl Future<Output = Result<Conditions>>) -> Option<Conditions> {
        let mut conditions = None;
        let trial = async {
            let found = found.await?;
            conditions = Some(found);
            Ok(found.outcome())
        };
        self.check("conditional writes", conditions::TRIED, LONG_LIMIT, trial).await;
        conditions
    }

    /// Tries whether conditions hold, where nobody knows better.
    pub async fn try_conditions(&mut self) -> Option<Conditions> {
        let (objects, folder) = (self.objects, self.folder.clone());
        self.examine_conditions(conditions::find_out(objects, &folder)).await
    }

    /// Everything that is asked of all object stores.
    pub async fn examine(&mut self) {
        let (objects, clock, folder) = (self.objects, self.clock, self.folder.clone());
        let folder = folder.as_str();
        self.check("reads after writes", objects::SEEN, LIMIT, objects::are_seen(objects, folder)).await;
        self.check("attributes", objects::KEPT, LIMIT, objects::are_kept(objects, folder)).await;
        self.check("clock", objects::CLOCK, LIMIT, objects::clock_agrees(objects, clock, folder)).await;
        self.check("order of lists", keys::ORDER, LIMIT, keys::are_in_order(objects, folder)).await;
        self.check("long lists", keys::PAGES, LONG_LIMIT, keys::are_all_listed(objects, folder)).await;
        self.check("odd keys", keys::ODD, LIMIT, keys::odd_ones_are_taken(objects, folder)).await;
        self.check("large bodies", bodies::LARGE, LONG_LIMIT, bodies::arrive_whole(objects, folder)).await;
        if objects.lifecycle().is_some() {
            self.check("lifecycle rules", rules::TRIED, LIMIT, rules::are_kept(objects)).await;
        }
    }

    /// Removes what was tried out, and says what was found.
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
        let is_left = |object: &crate::storage::object::ListedObject| {
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
