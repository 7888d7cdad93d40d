//! Runs relocations: pre-copy, freeze, final sync, cutover, finish. The [`state_machine`] has the steps and the reasons.
//!
//! Any number of gateways may work on one store. Only the gateway whose attempt is in the document makes progress: each
//! of its steps, and each heartbeat, is a compare-and-swap that requires this attempt. A gateway runs a store once at a
//! time.
//!
//! # Copies
//!
//! A [`Copier`] copies the records of a store from one location to another, for one attempt of a relocation.
//!
//! 1. Pre-copy, while writes continue: each pass ([`Copier::copy_page`]) lists the source, and copies the records whose
//!    current version has not been copied.
//! 2. Final sync, while writes are frozen: one more pass, and then a reconciliation of the target
//!    ([`Copier::reconcile_page`]). It deletes copies without an original, and copies again what is not known to match.
//!
//! Nothing here commits: the commit point is the cutover in the store document. A copy is idempotent, and the last writer
//! of a key wins.
//!
//! *Conflict.* If a record is deleted between the list and its copy, its earlier copy is deleted, too.
//!
//! *In doubt.* A copy whose response was lost may take effect late, over a newer copy. Until [`Copier::in_doubt_until`]
//! the relocator does not freeze writes. If the final sync leaves a copy in doubt, the attempt fails.
//!
//! *Crash.* The target is a partial generation that no gateway reads. The gateway that takes over begins a new attempt
//! with an empty generation, and the reconciler deletes the partial one as a stale location.
//!
//! The copier keeps a fingerprint of the ETag and date of each record. It copies a record again if either differs, or if
//! the record was hardly older than its copy: some vendors store dates in whole seconds, and two writes of the same bytes
//! have the same ETag.
//!
//! ```text
//! client  PUT k = x, text/plain    copy k           PUT k = x, text/html    the pass lists k: same ETag, same second
//! ```

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use futures_util::{StreamExt, TryStreamExt, stream};
use parking_lot::Mutex;
use tokio::sync::Semaphore;
use xxhash_rust::xxh3::{xxh3_64, xxh3_128};

use crate::{
    clock::Clock,
    kv::{
        model::{
            errors::{Error, Result},
            ids::StoreId,
            retention::LifecycleClass,
        },
        persist::{
            cache::RELOCATION_STALENESS,
            object_keys,
            repository::StoreRepository,
            store_metadata::{Document, Location, Phase, Relocation, StoreSnapshot},
        },
    },
    storage::{self, ETag, ListOptions, ListedObject, MAX_DELETE_KEYS, MAX_LIST_KEYS, ObjectStore, Precondition},
};

use super::state_machine::{self, LifecyclePolicy, STALL_TIMEOUT};

/// Maximum number of relocations that one gateway runs concurrently.
const MAX_CONCURRENT_RELOCATIONS: usize = 4;

/// Maximum number of consecutive attempts, if each fails.
const MAX_CONSECUTIVE_ATTEMPTS: usize = 4;

/// Maximum number of passes before writes are frozen, whatever has changed meanwhile.
const MAX_COPY_PASSES: usize = 10;

/// Duration of a pass from which the rest is short enough to freeze writes for.
const SHORT_PASS_DURATION: Duration = Duration::from_secs(2);

/// Interval between heartbeats of a relocation.
const HEARTBEAT_INTERVAL: Duration = Duration::from_secs(10);

/// Margin on top of the staleness bound: clocks of two machines drift.
const CLOCK_DRIFT_MARGIN: Duration = Duration::from_millis(100);

/// Runner of relocations.
#[derive(Debug)]
pub struct Relocator {
    objects: Arc<dyn ObjectStore>,
    repository: Arc<StoreRepository>,
    policy: Arc<LifecyclePolicy>,
    clock: Arc<dyn Clock>,
    running: Mutex<HashSet<StoreId>>,
    permits: Semaphore,
}

/// A running relocation.
struct RelocationRun<'a> {
    relocator: &'a Relocator,
    id: StoreId,
    attempt: u64,
    copier: Copier,
    /// Time at which the attempt was surely in the document, by the monotonic clock.
    began: Duration,
    last_heartbeat: Duration,
}

impl Relocator {
    /// Returns a relocator for the stores in `objects`.
    pub fn new(
        objects: Arc<dyn ObjectStore>,
        repository: Arc<StoreRepository>,
        policy: Arc<LifecyclePolicy>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self {
            objects,
            repository,
            policy,
            clock,
            running: Mutex::default(),
            permits: Semaphore::new(MAX_CONCURRENT_RELOCATIONS),
        }
    }

