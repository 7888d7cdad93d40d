//! Lists of runs, and the last one: found by entries that begin with the newest.

use futures_util::{StreamExt, TryStreamExt, stream};

use crate::{
    kv::{ActorId, RunId, UserId},
    storage::{ListOptions, MAX_LIST_KEYS},
};

use super::{
    actor::ActorKind,
    error::{Result, RunsError},
    layout,
    registry::Runs,
    run::{Run, RunOrigin},
    status::RunStatus,
};

/// Runs that are read at the same time.
const CONCURRENCY: usize = 16;

/// The most entries that are listed for one request: older runs are not seen.
const MAX_ENTRIES: usize = 100_000;

/// The most documents that are read to find those that match: what is beyond is not looked at.
const MAX_READ: usize = 10_000;

/// Entries that are listed at once to find the last run: mostly the first is it.
const LAST_PAGE: usize = 20;

/// Whose runs, and which of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RunsOf {
    /// Whose.
    pub owner: UserId,
    /// Those of this actor or task alone.
    pub actor: Option<(ActorKind, ActorId)>,
}

/// Which runs match.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RunFilter {
    /// Any of these; of any if there is none.
    pub statuses: Vec<RunStatus>,
    /// Of this origin.
    pub origin: Option<RunOrigin>,
}

impl RunFilter {
    fn is_any(&self) -> bool {
        self.statuses.is_empty() && self.origin.is_none()
    }

    fn matches(&self, run: &Run) -> bool {
        (self.statuses.is_empty() || self.statuses.contains(&run.status))
            && self.origin.is_none_or(|origin| run.origin == origin)
    }
}

/// A page of runs.
#[derive(Debug)]
pub struct RunPage {
    /// The runs.
    pub runs: Vec<Run>,
    /// How many match.
    pub total: usize,
}

impl RunsOf {
    fn folder(&self) -> String {
        match &self.actor {
            None => layout::all_of(&self.owner),
            Some((kind, id)) => layout::of_actor(&self.owner, *kind, id),
        }
    }
}

impl Runs {
    /// The last run that matches.
    pub async fn last(&self, of: &RunsOf, filter: &RunFilter) -> Result<Run> {
        let (folder, mut start_after, mut read) = (of.folder(), None, 0);
        while read < MAX_READ {
            let page = self.entries(&folder, start_after, LAST_PAGE).await?;
            for id in &page.ids {
                match self.get(id).await {
                    Ok(run) if filter.matches(&run) => return Ok(run),
                    // One without a document is being made, or never was.
                    Ok(_) | Err(RunsError::NotFound) => read += 1,
                    Err(error) => return Err(error),
                }
            }
            start_after = page.next;
            if start_after.is_none() {
                break;
            }
        }
        Err(RunsError::NotFound)
    }

    /// A page of the runs that match, by the time of their making.
    pub async fn list(
        &self,
        of: &RunsOf,
        filter: &RunFilter,
        is_descending: bool,
        offset: usize,
        limit: usize,
    ) -> Result<RunPage> {
        let ids = self.ids(&of.folder()).await?;
        if filter.is_any() {
            let total = ids.len();
            let page = paged(ids, is_descending, offset, limit);
            return Ok(RunPage { runs: self.read_all(page).await?, total });
        }
        let mut runs = self.read_all(ids.into_iter().take(MAX_READ).collect()).await?;
        runs.retain(|run| filter.matches(run));
        let total = runs.len();
        Ok(RunPage { runs: paged(runs, is_descending, offset, limit), total })
    }

    /// All runs that have an entry, the newest first.
    async fn ids(&self, folder: &str) -> Result<Vec<RunId>> {
        let (mut ids, mut start_after) = (Vec::new(), None);
        while ids.len() < MAX_ENTRIES {
            let page = self.entries(folder, start_after, MAX_LIST_KEYS).await?;
            ids.extend(page.ids);
            start_after = page.next;
            if start_after.is_none() {
                break;
            }
        }
        Ok(ids)
    }

    async fn entries(&self, folder: &str, start_after: Option<String>, limit: usize) -> Result<Entries> {
        let options = ListOptions { prefix: folder.to_owned(), start_after, limit };
        let page = self.objects.list(options).await.map_err(crate::kv::JsonError::from)?;
        let keys = page.objects.iter().filter_map(|object| object.key.strip_prefix(folder));
        let ids = keys.filter_map(layout::parse_entry).collect();
        let last = page.objects.last().map(|object| object.key.clone());
        Ok(Entries { ids, next: last.filter(|_| page.is_truncated) })
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

/// A page of entries.
struct Entries {
    ids: Vec<RunId>,
    /// Where the next one begins, if there is one.
    next: Option<String>,
}

/// A part of what is in the order of newness.
fn paged<T>(newest_first: Vec<T>, is_descending: bool, offset: usize, limit: usize) -> Vec<T> {
    let all = newest_first.into_iter();
    if is_descending { all.skip(offset).take(limit).collect() } else { all.rev().skip(offset).take(limit).collect() }
}
