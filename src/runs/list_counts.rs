//! Filters of run lists, and cached counts of long lists.

use std::{sync::Arc, time::Duration};

use moka::sync::Cache;

use crate::{
    clock::Timestamp,
    kv::{ActorId, UserId},
};

use super::{
    actor::ActorKind,
    layout::{self, Entry},
    run::{Run, RunOrigin},
    status::RunStatus,
};

/// Maximum number of long lists whose counts are cached; one of a million runs takes 100 KB.
const MAX_COUNTED_LISTS: u64 = 64;

/// Number of locks for counting long lists, by owner: concurrent requests share one count of a list.
const COUNTING_LOCKS: usize = 16;

/// A list of runs: its owner, and optionally an actor or task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct RunsOf {
    /// The owner.
    pub owner: UserId,
    /// Only runs of this actor or task.
    pub actor: Option<(ActorKind, ActorId)>,
}

/// Filter of runs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct RunFilter {
    /// Any of these statuses; any status if empty.
    pub statuses: Vec<RunStatus>,
    /// Only this origin.
    pub origin: Option<RunOrigin>,
    /// Only runs started then or later.
    pub started_after: Option<Timestamp>,
    /// Only runs started then or earlier.
    pub started_before: Option<Timestamp>,
}

/// Cached counts of long lists.
#[derive(Debug)]
pub struct CountedLists {
    /// The lists by owner, actor and filter.
    pub lists: Cache<(RunsOf, RunFilter), Arc<CountedList>>,
    locks: [tokio::sync::Mutex<()>; COUNTING_LOCKS],
}

/// A counted list of runs.
#[derive(Debug)]
pub struct CountedList {
    /// Time of the count, by the monotonic clock.
    pub counted_at: Duration,
    /// Marks in the order of their keys, at most a thousand entries apart.
    pub marks: Vec<Mark>,
    /// Number of runs that match.
    pub total: usize,
}

/// A position in a list.
#[derive(Debug, Clone)]
pub struct Mark {
    /// Key of the last entry before it.
    pub key: String,
    /// Number of matching runs before it.
    pub count: usize,
}

impl RunFilter {
    fn matches(&self, status: RunStatus, origin: RunOrigin, started_at: Timestamp) -> bool {
        (self.statuses.is_empty() || self.statuses.contains(&status))
            && self.origin.is_none_or(|wanted| wanted == origin)
            && self.started_after.is_none_or(|after| started_at >= after)
            && self.started_before.is_none_or(|before| started_at <= before)
    }

    /// Returns whether an entry may match, by its key.
    pub fn matches_entry(&self, entry: &Entry) -> bool {
        self.matches(entry.status, entry.origin, entry.started_at)
    }

    /// Returns whether a run matches.
    pub fn matches_run(&self, run: &Run) -> bool {
        self.matches(run.status, run.origin, run.started_at)
    }

    /// Returns the key after which matching entries in `folder` may begin.
    pub fn start(&self, folder: &str) -> Option<String> {
        self.started_before.map(|before| format!("{folder}{}", layout::time_left(before)))
    }
}

impl RunsOf {
    /// Returns the prefix of its keys.
    pub fn folder(&self) -> String {
        match &self.actor {
            None => layout::all_of(&self.owner),
            Some((kind, id)) => layout::of_actor(&self.owner, *kind, id),
        }
    }
}

impl Default for CountedLists {
    fn default() -> Self {
        Self { lists: Cache::new(MAX_COUNTED_LISTS), locks: std::array::from_fn(|_| tokio::sync::Mutex::default()) }
    }
}

impl CountedLists {
    /// Returns the lock for counting an owner's lists.
    pub fn lock(&self, owner: &UserId) -> &tokio::sync::Mutex<()> {
        let sum = owner.as_str().bytes().fold(0_usize, |sum, byte| sum.wrapping_mul(31).wrapping_add(byte.into()));
        &self.locks[sum % COUNTING_LOCKS]
    }
}
