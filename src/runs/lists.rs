//! Lists of runs, and the last run: found by entries that are sorted newest first and carry the status.
//!
//! A page costs one list of entries and a read per run shown. For a long list, the entries beyond the first thousand
//! are counted by listing keys, once in [`COUNT_LIFETIME`], with a mark per thousand. Only the marks are cached; a page
//! in the middle starts at the mark before it.

use std::{sync::Arc, time::Duration};

use futures_util::{StreamExt, TryStreamExt, stream};
use moka::sync::Cache;

use crate::{
    clock::Timestamp,
    kv::{ActorId, JsonError, RunId, UserId},
    storage::{ListOptions, MAX_LIST_KEYS},
};

use super::{
    actor::ActorKind,
    layout::{self, Entry},
    run::{Run, RunOrigin},
    run_repository::{Result, RunRepository, RunsError},
    status::RunStatus,
};

/// Maximum number of runs that are read concurrently.
const CONCURRENCY: usize = 16;

/// Maximum number of entry lists to find the last matching run: older runs are not seen.
const MAX_LAST_PAGES: usize = 100;

/// Maximum age of the count of entries beyond the first thousand.
const COUNT_LIFETIME: Duration = Duration::from_mins(2);

/// Number of entries listed at once to find the last run of any status: usually the first matches.
const LAST_PAGE: usize = 20;

/// A page of runs.
#[derive(Debug)]
pub struct RunPage {
    /// The runs.
    pub runs: Vec<Run>,
    /// Total number of matching runs.
    pub total: usize,
}

/// Result of one list of entries.
#[derive(Debug)]
struct Step {
    /// Matching runs, newest first.
    ids: Vec<RunId>,
    /// Start of the next list, if there is more.
    next: Option<String>,
}

impl RunRepository {
    /// Returns the last matching run. Usually one list and one read.
    pub async fn last(&self, of: &RunScope, filter: &RunFilter) -> Result<Run> {
        let folder = of.folder();
        let limit = if *filter == RunFilter::default() { LAST_PAGE } else { MAX_LIST_KEYS };
        let mut start_after = filter.start(&folder);
        for _ in 0..MAX_LAST_PAGES {
            let step = self.step(&folder, filter, start_after, None, limit).await?;
            for id in &step.ids {
                match self.get(id).await {
                    Ok(run) if filter.matches_run(&run) => return Ok(run),
                    // A run without a document is being created, or never was.
                    Ok(_) | Err(RunsError::NotFound) => {}
                    Err(error) => return Err(error),
                }
            }
            start_after = step.next;
            if start_after.is_none() {
                break;
            }
        }
        Err(RunsError::NotFound)
    }

    /// Returns a page of the matching runs, by creation time.
    pub async fn list(
        &self,
        of: &RunScope,
        filter: &RunFilter,
        is_descending: bool,
        offset: usize,
        limit: usize,
    ) -> Result<RunPage> {
        let folder = of.folder();
        let first = self.step(&folder, filter, filter.start(&folder), None, MAX_LIST_KEYS).await?;
        let counted = self.count(of, filter, &first).await?;
        let total = counted.total;
        let (start, end) = if is_descending {
            (offset.min(total), offset.saturating_add(limit).min(total))
        } else {
            let end = total.saturating_sub(offset);
            (end.saturating_sub(limit), end)
        };
        let mut ids = self.ids_between(&folder, filter, first, &counted, start, end).await?;
        if !is_descending {
            ids.reverse();
        }
        let mut runs = self.read_all(ids).await?;
        runs.retain(|run| filter.matches_run(run));
        Ok(RunPage { runs, total })
    }

    /// Returns the runs from number `start`, counted from the newest, to the one before `end`.
    async fn ids_between(
        &self,
        folder: &str,
        filter: &RunFilter,
        first: Step,
        counted: &CountedList,
        start: usize,
        end: usize,
    ) -> Result<Vec<RunId>> {
        let passed = counted.marks.partition_point(|mark| mark.count <= start);
        let (mut number, mut step) = match passed.checked_sub(1).and_then(|last| counted.marks.get(last)) {
            None => (0, first),
            Some(mark) => (mark.count, self.step(folder, filter, Some(mark.key.clone()), None, MAX_LIST_KEYS).await?),
        };
        let mut ids = Vec::with_capacity(end.saturating_sub(start));
        loop {
            for id in step.ids {
                if (start..end).contains(&number) {
                    ids.push(id);
                }
                number += 1;
            }
            let Some(next) = step.next.filter(|_| number < end) else { return Ok(ids) };
            step = self.step(folder, filter, Some(next), None, MAX_LIST_KEYS).await?;
        }
    }