    /// Relocates a store that needs it, unless another gateway is doing so. Takes over stalled relocations.
    pub async fn run(&self, id: StoreId) -> Result<()> {
        if !self.running.lock().insert(id) {
            return Ok(());
        }
        let _guard = RunGuard { relocator: self, id };
        let _permit = self.permits.acquire().await.map_err(Error::unavailable)?;
        let Some(snapshot) = self.repository.read(id).await? else { return Ok(()) };
        let now = self.clock.now();
        match &snapshot.document.phase {
            Phase::Active => self.attempt(snapshot).await,
            Phase::Copying(relocation) | Phase::Frozen(relocation)
                if now.since(relocation.heartbeat_at) >= STALL_TIMEOUT =>
            {
                self.attempt(snapshot).await
            }
            Phase::CuttingOver(relocation) if now.since(relocation.heartbeat_at) >= STALL_TIMEOUT => {
                self.finish(id, relocation.attempt).await
            }
            Phase::Creating | Phase::Copying(_) | Phase::Frozen(_) | Phase::CuttingOver(_) | Phase::Deleted { .. } => {
                Ok(())
            }
        }
    }

    /// Runs attempts of its own. A failed one is followed by the next at once, since it may have left writes frozen.
    async fn attempt(&self, mut snapshot: Arc<StoreSnapshot>) -> Result<()> {
        let id = snapshot.document.id;
        for _ in 0..MAX_CONSECUTIVE_ATTEMPTS {
            let mut attempt = None;
            match self.attempt_once(snapshot, &mut attempt).await {
                Err(error @ Error::Unavailable { .. }) => {
                    let error = &error as &dyn std::error::Error;
                    tracing::info!(store = %id, attempt, error, "relocation attempt failed, retrying");
                }
                ended => return ended,
            }
            snapshot = self.repository.read(id).await?.ok_or(Error::StoreNotFound)?;
            match &snapshot.document.phase {
                Phase::Copying(relocation) | Phase::Frozen(relocation) if Some(relocation.attempt) == attempt => {}
                Phase::CuttingOver(relocation) if Some(relocation.attempt) == attempt => {
                    return self.finish(id, relocation.attempt).await;
                }
                // Another gateway continues, or no relocation is needed.
                Phase::Creating
                | Phase::Active
                | Phase::Copying(_)
                | Phase::Frozen(_)
                | Phase::CuttingOver(_)
                | Phase::Deleted { .. } => return Ok(()),
            }
        }
        Err(Error::unavailable("every attempt of the relocation failed"))
    }

    /// Runs one attempt, from the first copy to the end.
    async fn attempt_once(&self, snapshot: Arc<StoreSnapshot>, attempt: &mut Option<u64>) -> Result<()> {
        let id = snapshot.document.id;
        let updated = self
            .repository
            .update_from(snapshot, |document| {
                *attempt = self.policy.begin_relocation(document, self.repository.expiry_base());
                Ok(attempt.is_some())
            })
            .await?;
        let (Some(attempt), Some(Relocation { from, to, .. })) = (*attempt, updated.document.relocation()) else {
            return Ok(());
        };
        tracing::info!(store = %id, attempt, from = location_name(from.class), to = location_name(to.class), "relocating a store");
        let copier = Copier::new(Arc::clone(&self.objects), Arc::clone(&self.clock), &id, from, to);
        let now = self.clock.monotonic();
        let mut running = RelocationRun { relocator: self, id, attempt, copier, began: now, last_heartbeat: now };
        running.pre_copy().await?;
        self.repository.update(id, |document| state_machine::freeze(document, attempt, self.clock.now())).await?;
        if self.policy.toggles.waits_when_frozen {
            self.clock.sleep(RELOCATION_STALENESS + CLOCK_DRIFT_MARGIN).await;
        }
        running.final_sync().await?;
        self.repository.update(id, |document| state_machine::cut_over(document, attempt, self.clock.now())).await?;
        let records = running.copier.copied;
        self.finish(id, attempt).await?;
        tracing::info!(store = %id, attempt, copied = records, "relocated a store");
        Ok(())
    }

    async fn finish(&self, id: StoreId, attempt: u64) -> Result<()> {
        if self.policy.toggles.waits_when_cutting_over {
            self.clock.sleep(RELOCATION_STALENESS + CLOCK_DRIFT_MARGIN).await;
        }
        self.repository.update(id, |document| state_machine::finish(document, attempt, self.clock.now())).await?;
        Ok(())
    }
}

