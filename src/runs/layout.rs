//! The keys of objects about runs: the only place that builds or reads them.
//!
//! ```text
//! larder/runs/{run}                                          the document of a run
//! larder/runs-by-owner/{owner}/all/{entry}                   the entry of a run among all of its owner
//! larder/runs-by-owner/{owner}/{actor or task}-{id}/{entry}  the entry of a run among those of an actor, or of a task
//! larder/runs-due/{uptime}-{run}                             a run that is to be checked then
//! larder/runs-finished/{time}-{run}                          a finished run whose retention ends then
//! larder/runs-removal/{uptime}-{run}                         a run that is deleted then, if a second check agrees
//! ```
//!
//! An entry is `{time left}-{run}.{status}.{origin}`. Times are milliseconds in 13 digits. The time left counts down
//! from thirteen nines, so byte order lists the newest first. An uptime is that of the clock guard, which no change
//! of the wall clock moves.
//!
//! List entries follow the document. Entries of a new status are written before the document that has it, and those
//! of earlier statuses are deleted after it, so a run is in its lists at any time. Readers count a run once, and the
//! document of a listed run is authoritative. A crash in between leaves extra entries, which the next check of the
//! run deletes.
//!
//! Only entries of statuses that the run can no longer have are deleted. So a writer that has lost a race deletes
//! nothing that the winner needs.

use std::time::Duration;

use futures_util::future::try_join_all;
use serde::{Deserialize, Serialize};

use crate::{
    clock::Timestamp,
    kv::{ActorId, JsonError, RunId, TokenId, UnconditionalWrite, UserId, put_unconditionally},
};

use super::{
    actor::ActorKind,
    run::{Run, RunOrigin},
    run_repository::{Result, RunRepository},
    status::RunStatus,
};

/// Prefixes of all objects of this module, each a folder whose keys are listed in byte order.
pub const PREFIXES: [&str; 5] =
    ["larder/runs/", "larder/runs-by-owner/", "larder/runs-due/", "larder/runs-finished/", "larder/runs-removal/"];

/// The latest time that 13 digits hold, in the year 2286.
const LAST: i64 = 9_999_999_999_999;

/// A queue of runs, in the order of the times in its keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Queue {
    /// Runs to be checked, by uptime.
    Due,
    /// Finished runs, by the wall-clock time at which their retention ends.
    Finished,
    /// Runs to be deleted after a second check, by uptime.
    Removal,
}

/// An item of a queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DueItem {
    /// Key of its object.
    pub key: String,
    /// Time in milliseconds, by the clock of the queue.
    pub at: i64,
    /// Its run.
    pub id: RunId,
}

/// A list entry of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    /// Start of the run, in whole milliseconds.
    pub started_at: Timestamp,
    /// The run.
    pub id: RunId,
    /// Status of the run when the entry was written.
    pub status: RunStatus,
    /// Origin of the run.
    pub origin: RunOrigin,
}

impl Queue {
    /// Returns the prefix of the keys of all its items.
    pub fn prefix(self) -> &'static str {
        match self {
            Self::Due => "larder/runs-due/",
            Self::Finished => "larder/runs-finished/",
            Self::Removal => "larder/runs-removal/",
        }
    }

    /// Returns the key of an item at `at` milliseconds.
    pub fn key(self, at: i64, id: &RunId) -> String {
        format!("{}{:013}-{id}", self.prefix(), at.clamp(0, LAST))
    }

    /// Parses the key of an item; `None` if it is none of this queue.
    pub fn parse(self, key: &str) -> Option<DueItem> {
        let (digits, id) = key.strip_prefix(self.prefix())?.split_once('-')?;
        Some(DueItem { key: key.to_owned(), at: parse_millis(digits)?, id: id.parse().ok()? })
    }
}

impl Entry {
    /// Returns the end of the entry's key.
    pub fn end(&self) -> String {
        let Self { started_at, id, status, origin } = self;
        format!("{}-{id}.{}.{}", time_left(*started_at), status.as_str(), origin.as_str())
    }

    /// Parses the end of an entry's key; `None` if it is none.
    pub fn parse(end: &str) -> Option<Self> {
        let (digits, rest) = end.split_once('-')?;
        let mut parts = rest.split('.');
        let (id, status, origin) = (parts.next()?, parts.next()?, parts.next()?);
        if parts.next().is_some() {
            return None;
        }
        Some(Self {
            started_at: Timestamp::from_millis(LAST - parse_millis(digits)?),
            id: id.parse().ok()?,
            status: RunStatus::parse(status)?,
            origin: RunOrigin::parse(origin)?,
        })
    }
}

/// Returns the key of a run's document.
pub fn document(id: &RunId) -> String {
    format!("larder/runs/{id}")
}

/// Returns the prefix of all list entries of an owner.
pub fn all_of(owner: &UserId) -> String {
    format!("larder/runs-by-owner/{owner}/all/")
}

/// Returns the prefix of an owner's list entries for one actor or task.
pub fn actor_prefix(owner: &UserId, kind: ActorKind, id: &ActorId) -> String {
    format!("larder/runs-by-owner/{owner}/{}-{id}/", kind.as_str())
}

