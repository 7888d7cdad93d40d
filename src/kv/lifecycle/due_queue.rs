//! Durable due queue of stores: when the reconciler must look at a store.
//!
//! A due item is an object whose key holds the time and the store id. The store document alone says what is to be
//! done. The item is written before the document that gives the reason for it, so no crash leaves a store that the
//! reconciler never visits again. A superfluous item is harmless.
//!
//! There are two queues. The first is ordered by wall time and holds what is due by the dates in documents. The
//! second is ordered by the uptime of the installation ([`ClockGuard::uptime`]), which no change of the wall clock
//! moves: confirmations of expiry, the last pass over deleted stores, and retries of failed items.

use std::{sync::Arc, time::Duration};

use crate::{
    clock::{Clock, ClockGuard, Random, Timestamp},
    kv::{
        model::{
            errors::Result,
            ids::{StoreId, UserId},
        },
        persist::{
            object_keys::{self, DueEntry, DueReason},
            repository::put_control,
        },
    },
    storage::{ListOptions, MAX_DELETE_KEYS, MAX_LIST_KEYS, ObjectStore, Precondition},
};

/// Delay before the first retry of a failed item; each further retry doubles it.
const FIRST_RETRY: Duration = Duration::from_secs(15);

/// Maximum delay before a retry.
const LONGEST_RETRY: Duration = Duration::from_hours(24);

/// Margin on top of the maximum delay: an item farther ahead was scheduled by an uptime that has since been lost.
const FARTHEST_MARGIN: Duration = Duration::from_hours(2);

/// Mark of reminders: a store has one reminder per time.
const REMINDER_MARK: u32 = 0;

/// One of the two queues.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Queue {
    /// Ordered by wall time.
    Time,
    /// Ordered by the uptime of the installation.
    Uptime,
}

/// A due item.
#[derive(Debug, Clone)]
pub struct Appointment {
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
    pub birth: Option<(UserId, Timestamp)>,
}

/// A page of the due items of a queue.
#[derive(Debug, Default)]
pub struct DuePage {
    /// The due items, earliest first.
    pub items: Vec<Appointment>,
    /// The key after which the next page starts, if more items may be due.
    pub next: Option<String>,
}

/// The due queues of all stores.
#[derive(Debug)]
pub struct Appointments {
    objects: Arc<dyn ObjectStore>,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
    guard: Arc<ClockGuard>,
}

impl Appointments {
    /// Returns the due queues in `objects`.
    pub fn new(
        objects: Arc<dyn ObjectStore>,
        clock: Arc<dyn Clock>,
        random: Arc<dyn Random>,
        guard: Arc<ClockGuard>,
    ) -> Self {
        Self { objects, clock, random, guard }
    }

    /// Schedules a visit to a store at the given time. A second reminder for the same time is the same object.
    pub async fn make(&self, id: StoreId, at: Timestamp) -> Result<()> {
        self.write(at, id, DueReason::Reminder, None, Some(REMINDER_MARK)).await
    }

    /// Schedules the first visit to an unnamed store that is about to be created.
    pub async fn make_for_new(&self, id: StoreId, at: Timestamp, birth: (UserId, Timestamp)) -> Result<()> {
        self.write(at, id, DueReason::Reminder, Some(birth), Some(REMINDER_MARK)).await
    }

    /// Schedules a visit to a store that is about to change, as write-ahead intent.
    pub async fn announce(&self, id: StoreId) -> Result<()> {
        self.write(self.clock.now(), id, DueReason::Announcement, None, None).await
    }

    /// Does the same for a store that is about to be created with a name.
    pub async fn announce_new(&self, id: StoreId, birth: (UserId, Timestamp)) -> Result<()> {
        self.write(self.clock.now(), id, DueReason::Announcement, Some(birth), None).await
    }

    /// Schedules a visit to a store after the given uptime.
    pub async fn make_after(&self, id: StoreId, reason: DueReason, delay: Duration) -> Result<()> {
        self.write_uptime(id, reason, delay, 0, self.clock.now()).await
    }