impl RelocationRun<'_> {
    /// Copies while reads and writes continue, until little can be left, and until no gateway has a cached snapshot of
    /// the store as not being relocated: such snapshots would live too long for a short freeze.
    async fn pre_copy(&mut self) -> Result<()> {
        let clock = Arc::clone(&self.relocator.clock);
        for _ in 0..MAX_COPY_PASSES {
            let began = clock.monotonic();
            self.copy_pass().await?;
            if clock.monotonic().saturating_sub(began) < SHORT_PASS_DURATION {
                break;
            }
        }
        let known_to_all = self.began + self.relocator.policy.staleness + CLOCK_DRIFT_MARGIN;
        for _ in 0..MAX_COPY_PASSES {
            let in_doubt_until = self.copier.in_doubt_until;
            let settled_at = in_doubt_until.unwrap_or_default().max(known_to_all);
            while clock.monotonic() < settled_at {
                clock.sleep(settled_at.saturating_sub(clock.monotonic()).min(HEARTBEAT_INTERVAL)).await;
                self.heartbeat().await?;
            }
            // Also copy what was written during that time, so the freeze stays short.
            self.copy_pass().await?;
            if self.copier.in_doubt_until == in_doubt_until {
                return Ok(());
            }
        }
        Err(Error::unavailable("too many copies have an unknown outcome"))
    }

    /// Copies what was written since the last pass, and reconciles deletions since the first.
    async fn final_sync(&mut self) -> Result<()> {
        let in_doubt_until = self.copier.in_doubt_until;
        self.copy_pass().await?;
        let mut after = None;
        loop {
            after = self.copier.reconcile_page(after).await?;
            if after.is_none() {
                break;
            }
        }
        if self.copier.in_doubt_until == in_doubt_until {
            Ok(())
        } else {
            Err(Error::unavailable("a copy may take effect late"))
        }
    }

    async fn copy_pass(&mut self) -> Result<()> {
        let mut after = None;
        loop {
            after = match self.copier.copy_page(after.clone()).await {
                Ok(next) => next,
                // Retry: changes that took effect unseen are copied again.
                Err(Error::Unavailable { .. }) => self.copier.copy_page(after).await?,
                Err(error) => return Err(error),
            };
            self.heartbeat().await?;
            if after.is_none() {
                return Ok(());
            }
        }
    }

    /// Sends a heartbeat periodically. Fails if another attempt has replaced this one.
    async fn heartbeat(&mut self) -> Result<()> {
        let now = self.relocator.clock.monotonic();
        if now.saturating_sub(self.last_heartbeat) < HEARTBEAT_INTERVAL {
            return Ok(());
        }
        self.last_heartbeat = now;
        let Self { relocator, id, attempt, ref copier, .. } = *self;
        let heartbeat =
            |document: &mut Document| state_machine::heartbeat(document, attempt, copier.copied, relocator.clock.now());
        relocator.repository.update(id, heartbeat).await.map(drop)
    }
}

/// Guard that lets this gateway run the store again.
struct RunGuard<'a> {
    relocator: &'a Relocator,
    id: StoreId,
}

impl Drop for RunGuard<'_> {
    fn drop(&mut self) {
        self.relocator.running.lock().remove(&self.id);
    }
}

fn location_name(class: Option<LifecycleClass>) -> String {
    class.map_or_else(|| "permanent".to_owned(), |class| format!("expiring/{}", class.days()))
}

/// Maximum number of concurrent copies.
const MAX_CONCURRENT_COPIES: usize = 16;

/// Age relative to its copy, by the object store's clock, from which a record was surely copied in its current state.
const MIN_AGE_TO_COPY: Duration = Duration::from_secs(2);

/// Time within which a copy of unknown outcome takes effect, if it ever does.
const IN_DOUBT_WINDOW: Duration = Duration::from_mins(1);

/// Copier of one attempt of a relocation.
#[derive(Debug)]
struct Copier {
    objects: Arc<dyn ObjectStore>,
    clock: Arc<dyn Clock>,
    from: String,
    to: String,
    /// Fingerprint of each record when it was copied: hashes, so a million records take a few dozen megabytes.
    copied_versions: HashMap<u128, u64>,
    /// Number of copies so far.
    pub copied: u64,
    /// Time until which a copy of unknown outcome may take effect, by the monotonic clock.
    pub in_doubt_until: Option<Duration>,
}

impl Copier {
    /// Returns a copier of a store's records between two locations, at its start.
    pub fn new(
        objects: Arc<dyn ObjectStore>,
        clock: Arc<dyn Clock>,
        id: &StoreId,
        from: &Location,
        to: &Location,
    ) -> Self {
        Self {
            objects,
            clock,
            from: object_keys::records(id, from),
            to: object_keys::records(id, to),
            copied_versions: HashMap::new(),
            copied: 0,
            in_doubt_until: None,
        }
    }

    /// Copies those records of a page that have changed since the last pass. Returns the last key of the page if
    /// there may be more.
    pub async fn copy_page(&mut self, start_after: Option<String>) -> Result<Option<String>> {
        let page = self.list(&self.from, start_after).await?;
        let changed: Vec<_> = page.objects.iter().filter(|object| !self.is_copied(object)).cloned().collect();
        self.copy(changed).await?;
        Ok(page.objects.into_iter().next_back().map(|object| object.key).filter(|_| page.is_truncated))
    }

