//! Durable due queue of stores: a delay queue with write-ahead intent.
//!
//! A due item is an object whose key holds the due time, the store id and a reason. It only asks the reconciler to visit
//! the store: the store document is authoritative. So a superfluous, early or repeated item is harmless.
//!
//! 1. Schedule. The item is written before the change that makes it necessary.
//! 2. Change. The store document is created or replaced by compare-and-swap: the commit point.
//! 3. Visit. The reconciler of any gateway lists the items that are due, and reconciles their stores.
//! 4. Acknowledge ([`DueQueue::ack`]). The item is deleted after the visit has succeeded, including its next item, or
//!    after a retry has been scheduled.
//!
//! *Conflict.* Two gateways may visit a store at the same time. Their changes are compare-and-swaps of its document, and
//! everything else in a visit is idempotent. A second deletion of an item has no effect.
//!
//! *Crash.* After step 1 there is an intent without its change. The reconciler keeps it until the change can no longer
//! come, and then acknowledges it. After step 2 or 3 the item is still there, and the visit happens or is repeated. So no
//! crash leaves a store that the reconciler never visits again.
//!
//! There are two queues. The first is ordered by wall time and holds what is due by the dates in documents. The second is
//! ordered by the uptime of the installation ([`ClockGuard::uptime`]), which no change of the wall clock moves. It holds
//! confirmations of expiry, final purges of deleted stores, and retries of failed items.

use std::{sync::Arc, time::Duration};

use crate::{
    clock::{Clock, ClockGuard, Random, Timestamp},
    kv::{
        model::{
            errors::Result,
            ids::{StoreId, UserId},
        },
        persist::{
            object_keys::{self, DueKey, DueReason},
            repository::put_metadata,
        },
    },
    storage::{ListOptions, MAX_DELETE_KEYS, MAX_LIST_KEYS, ObjectStore, Precondition},
};

/// Delay before the first retry of a failed item; each further retry doubles it.
const MIN_RETRY_DELAY: Duration = Duration::from_secs(15);

/// Maximum delay before a retry.
const MAX_RETRY_DELAY: Duration = Duration::from_hours(24);

/// Margin on top of the maximum delay: an item farther ahead was scheduled by an uptime that has since been lost.
const LOST_UPTIME_MARGIN: Duration = Duration::from_hours(2);

/// Mark of scheduled items: a store has one per time.
const SCHEDULED_MARK: u32 = 0;

/// One of the two queues.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Queue {
    /// Ordered by wall time.
    WallTime,
    /// Ordered by the uptime of the installation.
    Uptime,
}

/// A due item.
#[derive(Debug, Clone)]
pub struct DueItem {
    /// The key of its object.
    key: String,
    /// Wall time at which it was first due.
    pub at: Timestamp,
    /// The store.
    pub id: StoreId,
    /// The reason it was scheduled for.
    pub reason: DueReason,
    /// Number of failed attempts so far.
    pub attempts: u32,
    /// Owner and creation time, for a store that is being created.
    pub creation: Option<(UserId, Timestamp)>,
}

/// A page of the due items of a queue.
#[derive(Debug, Default)]
pub struct DuePage {
    /// The due items, earliest first.
    pub items: Vec<DueItem>,
    /// The key after which the next page starts, if more items may be due.
    pub next: Option<String>,
}

/// The due queues of all stores.
#[derive(Debug)]
pub struct DueQueue {
    objects: Arc<dyn ObjectStore>,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
    guard: Arc<ClockGuard>,
}

impl DueQueue {
    /// Returns the due queues in `objects`.
    pub fn new(
        objects: Arc<dyn ObjectStore>,
        clock: Arc<dyn Clock>,
        random: Arc<dyn Random>,
        guard: Arc<ClockGuard>,
    ) -> Self {
        Self { objects, clock, random, guard }
    }

    /// Schedules a visit to a store at the given time. A second item for the same time is the same object.
    pub async fn schedule(&self, id: StoreId, at: Timestamp) -> Result<()> {
        self.write(at, id, DueReason::Scheduled, None, Some(SCHEDULED_MARK)).await
    }

    /// Schedules the first visit to an unnamed store that is about to be created.
    pub async fn schedule_first(&self, id: StoreId, at: Timestamp, creation: (UserId, Timestamp)) -> Result<()> {
        self.write(at, id, DueReason::Scheduled, Some(creation), Some(SCHEDULED_MARK)).await
    }

    /// Schedules a visit to a store that is about to change, as write-ahead intent.
    pub async fn schedule_intent(&self, id: StoreId) -> Result<()> {
        self.write(self.clock.now(), id, DueReason::Intent, None, None).await
    }

