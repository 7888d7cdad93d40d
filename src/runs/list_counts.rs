//! Which runs a list has, and what is remembered of how long it is.

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

/// The most long lists whose counts are remembered; one of a million runs takes 100 KB.
const MAX_COUNTED_LISTS: u64 = 64;

/// Locks over the counting of long lists, by owner: a list is counted once for all that ask for it.
const COUNTING_LOCKS: usize = 16;

/// Whose runs, and which of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct RunsOf {
    /// Whose.
    pub owner: UserId,
    /// Those of this actor or task alone.
    pub actor: Option<(ActorKind, ActorId)>,
}

/// Which runs match.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct RunFilter {
    /// Any of these; of any if there is none.
    pub statuses: Vec<RunStatus>,
    /// Of this origin.
    pub origin: Option<RunOrigin>,
    /// Started then or later.
    pub started_after: Option<Timestamp>,
    /// Started then or earlier.
    pub started_before: Option<Timestamp>,
}

/// Counts of long lists.
#[derive(Debug)]
pub struct CountedLists {
    /// The lists, by what they are lists of.
    pub lists: Cache<(RunsOf, RunFilter), Arc<CountedList>>,
    locks: [tokio::sync::Mutex<()>; COUNTING_LOCKS],
}

/// A list of runs with the number of those that match.
#[derive(Debug)]
pub struct CountedList {
    /// When it was counted, by the monotonic clock.
    pub counted_at: Duration,
    /// Marks in the order of their keys, at most a thousand entries apart.
    pub marks: Vec<Mark>,
    /// Number of runs that match.
    pub total: usize,
}

/// A place in a list.
#[derive(Debug, Clone)]
pub struct Mark {
    /// Key of the last entry before it.
    pub key: String,
    /// Matching runs before it.
    pub count: usize,
}

impl RunFilter {
    fn matches(&self, status: RunStatus, origin: RunOrigin, started_at: Timestamp) -> bool {
        (self.statuses.is_empty() || self.statuses.contains(&status))
            && self.origin.is_none_or(|wanted| wanted == origin)
            && self.started_after.is_none_or(|after| started_at >= after)
            && self.started_before.is_none_or(|before| started_at <= before)
    }

    /// Returns whether the run of an entry matches, as far as the entry says.
    pub fn matches_entry(&self, entry: &Entry) -> bool {
        self.matches(entry.status, entry.origin, entry.started_at)
    }

    /// Returns whether a run matches.
    pub fn matches_run(&self, run: &Run) -> bool {
        self.matches(run.status, run.origin, run.started_at)
    }

    /// Returns the key after which the entries in `folder` begin that may match.
    pub fn start(&self, folder: &str) -> Option<String> {
        self.started_before.map(|before| format!("{folder}{}", layout::time_left(before)))
    }
}

impl RunsOf {
    /// Returns what the keys of its entries begin with.
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
    /// Returns the lock over the counting of an owner's lists.
    pub fn lock(&self, owner: &UserId) -> &tokio::sync::Mutex<()> {
        let sum = owner.as_str().bytes().fold(0_usize, |sum, byte| sum.wrapping_mul(31).wrapping_add(byte.into()));
        &self.locks[sum % COUNTING_LOCKS]
    }
}
