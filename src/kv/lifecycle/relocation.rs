//! Runs relocations: pre-copy, freeze, final sync, cutover, finish. The [`state_machine`] has the steps and the reasons.
//!
//! Any number of gateways may work on one store. Only the gateway whose attempt is in the document makes progress: each
//! of its steps, and each heartbeat, is a compare-and-swap that requires this attempt. A gateway runs a store once at a
//! time.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::sync::Semaphore;

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
            repository::StoreRepository,
            store_metadata::{Document, Phase, Relocation, StoreSnapshot},
        },
    },
    storage::ObjectStore,
};

use super::{
    copier::Copier,
    state_machine::{self, LifecyclePolicy, STALL_TIMEOUT},
};

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
        if !self.lock().insert(id) {
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

    fn lock(&self) -> MutexGuard<'_, HashSet<StoreId>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
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
        self.relocator.lock().remove(&self.id);
    }
}

fn location_name(class: Option<LifecycleClass>) -> String {
    class.map_or_else(|| "permanent".to_owned(), |class| format!("expiring/{}", class.days()))
}