/// Returns the prefix of entries of runs that started at `started_at`, after their folder; it sorts before all of
/// them.
pub fn time_left(started_at: Timestamp) -> String {
    format!("{:013}", LAST - started_at.as_millis().clamp(0, LAST))
}

/// Returns an uptime in milliseconds, as in queue keys.
pub fn millis(uptime: Duration) -> i64 {
    i64::try_from(uptime.as_millis()).unwrap_or(LAST).min(LAST)
}

fn parse_millis(digits: &str) -> Option<i64> {
    let is_time = digits.len() == 13 && digits.bytes().all(|byte| byte.is_ascii_digit());
    digits.parse().ok().filter(|_| is_time)
}

/// All data from which the keys of a run's objects are built. Queue items carry it in case the document is missing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RunIdentity {
    /// Id of the run.
    pub id: RunId,
    /// Owner of the run.
    pub owner_id: UserId,
    /// Actor that was started.
    #[serde(rename = "actorId")]
    pub actor: ActorId,
    /// Task that was started, if it was one.
    #[serde(rename = "taskId")]
    pub task: Option<ActorId>,
    /// Start of the run.
    pub started_at: Timestamp,
    /// Origin of the run.
    pub origin: RunOrigin,
    /// Tokens that were made for the run.
    #[serde(rename = "tokenIds")]
    pub tokens: Vec<TokenId>,
}

/// Its content never changes.
impl UnconditionalWrite for RunIdentity {}

impl RunIdentity {
    /// Returns the identity of `run`.
    pub fn for_run(run: &Run) -> Self {
        let Run { id, owner_id, actor, task, started_at, origin, ref tokens, .. } = *run;
        Self { id, owner_id, actor, task, started_at, origin, tokens: tokens.clone() }
    }

    /// Returns the keys of the run's entries with `status`.
    fn entries(&self, status: RunStatus) -> impl Iterator<Item = String> {
        let Self { id, ref owner_id, started_at, origin, .. } = *self;
        let end = Entry { started_at, id, status, origin }.end();
        let folders = [
            Some(all_of(owner_id)),
            Some(actor_prefix(owner_id, ActorKind::Actor, &self.actor)),
            self.task.map(|task| actor_prefix(owner_id, ActorKind::Task, &task)),
        ];
        folders.into_iter().flatten().map(move |folder| folder + &end)
    }
}

impl RunRepository {
    /// Writes the entries of `run` with its current status.
    pub(super) async fn write_entries(&self, run: &Run) -> Result<()> {
        let keys: Vec<_> = RunIdentity::for_run(run).entries(run.status).collect();
        let written = keys.iter().map(|key| put_unconditionally(self.objects.as_ref(), key, &()));
        try_join_all(written).await?;
        Ok(())
    }

    /// Deletes the entries of `run` with statuses that it can no longer have.
    pub(super) async fn remove_stale_entries(&self, run: &Run) -> Result<()> {
        let statuses = RunStatus::ALL.into_iter().filter(|status| run.status.excludes(*status));
        self.remove_entries(&RunIdentity::for_run(run), statuses).await
    }

    /// Deletes the entries of a run with any of `statuses`. One call, or none.
    pub(super) async fn remove_entries(
        &self,
        run: &RunIdentity,
        statuses: impl IntoIterator<Item = RunStatus>,
    ) -> Result<()> {
        let keys: Vec<_> = statuses.into_iter().flat_map(|status| run.entries(status)).collect();
        if keys.is_empty() {
            return Ok(());
        }
        Ok(self.objects.delete_many(keys).await.map_err(JsonError::from)?)
    }
}

#[cfg(test)]
mod tests {
    use crate::clock::SeededRandom;

    use super::*;

    #[test]
    fn entries_are_in_the_order_of_newness_and_items_in_that_of_time() {
        let id = RunId::generate(&SeededRandom::new(1));
        let entry = |millis| Entry {
            started_at: Timestamp::from_millis(millis),
            id,
            status: RunStatus::TimingOut,
            origin: RunOrigin::Api,
        };
        let (early, late) = (entry(999), entry(1_767_225_600_000));
        assert!(late.end() < early.end());
        assert!(time_left(late.started_at) < late.end() && time_left(early.started_at) > late.end());
        assert_eq!(Entry::parse(&late.end()), Some(late));
        for none in ["", "1-x.READY.API", &late.end()[1..], &format!("{}.x", late.end())] {
            assert_eq!(Entry::parse(none), None, "{none}");
        }
        for queue in [Queue::Due, Queue::Finished, Queue::Removal] {
            assert!(queue.key(5, &id) < queue.key(10, &id));
            let key = queue.key(10, &id);
            assert_eq!(queue.parse(&key), Some(DueItem { key: key.clone(), at: 10, id }));
            for none in ["1-x", "1767225600000-", ""] {
                assert_eq!(queue.parse(&format!("{}{none}", queue.prefix())), None, "{none}");
            }
        }
        assert_eq!(Queue::Due.parse(&Queue::Removal.key(10, &id)), None);
    }
}