    /// Counts the matching runs; `first` are the newest.
    async fn count(&self, of: &RunScope, filter: &RunFilter, first: &Step) -> Result<CountedList> {
        let counted_at = self.clock.monotonic();
        let mut count = first.ids.len();
        let Some(next) = &first.next else { return Ok(CountedList { counted_at, marks: Vec::new(), total: count }) };
        let _lock = self.counted.lock(&of.owner).lock().await;
        let (folder, key) = (of.folder(), (*of, filter.clone()));
        let mut marks = vec![ListPosition { key: next.clone(), count }];
        let known =
            self.counted.lists.get(&key).filter(|known| counted_at.saturating_sub(known.counted_at) < COUNT_LIFETIME);
        if let Some(known) = known {
            let passed = known.marks.partition_point(|mark| mark.key < *next);
            if let Some(mark) = known.marks.get(passed) {
                count += self.count_between(&folder, filter, next, &mark.key).await?;
                let now = |counted: usize| counted - mark.count + count;
                let later = known.marks[passed..].iter();
                marks.extend(later.map(|mark| ListPosition { key: mark.key.clone(), count: now(mark.count) }));
                return Ok(CountedList { counted_at, marks, total: now(known.total) });
            }
        }
        let mut cursor = Some(next.clone());
        while let Some(start_after) = cursor {
            let step = self.step(&folder, filter, Some(start_after), None, MAX_LIST_KEYS).await?;
            count += step.ids.len();
            marks.extend(step.next.clone().map(|key| ListPosition { key, count }));
            cursor = step.next;
        }
        let counted = CountedList { counted_at, marks: marks.clone(), total: count };
        self.counted.lists.insert(key, Arc::new(counted));
        Ok(CountedList { counted_at, marks, total: count })
    }

    /// Counts the matching runs whose entries come after the key `start` and not after `end`.
    async fn count_between(&self, folder: &str, filter: &RunFilter, start: &str, end: &str) -> Result<usize> {
        let (mut count, mut cursor) = (0, Some(start.to_owned()));
        while let Some(start_after) = cursor {
            let step = self.step(folder, filter, Some(start_after), Some(end), MAX_LIST_KEYS).await?;
            count += step.ids.len();
            cursor = step.next;
        }
        Ok(count)
    }

    /// Returns the matching runs among the next `limit` entries, up to the key `end` if there is one. One list.
    /// Adjacent entries of the same run count once.
    async fn step(
        &self,
        folder: &str,
        filter: &RunFilter,
        start_after: Option<String>,
        end: Option<&str>,
        limit: usize,
    ) -> Result<Step> {
        let parse = |key: &str| key.strip_prefix(folder).and_then(Entry::parse);
        let before = start_after.as_deref().and_then(parse).filter(|entry| filter.matches_entry(entry));
        let mut last = before.map(|entry| entry.id);
        let options = ListOptions { prefix: folder.to_owned(), start_after, limit };
        let page = self.objects.list(options).await.map_err(JsonError::from)?;
        let mut next = page.objects.last().map(|object| object.key.clone()).filter(|_| page.is_truncated);
        let mut ids = Vec::new();
        for object in &page.objects {
            let Some(entry) = parse(&object.key) else { continue };
            let is_beyond = filter.started_after.is_some_and(|after| entry.started_at < after);
            if is_beyond || end.is_some_and(|end| object.key.as_str() > end) {
                next = None;
                break;
            }
            if filter.matches_entry(&entry) && last != Some(entry.id) {
                ids.push(entry.id);
                last = Some(entry.id);
            }
        }
        Ok(Step { ids, next })
    }

    async fn read_all(&self, ids: Vec<RunId>) -> Result<Vec<Run>> {
        let runs = stream::iter(ids).map(async |id| match self.get(&id).await {
            Ok(run) => Ok(Some(run)),
            Err(RunsError::NotFound) => Ok(None),
            Err(error) => Err(error),
        });
        runs.buffered(CONCURRENCY).try_filter_map(async |run| Ok(run)).try_collect().await
    }
}

/// Maximum number of long lists whose counts are cached; one of a million runs takes 100 KB.
const MAX_COUNTED_LISTS: u64 = 64;

/// Number of locks for counting long lists, by owner: concurrent requests share one count of a list.
const COUNTING_LOCKS: usize = 16;

/// A list of runs: its owner, and optionally an actor or task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct RunScope {
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
    pub lists: Cache<(RunScope, RunFilter), Arc<CountedList>>,
    locks: [tokio::sync::Mutex<()>; COUNTING_LOCKS],
}

/// A counted list of runs.
#[derive(Debug)]
pub struct CountedList {
    /// Time of the count, by the monotonic clock.
    pub counted_at: Duration,
    /// Marks in the order of their keys, at most a thousand entries apart.
    pub marks: Vec<ListPosition>,
    /// Number of runs that match.
    pub total: usize,
}

/// A position in a list.
#[derive(Debug, Clone)]
pub struct ListPosition {
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

impl RunScope {
    /// Returns the prefix of its keys.
    pub fn folder(&self) -> String {
        match &self.actor {
            None => layout::all_of(&self.owner),
            Some((kind, id)) => layout::actor_prefix(&self.owner, *kind, id),
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