    /// Reconciles a page of copies: removes those whose originals are gone, and copies again those not known to match
    /// the original. Returns the last key of the page if there may be more. A copy pass alone does not see
    /// everything:
    ///
    /// ```text
    /// copier  copies k            lists: no k                          lists: k exists, so its copy stays as it is
    /// client            DELETE k               late PUT k (it will not be acknowledged)
    /// ```
    pub async fn reconcile_page(&mut self, start_after: Option<String>) -> Result<Option<String>> {
        let copies = self.list(&self.to, start_after.clone()).await?;
        let Some(last) = copies.objects.last().map(|object| object.key.clone()) else { return Ok(None) };
        let originals = self.originals(start_after.as_deref(), &last).await?;
        let original = |copy: &ListedObject| {
            let suffix = Self::suffix(&copy.key, &self.to);
            originals.binary_search_by(|known| Self::suffix(&known.key, &self.from).cmp(suffix)).ok()
        };
        let (mut orphans, mut unmatched) = (Vec::new(), Vec::new());
        for copy in copies.objects {
            match original(&copy).and_then(|index| originals.get(index)) {
                None => orphans.push(copy.key),
                Some(original) if !self.is_copied(original) => unmatched.push(original.clone()),
                Some(_) => {}
            }
        }
        for batch in orphans.chunks(MAX_DELETE_KEYS) {
            self.objects.delete_many(batch.to_vec()).await?;
        }
        self.copy(unmatched).await?;
        Ok(Some(last).filter(|_| copies.is_truncated))
    }

    /// Lists all originals after the copy `after` up to the copy `last`, in order.
    async fn originals(&self, after: Option<&str>, last: &str) -> Result<Vec<ListedObject>> {
        let last = Self::suffix(last, &self.to);
        let mut found = Vec::new();
        let mut start_after = after.map(|after| [self.from.as_str(), Self::suffix(after, &self.to)].concat());
        loop {
            let page = self.list(&self.from, start_after).await?;
            start_after = page.objects.last().map(|object| object.key.clone()).filter(|_| page.is_truncated);
            for object in page.objects {
                if Self::suffix(&object.key, &self.from) > last {
                    return Ok(found);
                }
                found.push(object);
            }
            if start_after.is_none() {
                return Ok(found);
            }
        }
    }

    /// Returns the part of a record's object key that is the same in both locations.
    fn suffix<'a>(key: &'a str, location: &str) -> &'a str {
        key.strip_prefix(location).unwrap_or_default()
    }

    async fn copy(&mut self, records: Vec<ListedObject>) -> Result<()> {
        let (objects, from, to) = (&self.objects, &self.from, &self.to);
        let copies = stream::iter(records).map(|record| async move {
            let target = [to.as_str(), record.key.strip_prefix(from.as_str()).unwrap_or_default()].concat();
            match objects.copy(&record.key, &target, Precondition::None).await {
                Ok(copy) => Ok(Some((record, copy.last_modified))),
                // Deleted meanwhile, so an earlier copy is obsolete.
                Err(storage::Error::NotFound) => objects.delete(&target, Precondition::None).await.map(|()| None),
                Err(error) => Err(error),
            }
        });
        let mut copies = std::pin::pin!(copies.buffer_unordered(MAX_CONCURRENT_COPIES));
        loop {
            match copies.try_next().await {
                Ok(None) => return Ok(()),
                Ok(Some(None)) => {}
                Ok(Some(Some((record, copied_at)))) => {
                    self.copied += 1;
                    if copied_at.since(record.last_modified) >= MIN_AGE_TO_COPY {
                        self.copied_versions.insert(identity(&record), version(&record));
                    }
                }
                Err(error) => {
                    if matches!(error, storage::Error::Timeout | storage::Error::Unavailable(_)) {
                        self.in_doubt_until = Some(self.clock.monotonic() + IN_DOUBT_WINDOW);
                    }
                    return Err(Error::from(error));
                }
            }
        }
    }

    async fn list(&self, prefix: &str, start_after: Option<String>) -> Result<storage::ListPage> {
        let options = ListOptions { prefix: prefix.to_owned(), start_after, limit: MAX_LIST_KEYS };
        Ok(self.objects.list(options).await?)
    }

    fn is_copied(&self, record: &ListedObject) -> bool {
        self.copied_versions.get(&identity(record)) == Some(&version(record))
    }
}

fn identity(record: &ListedObject) -> u128 {
    xxh3_128(record.key.as_bytes())
}

fn version(record: &ListedObject) -> u64 {
    let validator = record.etag.as_ref().map(ETag::as_str).unwrap_or_default();
    xxh3_64(format!("{validator} {} {}", record.size, record.last_modified.as_millis()).as_bytes())
}
