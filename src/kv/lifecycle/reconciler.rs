//! The reconciler of stores: deletes expired stores, purges deleted ones, relocates misplaced records, and completes or
//! undoes what a crash has left.
//!
//! It compares the state of each due store with the desired state, and makes one step towards it. Any number of gateways
//! may run it concurrently: each change of a store is a compare-and-swap of its document, and everything else is
//! idempotent. Stores are visited in batches, which share deletions of objects and of due items. A failed visit is
//! retried with exponential backoff, and delays no other.
//!
//! An expired store is deleted in two steps. The first visit that finds it expired schedules a second one after an hour
//! of uptime. Only a store that is expired then, too, gets a tombstone. So a single wrong clock reading destroys no
//! store.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use futures_util::{StreamExt, stream};
use parking_lot::Mutex;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    clock::{Clock, ClockGuard, Timestamp},
    kv::{
        listing::index::Index,
        model::{
            errors::{Error, Result},
            ids::StoreId,
        },
        persist::{
            object_keys::DueReason,
            repository::StoreRepository,
            store_metadata::{Document, Phase, StoreSnapshot},
        },
    },
};

use super::{
    deletion::{Deleter, PurgeList},
    due_queue::{DueItem, DueQueue, Queue},
    relocation::Relocator,
    state_machine::{self, LifecyclePolicy, MAX_REQUEST_DURATION, STALL_TIMEOUT},
};

/// Maximum number of concurrent visits.
const MAX_CONCURRENT_VISITS: usize = 24;

/// Number of stores whose objects are deleted together.
const BATCH_SIZE: usize = 256;

/// Maximum number of due-item lists per queue and run.
const MAX_PAGES: usize = 100;

/// Number of runs between checks for stranded items: about an hour.
const RUNS_BETWEEN_STRANDED_CHECKS: u64 = 240;

/// Timeout for the change that follows an intent: after that, the change never comes.
const INTENT_TIMEOUT: Duration = Duration::from_mins(5);

/// Minimum delay of a due item that is recorded in the document: earlier items are deleted when handled.
const MIN_RECORDED_DELAY: Duration = Duration::from_mins(10);

/// Interval between visits to a due store while the clock is in doubt.
const UNTRUSTED_CLOCK_INTERVAL: Duration = Duration::from_hours(1);

/// Reconciler of due stores.
#[derive(Debug)]
pub struct Reconciler {
    repository: Arc<StoreRepository>,
    due_queue: Arc<DueQueue>,
    deleter: Arc<Deleter>,
    relocator: Arc<Relocator>,
    index: Arc<Index>,
    policy: Arc<LifecyclePolicy>,
    clock: Arc<dyn Clock>,
    guard: Arc<ClockGuard>,
    confirmation: Duration,
    tasks: TaskTracker,
    stop: CancellationToken,
    expired: Arc<AtomicU64>,
    runs: AtomicU64,
    failures: Arc<Failures>,
}

/// Remaining work after a visit.
enum Next {
    /// Delete these objects; another visit is scheduled already, or nothing else of the store is left.
    Purge(PurgeList),
    /// Visit again at that time, if necessary.
    Revisit(Option<Timestamp>),
    /// Visit again soon: the intended change has not happened yet.
    Wait,
}

/// A visit to a store, with its due items.
struct Visit {
    items: Vec<DueItem>,
    /// `None` to keep the items.
    outcome: Result<Option<PurgeList>>,
}

impl Reconciler {
    /// Returns a reconciler of `due_queue`; it deletes an expired store when `confirmation` has passed since the
    /// store was first found expired.
    #[expect(clippy::too_many_arguments, reason = "each is a part of its own that the catalog shares out")]
    pub fn new(
        repository: Arc<StoreRepository>,
        due_queue: Arc<DueQueue>,
        deleter: Arc<Deleter>,
        relocator: Arc<Relocator>,
        index: Arc<Index>,
        policy: Arc<LifecyclePolicy>,
        clock: Arc<dyn Clock>,
        guard: Arc<ClockGuard>,
        confirmation: Duration,
    ) -> Self {
        let (tasks, stop, failures) = (TaskTracker::new(), CancellationToken::new(), Arc::new(Failures::default()));
        let expired = Arc::default();
        Self {
            repository,
            due_queue,
            deleter,
            relocator,
            index,
            policy,
            clock,
            guard,
            confirmation,
            tasks,
            stop,
            expired,
            runs: AtomicU64::new(0),
            failures,
        }
    }

    /// Handles the due items. Returns the number of stores visited. Failures are retried later. Returns the first
    /// error for which a due item could neither be handled nor rescheduled.
    pub async fn run(self: &Arc<Self>) -> Result<usize> {
        // The next run redoes what a stop leaves half done.
        self.stop.run_until_cancelled(self.reconcile_due()).await.unwrap_or(Ok(0))
    }