    /// Schedules the next attempt of a failed visit, with exponential backoff of at most a day.
    pub async fn make_retry(&self, failed: &Appointment) -> Result<()> {
        let delay = FIRST_RETRY.saturating_mul(2_u32.saturating_pow(failed.attempts)).min(LONGEST_RETRY);
        self.write_uptime(failed.id, failed.reason, delay, failed.attempts + 1, failed.at).await
    }

    async fn write(
        &self,
        at: Timestamp,
        id: StoreId,
        reason: DueReason,
        birth: Option<(UserId, Timestamp)>,
        mark: Option<u32>,
    ) -> Result<()> {
        let mark = mark.unwrap_or_else(|| self.mark());
        self.put(&object_keys::appointment(&DueEntry { at, id, reason, mark, birth })).await
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
        let entry = DueEntry { at, id, reason, mark: self.mark(), birth: None };
        self.put(&object_keys::uptime_appointment(&entry, attempts, since)).await
    }

    fn mark(&self) -> u32 {
        let mut mark = [0; 4];
        self.random.fill(&mut mark);
        u32::from_be_bytes(mark)
    }

    async fn put(&self, key: &str) -> Result<()> {
        put_control(self.objects.as_ref(), key, Vec::new(), Precondition::None).await?;
        Ok(())
    }

    /// Returns a page of at most [`MAX_LIST_KEYS`] due items after the key `after`. One list.
    pub async fn due(&self, queue: Queue, after: Option<String>) -> Result<DuePage> {
        let (prefix, now) = match queue {
            Queue::Time => (object_keys::appointments(), self.guard.scheduling_time()),
            Queue::Uptime => (object_keys::uptime_appointments(), Timestamp::from_millis(0).plus(self.guard.uptime())),
        };
        let options = ListOptions { prefix, start_after: after, limit: MAX_LIST_KEYS };
        let page = self.objects.list(options).await?;
        let mut due = DuePage::default();
        for object in page.objects {
            due.next = page.is_truncated.then(|| object.key.clone());
            let parsed = match queue {
                Queue::Time => object_keys::parse_appointment(&object.key).map(|entry| (entry, 0, entry.at)),
                Queue::Uptime => object_keys::parse_uptime_appointment(&object.key),
            };
            let Some((entry, attempts, since)) = parsed else { continue };
            if entry.at > now {
                due.next = None;
                break;
            }
            let DueEntry { id, reason, birth, .. } = entry;
            due.items.push(Appointment { key: object.key, at: since, id, reason, attempts, birth });
        }
        Ok(due)
    }

    /// Reschedules items of the uptime queue to `delay` from now if they lie so far ahead that only a lost uptime can
    /// have scheduled them. One list, at most [`MAX_LIST_KEYS`] items.
    pub async fn reschedule_stranded(&self, delay: Duration) -> Result<()> {
        let start = object_keys::uptime_appointments_from(self.guard.uptime() + LONGEST_RETRY + FARTHEST_MARGIN);
        let options =
            ListOptions { prefix: object_keys::uptime_appointments(), start_after: Some(start), limit: MAX_LIST_KEYS };
        let page = self.objects.list(options).await?;
        let mut stranded = Vec::new();
        for key in page.objects.into_iter().map(|object| object.key) {
            if let Some((entry, attempts, since)) = object_keys::parse_uptime_appointment(&key) {
                self.write_uptime(entry.id, entry.reason, delay, attempts, since).await?;
            }
            stranded.push(key);
        }
        if stranded.is_empty() { Ok(()) } else { Ok(self.objects.delete_many(stranded).await?) }
    }

    /// Removes items that have been handled.
    pub async fn forget(&self, kept: Vec<Appointment>) -> Result<()> {
        let mut keys: Vec<_> = kept.into_iter().map(|appointment| appointment.key).collect();
        while !keys.is_empty() {
            let rest = keys.split_off(keys.len().min(MAX_DELETE_KEYS));
            self.objects.delete_many(std::mem::replace(&mut keys, rest)).await?;
        }
        Ok(())
    }
}
