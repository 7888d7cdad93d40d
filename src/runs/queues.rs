//! Queues of runs: an item is an object whose key holds a time and a run. Nothing else of it is trusted.
//!
//! An item is written before the change it is for, and deleted after the work. A superfluous item is harmless, and
//! any number of gateways may process a queue concurrently.

use std::time::Duration;

use serde::de::DeserializeOwned;

use crate::{
    kv::{JsonError, Note, RunId, read_json, remove_json, write_note},
    storage::{self, ListOptions, MAX_LIST_KEYS, Precondition},
};

use super::{
    error::Result,
    layout::{Queue, QueueItem, millis},
    registry::Runs,
    timeouts::Moment,
};

/// Delay before a failed item is retried.
const POSTPONED_BY: Duration = Duration::from_mins(10);

/// Maximum distance from now of an item in a queue by uptime.
const LONGEST_AHEAD: Duration = Duration::from_hours(24);

impl Queue {
    /// Returns the time in milliseconds by the clock of this queue.
    fn clock(self, now: Moment) -> i64 {
        match self {
            Self::Due | Self::Removal => millis(now.uptime),
            Self::Finished => now.wall.as_millis(),
        }
    }
}

impl Runs {
    /// Returns the time by both clocks for queues: a wall clock in doubt advances nothing.
    fn scheduled(&self) -> Moment {
        Moment { wall: self.guard.scheduling_time(), uptime: self.guard.uptime() }
    }

    /// Returns at most [`MAX_LIST_KEYS`] due items of `queue`, earliest first. One list.
    pub async fn due(&self, queue: Queue) -> Result<Vec<QueueItem>> {
        let options = ListOptions { prefix: queue.prefix().to_owned(), start_after: None, limit: MAX_LIST_KEYS };
        let page = self.objects.list(options).await.map_err(JsonError::from)?;
        let now = queue.clock(self.scheduled());
        // An item beyond the maximum distance was written before the uptime was lost.
        let ahead = if queue == Queue::Finished { i64::MAX } else { now.saturating_add(millis(LONGEST_AHEAD)) };
        let items = page.objects.into_iter().filter_map(|object| queue.parse(&object.key));
        Ok(items.filter(|item| item.at <= now || item.at > ahead).collect())
    }

    /// Adds an item to `queue`, due at `at` milliseconds by its clock. Returns its key.
    pub(super) async fn enqueue<T: Note>(&self, queue: Queue, at: i64, id: &RunId, body: &T) -> Result<String> {
        let key = queue.key(at, id);
        write_note(self.objects.as_ref(), &key, body).await?;
        Ok(key)
    }

    /// Reads the content of an item; `None` if it is empty or gone.
    pub(super) async fn carried<T: DeserializeOwned>(&self, item: &QueueItem) -> Result<Option<T>> {
        Ok(read_json::<Option<T>>(self.objects.as_ref(), &item.key).await?.and_then(|(carried, _)| carried))
    }

    /// Deletes a handled item.
    pub async fn dequeue(&self, item: &QueueItem) -> Result<()> {
        Ok(remove_json(self.objects.as_ref(), &item.key).await?)
    }

    /// Moves a failed item, with its content, behind the others.
    pub async fn postpone(&self, queue: Queue, item: &QueueItem) -> Result<()> {
        let key = queue.key(queue.clock(self.scheduled()).saturating_add(millis(POSTPONED_BY)), &item.id);
        match self.objects.copy(&item.key, &key, Precondition::None).await {
            Ok(_) => self.dequeue(item).await,
            Err(storage::Error::NotFound) => Ok(()),
            Err(error) => Err(JsonError::from(error).into()),
        }
    }
}