    async fn reconcile_due(self: &Arc<Self>) -> Result<usize> {
        let (mut handled, mut first_error) = (0, None);
        if self.runs.fetch_add(1, Ordering::Relaxed).is_multiple_of(RUNS_BETWEEN_STRANDED_CHECKS) {
            self.due_queue.reschedule_stranded(self.confirmation).await?;
        }
        for queue in [Queue::WallTime, Queue::Uptime] {
            let mut after = None;
            for _ in 0..MAX_PAGES {
                let page = self.due_queue.due(queue, after).await?;
                let mut stores = HashMap::<StoreId, Vec<DueItem>>::new();
                for item in page.items {
                    stores.entry(item.id).or_default().push(item);
                }
                let mut stores = stores.into_values();
                loop {
                    let batch: Vec<_> = stores.by_ref().take(BATCH_SIZE).collect();
                    if batch.is_empty() {
                        break;
                    }
                    match self.reconcile_batch(batch).await {
                        Ok(done) => handled += done,
                        Err(error) => first_error = first_error.or(Some(error)),
                    }
                }
                after = page.next;
                if after.is_none() {
                    break;
                }
            }
        }
        self.failures.prune(self.clock.now());
        self.index.prune(self.guard.allows_deletion());
        first_error.map_or(Ok(handled), Err)
    }

    /// Visits stores, deletes what they leave behind, and removes their due items. Returns the number of stores.
    async fn reconcile_batch(self: &Arc<Self>, batch: Vec<Vec<DueItem>>) -> Result<usize> {
        let mut visits: Vec<Visit> =
            stream::iter(batch).map(|items| self.visit(items)).buffer_unordered(MAX_CONCURRENT_VISITS).collect().await;
        let purged_together = visits.iter().filter_map(|visit| visit.outcome.as_ref().ok()?.as_ref());
        let keys = purged_together.clone().flat_map(|purge_list| purge_list.keys.iter().cloned()).collect();
        let documents = purged_together.filter_map(|purge_list| purge_list.document.clone()).collect();
        let purged = match self.deleter.delete_objects(keys).await {
            Ok(()) => self.deleter.delete_objects(documents).await,
            failed => failed,
        };
        if purged.is_err() {
            // A failed deletion affects no other store.
            for visit in &mut visits {
                self.purge_alone(visit).await;
            }
        }
        let (mut done, mut handled_items, mut first_error) = (0, Vec::new(), None);
        for Visit { items, outcome } in visits {
            match outcome {
                Ok(None) => {}
                Ok(Some(_)) => {
                    self.failures.clear(items.first().map(|item| item.id));
                    done += 1;
                    handled_items.extend(items);
                }
                Err(error) => match self.schedule_retry(&items, &error).await {
                    Ok(()) => handled_items.extend(items),
                    Err(_) => first_error = first_error.or(Some(error)),
                },
            }
        }
        self.due_queue.ack(handled_items).await?;
        first_error.map_or(Ok(done), Err)
    }

    async fn purge_alone(&self, visit: &mut Visit) {
        let Ok(Some(purge_list)) = &visit.outcome else { return };
        let purged = async {
            self.deleter.delete_objects(purge_list.keys.clone()).await?;
            self.deleter.delete_objects(purge_list.document.iter().cloned().collect()).await
        };
        if let Err(error) = purged.await {
            visit.outcome = Err(error);
        }
    }

    /// Schedules the next attempt after a failed visit.
    async fn schedule_retry(&self, items: &[DueItem], error: &Error) -> Result<()> {
        let strongest = items.iter().max_by_key(|item| (item.reason, item.attempts));
        let Some(failed) = strongest else { return Ok(()) };
        self.due_queue.schedule_retry(failed).await?;
        if self.failures.record(failed.id, failed.at, self.clock.now()) {
            let error = error as &dyn std::error::Error;
            tracing::warn!(store = %failed.id, error, "due item failed; retrying with backoff");
        }
        Ok(())
    }

    /// Starts the relocation of a store in the background, if it needs one.
    pub fn relocate_if_needed(self: &Arc<Self>, snapshot: &StoreSnapshot) {
        if matches!(snapshot.document.phase, Phase::Active)
            && self.policy.required_relocation(&snapshot.document, self.repository.expiry_base()).is_some()
        {
            self.relocate(snapshot.document.id);
        }
    }

    /// Waits for the relocations started here.
    pub async fn wait_for_relocations(&self) {
        self.tasks.close();
        self.tasks.wait().await;
        self.tasks.reopen();
    }

    /// Returns the number of expired stores deleted here.
    pub fn expired(&self) -> &Arc<AtomicU64> {
        &self.expired
    }