    /// Schedules a visit to a store that is about to be created with a name, as write-ahead intent.
    pub async fn schedule_intent_for_new(&self, id: StoreId, creation: (UserId, Timestamp)) -> Result<()> {
        self.write(self.clock.now(), id, DueReason::Intent, Some(creation), None).await
    }

    /// Schedules a visit to a store after the given uptime.
    pub async fn schedule_after(&self, id: StoreId, reason: DueReason, delay: Duration) -> Result<()> {
        self.write_uptime(id, reason, delay, 0, self.clock.now()).await
    }

    /// Schedules the next attempt of a failed visit, with exponential backoff of at most a day.
    pub async fn schedule_retry(&self, failed: &DueItem) -> Result<()> {
        let delay = MIN_RETRY_DELAY.saturating_mul(2_u32.saturating_pow(failed.attempts)).min(MAX_RETRY_DELAY);
        self.write_uptime(failed.id, failed.reason, delay, failed.attempts + 1, failed.at).await
    }

    async fn write(
        &self,
        at: Timestamp,
        id: StoreId,
        reason: DueReason,
        creation: Option<(UserId, Timestamp)>,
        mark: Option<u32>,
    ) -> Result<()> {
        let mark = mark.unwrap_or_else(|| self.mark());
        self.put(&object_keys::due_item(&DueKey { at, id, reason, mark, creation })).await
    }

    async fn write_uptime(
        &self,
        id: StoreId,
        reason: DueReason,
        delay: Duration,
        attempts: u32,
        since: Timestamp,
    ) -> Result<()> {
        let at = Timestamp::from_millis(0).plus(self.guard.uptime() + delay);
        let entry = DueKey { at, id, reason, mark: self.mark(), creation: None };
        self.put(&object_keys::uptime_due_item(&entry, attempts, since)).await
    }

    fn mark(&self) -> u32 {
        let mut mark = [0; 4];
        self.random.fill(&mut mark);
        u32::from_be_bytes(mark)
    }

    async fn put(&self, key: &str) -> Result<()> {
        put_metadata(self.objects.as_ref(), key, Vec::new(), Precondition::None).await?;
        Ok(())
    }

    /// Returns a page of at most [`MAX_LIST_KEYS`] due items after the key `after`. One list.
    pub async fn due(&self, queue: Queue, after: Option<String>) -> Result<DuePage> {
        let (prefix, now) = match queue {
            Queue::WallTime => (object_keys::due_items(), self.guard.scheduling_time()),
            Queue::Uptime => (object_keys::uptime_due_items(), Timestamp::from_millis(0).plus(self.guard.uptime())),
        };
        let options = ListOptions { prefix, start_after: after, limit: MAX_LIST_KEYS };
        let page = self.objects.list(options).await?;
        let mut due = DuePage::default();
        for object in page.objects {
            due.next = page.is_truncated.then(|| object.key.clone());
            let parsed = match queue {
                Queue::WallTime => object_keys::parse_due_item(&object.key).map(|entry| (entry, 0, entry.at)),
                Queue::Uptime => object_keys::parse_uptime_due_item(&object.key),
            };
            let Some((entry, attempts, since)) = parsed else { continue };
            if entry.at > now {
                due.next = None;
                break;
            }
            let DueKey { id, reason, creation, .. } = entry;
            due.items.push(DueItem { key: object.key, at: since, id, reason, attempts, creation });
        }
        Ok(due)
    }

    /// Reschedules items of the uptime queue to `delay` from now if they lie so far ahead that only a lost uptime can
    /// have scheduled them. One list, at most [`MAX_LIST_KEYS`] items.
    pub async fn reschedule_stranded(&self, delay: Duration) -> Result<()> {
        let start = object_keys::uptime_due_items_from(self.guard.uptime() + MAX_RETRY_DELAY + LOST_UPTIME_MARGIN);
        let options =
            ListOptions { prefix: object_keys::uptime_due_items(), start_after: Some(start), limit: MAX_LIST_KEYS };
        let page = self.objects.list(options).await?;
        let mut stranded = Vec::new();
        for key in page.objects.into_iter().map(|object| object.key) {
            if let Some((entry, attempts, since)) = object_keys::parse_uptime_due_item(&key) {
                self.write_uptime(entry.id, entry.reason, delay, attempts, since).await?;
            }
            stranded.push(key);
        }
        if stranded.is_empty() { Ok(()) } else { Ok(self.objects.delete_many(stranded).await?) }
    }

    /// Acknowledges items that have been handled: deletes them.
    pub async fn ack(&self, handled: Vec<DueItem>) -> Result<()> {
        let mut keys: Vec<_> = handled.into_iter().map(|item| item.key).collect();
        while !keys.is_empty() {
            let rest = keys.split_off(keys.len().min(MAX_DELETE_KEYS));
            self.objects.delete_many(std::mem::replace(&mut keys, rest)).await?;
        }
        Ok(())
    }
}