    /// Returns the stores whose due items fail here.
    pub fn failures(&self) -> &Arc<Failures> {
        &self.failures
    }

    /// Leaves everything to other gateways, including work started here.
    pub fn stop(&self) {
        self.stop.cancel();
    }

    /// Visits a store whose items are due, and schedules the next visit.
    async fn visit(self: &Arc<Self>, items: Vec<DueItem>) -> Visit {
        let outcome = match self.reconcile(&items).await {
            Ok(Next::Wait) => Ok(None),
            Ok(Next::Purge(purge_list)) => Ok(Some(purge_list)),
            Ok(Next::Revisit(None)) => Ok(Some(PurgeList::default())),
            Ok(Next::Revisit(Some(at))) => self.schedule_visit(&items, at).await.map(|()| Some(PurgeList::default())),
            Err(error) => Err(error),
        };
        Visit { items, outcome }
    }

    /// Schedules a visit and records it in the document, so the item is deleted with the store.
    async fn schedule_visit(&self, items: &[DueItem], at: Timestamp) -> Result<()> {
        let Some(id) = items.first().map(|item| item.id) else { return Ok(()) };
        self.due_queue.schedule(id, at).await?;
        if at.since(self.clock.now()) < MIN_RECORDED_DELAY {
            return Ok(());
        }
        let note = |document: &mut Document| {
            let is_news = document.exists() && document.due_at != Some(at);
            document.due_at = Some(at);
            Ok(is_news)
        };
        match self.repository.update(id, note).await {
            Ok(_) | Err(Error::StoreNotFound) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Reconciles a store.
    async fn reconcile(self: &Arc<Self>, items: &[DueItem]) -> Result<Next> {
        let is_about = |reason| items.iter().any(|item| item.reason == reason);
        let (Some(last), now) = (items.last(), self.clock.now()) else { return Ok(Next::Revisit(None)) };
        let id = last.id;
        if items.iter().all(|item| item.reason == DueReason::Expired) && !self.guard.allows_deletion() {
            return Ok(Next::Wait);
        }
        let Some(snapshot) = self.repository.read(id).await? else {
            return self.reconcile_absent(items).await;
        };
        match &snapshot.document.phase {
            Phase::Deleted { uptime_millis, locations, .. } => {
                return self.deleter.purge(&snapshot.document, *uptime_millis, locations).await.map(Next::Purge);
            }
            Phase::Creating
                if now.since(snapshot.document.created_at) >= MAX_REQUEST_DURATION && self.guard.allows_deletion() =>
            {
                return self.deleter.tombstone(snapshot).await.map(|()| Next::Revisit(None));
            }
            Phase::Creating | Phase::Active | Phase::Copying(_) | Phase::Frozen(_) | Phase::CuttingOver(_) => {}
        }
        // An intent for a new store is fulfilled when that store exists.
        let may_follow = |item: &DueItem| item.creation.is_none() || !snapshot.document.exists();
        let is_pending_intent = |item: &DueItem| {
            item.reason == DueReason::Intent && may_follow(item) && now.since(item.at) < INTENT_TIMEOUT
        };
        let is_early = items.iter().any(is_pending_intent);
        let snapshot = self.deleter.delete_stale_locations(snapshot).await?;
        let snapshot = self.deleter.release_former_names(snapshot).await?;
        let snapshot = if is_early || !self.guard.allows_deletion() {
            snapshot
        } else {
            self.deleter.abandon_rename(snapshot, now).await?
        };
        if self.is_sweep_due(&snapshot, now) {
            let is_confirmed = is_about(DueReason::Expired) || !self.policy.toggles.confirms_expiry;
            return self.reconcile_expired(snapshot, is_confirmed).await;
        }
        // The last index entry may be missing after an intended change, or after an extended expiry.
        if !is_early && (is_about(DueReason::Scheduled) || is_about(DueReason::Intent)) {
            self.repository.republish_entry(&snapshot.document).await?;
        }
        let now = self.repository.expiry_base();
        match self.policy.next_visit(&snapshot.document, now) {
            Some(at) if at <= now => {
                if self.policy.is_relocation_overdue(&snapshot.document, now) {
                    tracing::error!(store = %id, "relocation overdue: a lifecycle rule may delete records of a live store");
                }
                self.relocate(id);
                let next = Next::Revisit(Some(self.guard.scheduling_time().plus(STALL_TIMEOUT)));
                Ok(if is_early { Next::Wait } else { next })
            }
            _ if is_early => Ok(Next::Wait),
            // Dates are in doubt: record nothing that a corrected clock would have to revert.
            _ if !self.guard.allows_deletion() => {
                Ok(Next::Revisit(Some(self.guard.scheduling_time().plus(UNTRUSTED_CLOCK_INTERVAL))))
            }
            at => Ok(Next::Revisit(at)),
        }
    }

    /// Handles a due item without a document. The item precedes the document of a new store: wait for the document,
    /// and if it does not come, delete what was written for it.
    async fn reconcile_absent(&self, items: &[DueItem]) -> Result<Next> {
        let is_first = |item: &DueItem| matches!(item.reason, DueReason::Scheduled | DueReason::Intent);
        let Some(now) = self.guard.deletion_time() else { return Ok(Next::Wait) };
        let may_follow = |item: &DueItem| is_first(item) && now.since(item.at) < MAX_REQUEST_DURATION;
        if items.iter().any(may_follow) {
            return Ok(Next::Wait);
        }
        let mut purge_list = PurgeList::default();
        for item in items {
            if let Some((owner, created_at)) = item.creation {
                purge_list.keys.extend(self.deleter.orphaned_index_entries(&owner, created_at, &item.id).await?);
            }
        }
        Ok(Next::Purge(purge_list))
    }

    /// Records that a store was found expired, or deletes it if that is confirmed.
    async fn reconcile_expired(&self, snapshot: Arc<StoreSnapshot>, is_confirmed: bool) -> Result<Next> {
        if !is_confirmed {
            self.due_queue.schedule_after(snapshot.document.id, DueReason::Expired, self.confirmation).await?;
            return Ok(Next::Revisit(None));
        }
        let Some(now) = self.guard.deletion_time() else { return Ok(Next::Wait) };
        let deleted = self.deleter.tombstone_expired(snapshot, now).await?;
        let Phase::Deleted { uptime_millis, locations, .. } = &deleted.document.phase else {
            return Ok(Next::Revisit(self.policy.next_visit(&deleted.document, self.clock.now())));
        };
        self.expired.fetch_add(1, Ordering::Relaxed);
        self.deleter.list_purgeable(&deleted.document, *uptime_millis, locations).await.map(Next::Purge)
    }

    fn is_sweep_due(&self, snapshot: &StoreSnapshot, now: Timestamp) -> bool {
        let is_sweep_due = state_machine::sweep_time(&snapshot.document).is_some_and(|at| at <= now);
        snapshot.document.exists() && (is_sweep_due || !self.policy.toggles.sweeps_by_document)
    }

    fn relocate(self: &Arc<Self>, id: StoreId) {
        let reconciler = Arc::clone(self);
        self.tasks.spawn(async move {
            match reconciler.stop.run_until_cancelled(reconciler.relocator.run(id)).await {
                None | Some(Ok(()) | Err(Error::StoreNotFound)) => {}
                Some(Err(error)) => {
                    let error = &error as &dyn std::error::Error;
                    tracing::warn!(store = %id, error, "relocation stopped; the reconciler retries it");
                }
            }
        });
    }
}

/// Maximum number of failing stores that are tracked.
const MAX_TRACKED_STORES: usize = 10_000;

/// Time for which a failure counts after it last occurred: twice the maximum retry delay, since another gateway may
/// have succeeded.
const FAILURE_LIFETIME: Duration = Duration::from_hours(48);

/// Stores whose due items have failed on this gateway.
#[derive(Debug, Default)]
pub struct Failures {
    /// For each store: when the item was first due, and when it failed last.
    failing: Mutex<HashMap<StoreId, (Timestamp, Timestamp)>>,
}

impl Failures {
    /// Returns the number of failing stores.
    pub fn count(&self) -> usize {
        self.failing.lock().len()
    }

    /// Returns the time for which the oldest failing item has been due at `now`; zero if there is none.
    pub fn oldest_age(&self, now: Timestamp) -> Duration {
        self.failing.lock().values().map(|(due, _)| now.since(*due)).max().unwrap_or_default()
    }

    /// Records a failure of an item due at `due`. Returns whether it is the store's first.
    pub(super) fn record(&self, id: StoreId, due: Timestamp, now: Timestamp) -> bool {
        let mut failing = self.failing.lock();
        let known = failing.get(&id).copied();
        if known.is_some() || failing.len() < MAX_TRACKED_STORES {
            let due = known.map_or(due, |(first, _)| first.min(due));
            failing.insert(id, (due, now));
        }
        known.is_none()
    }

    /// Records that the store's item succeeded.
    pub(super) fn clear(&self, id: Option<StoreId>) {
        if let Some(id) = id {
            self.failing.lock().remove(&id);
        }
    }

    /// Drops failures so old that another gateway must have taken them over.
    pub(super) fn prune(&self, now: Timestamp) {
        let mut failing = self.failing.lock();
        failing.retain(|_, (_, failed)| now.since(*failed) < FAILURE_LIFETIME);
        if failing.is_empty() {
            failing.shrink_to_fit();
        }
    }
}
