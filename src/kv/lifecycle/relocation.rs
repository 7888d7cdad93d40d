//! Runs moves: copy, freeze, copy the last differences, switch, finish ([`LifeRules`] has the steps and the reasons).
//! Any number of movers may work on one store; only the one whose attempt is in the document makes progress.

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
            cache::MOVING_STALENESS,
            repository::Documents,
            store_metadata::{Document, Move, Phase, StoreView},
        },
    },
    storage::ObjectStore,
};

use super::{
    copier::Copying,
    state_machine::{self, LifeRules, STALL},
};

/// Maximum number of moves that one gateway runs concurrently.
const CONCURRENT_MOVES: usize = 4;

/// Maximum number of attempts in a row, if each fails.
const MAX_ATTEMPTS: usize = 4;

/// Maximum number of passes before writes are frozen, whatever has changed meanwhile.
const MAX_PASSES: usize = 10;

/// Duration of a pass from which the rest is short enough to freeze writes for.
const SHORT_PASS: Duration = Duration::from_secs(2);

/// Interval between heartbeats of a mover.
const BEAT: Duration = Duration::from_secs(10);

/// Margin on top of the staleness bound: clocks of two machines drift.
const MARGIN: Duration = Duration::from_millis(100);

/// Runs moves.
#[derive(Debug)]
pub struct Mover {
    objects: Arc<dyn ObjectStore>,
    documents: Arc<Documents>,
    rules: Arc<LifeRules>,
    clock: Arc<dyn Clock>,
    carried: Mutex<HashSet<StoreId>>,
    turns: Semaphore,
}

/// A running move.
struct Carried<'a> {
    mover: &'a Mover,
    id: StoreId,
    attempt: u64,
    copying: Copying,
    /// Time at which the attempt was surely in the document, by the monotonic clock.
    began: Duration,
    beaten: Duration,
}

impl Mover {
    /// Returns a mover for the stores in `objects`.
    pub fn new(
        objects: Arc<dyn ObjectStore>,
        documents: Arc<Documents>,
        rules: Arc<LifeRules>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self { objects, documents, rules, clock, carried: Mutex::default(), turns: Semaphore::new(CONCURRENT_MOVES) }
    }

    /// Moves a store that must move, unless another mover is at it. Takes over stalled moves.
    pub async fn carry(&self, id: StoreId) -> Result<()> {
        if !self.lock().insert(id) {
            return Ok(());
        }
        let _carried = Released { mover: self, id };
        let _turn = self.turns.acquire().await.map_err(Error::unavailable)?;
        let Some(view) = self.documents.read(id).await? else { return Ok(()) };
        let now = self.clock.now();
        match &view.document.phase {
            Phase::Live => self.attempt(view).await,
            Phase::Copying(movement) | Phase::Frozen(movement) if now.since(movement.beat) >= STALL => {
                self.attempt(view).await
            }
            Phase::Arriving(movement) if now.since(movement.beat) >= STALL => self.settle(id, movement.attempt).await,
            Phase::Creating | Phase::Copying(_) | Phase::Frozen(_) | Phase::Arriving(_) | Phase::Deleted { .. } => {
                Ok(())
            }
        }
    }

    /// Runs attempts of its own. A failed one is followed by the next at once, since it may have left writes frozen.
    async fn attempt(&self, mut view: Arc<StoreView>) -> Result<()> {
        let id = view.document.id;
        for _ in 0..MAX_ATTEMPTS {
            let mut attempt = None;
            match self.attempt_once(view, &mut attempt).await {
                Err(error @ Error::Unavailable { .. }) => {
                    let error = &error as &dyn std::error::Error;
                    tracing::info!(store = %id, attempt, error, "a move has to begin anew");
                }
                ended => return ended,
            }
            view = self.documents.read(id).await?.ok_or(Error::StoreNotFound)?;
            match &view.document.phase {
                Phase::Copying(movement) | Phase::Frozen(movement) if Some(movement.attempt) == attempt => {}
                Phase::Arriving(movement) if Some(movement.attempt) == attempt => {
                    return self.settle(id, movement.attempt).await;
                }
                // Another mover continues, or no move is needed.
                Phase::Creating
                | Phase::Live
                | Phase::Copying(_)
                | Phase::Frozen(_)
                | Phase::Arriving(_)
                | Phase::Deleted { .. } => return Ok(()),
            }
        }
        Err(Error::unavailable("every attempt failed"))
    }

    /// Runs one attempt, from the first copy to the end.
    async fn attempt_once(&self, view: Arc<StoreView>, attempt: &mut Option<u64>) -> Result<()> {
        let id = view.document.id;
        let copying = self
            .documents
            .update_from(view, |document| {
                *attempt = self.rules.begin_move(document, self.documents.expiry_base());
                Ok(attempt.is_some())
            })
            .await?;
        let (Some(attempt), Some(Move { from, to, .. })) = (*attempt, copying.document.movement()) else {
            return Ok(());
        };
        tracing::info!(store = %id, attempt, from = location_name(from.class), to = location_name(to.class), "moving a store");
        let work = Copying::new(Arc::clone(&self.objects), Arc::clone(&self.clock), &id, from, to);
        let began = self.clock.monotonic();
        let mut carried = Carried { mover: self, id, attempt, copying: work, began, beaten: began };
        carried.copy_ahead().await?;
        self.documents.update(id, |document| state_machine::freeze(document, attempt, self.clock.now())).await?;
        if self.rules.safeguards.waits_when_frozen {
            self.clock.sleep(MOVING_STALENESS + MARGIN).await;
        }
        carried.copy_the_last().await?;
        self.documents.update(id, |document| state_machine::arrive(document, attempt, self.clock.now())).await?;
        let copied = carried.copying.copied;
        self.settle(id, attempt).await?;
        tracing::info!(store = %id, attempt, copied, "moved a store");
        Ok(())
    }

    async fn settle(&self, id: StoreId, attempt: u64) -> Result<()> {
        if self.rules.safeguards.waits_when_arriving {
            self.clock.sleep(MOVING_STALENESS + MARGIN).await;
        }
        self.documents.update(id, |document| state_machine::settle(document, attempt, self.clock.now())).await?;
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, HashSet<StoreId>> {
        self.carried.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Carried<'_> {
    /// Copies while reads and writes continue, until little can be left, and until no gateway has a cached view of
    /// the store as not moving: such views would live too long for a short freeze.
    async fn copy_ahead(&mut self) -> Result<()> {
        let clock = Arc::clone(&self.mover.clock);
        for _ in 0..MAX_PASSES {
            let began = clock.monotonic();
            self.pass().await?;
            if clock.monotonic().saturating_sub(began) < SHORT_PASS {
                break;
            }
        }
        let known_to_all = self.began + self.mover.rules.staleness + MARGIN;
        for _ in 0..MAX_PASSES {
            let doubts = self.copying.doubtful_until;
            let calm = doubts.unwrap_or_default().max(known_to_all);
            while clock.monotonic() < calm {
                clock.sleep(calm.saturating_sub(clock.monotonic()).min(BEAT)).await;
                self.beat().await?;
            }
            // Also copy what was written during that time, so the freeze stays short.
            self.pass().await?;
            if self.copying.doubtful_until == doubts {
                return Ok(());
            }
        }
        Err(Error::unavailable("too many copies are left unanswered"))
    }

    /// Copies what was written since the last pass, and reconciles deletions since the first.
    async fn copy_the_last(&mut self) -> Result<()> {
        let doubts = self.copying.doubtful_until;
        self.pass().await?;
        let mut after = None;
        loop {
            after = self.copying.reconcile_page(after).await?;
            if after.is_none() {
                break;
            }
        }
        if self.copying.doubtful_until == doubts {
            Ok(())
        } else {
            Err(Error::unavailable("a copy may take effect late"))
        }
    }

    async fn pass(&mut self) -> Result<()> {
        let mut after = None;
        loop {
            after = match self.copying.copy_page(after.clone()).await {
                Ok(next) => next,
                // Retry: changes that took effect unseen are copied again.
                Err(Error::Unavailable { .. }) => self.copying.copy_page(after).await?,
                Err(error) => return Err(error),
            };
            self.beat().await?;
            if after.is_none() {
                return Ok(());
            }
        }
    }

    /// Sends a heartbeat periodically. Fails if another attempt has replaced this one.
    async fn beat(&mut self) -> Result<()> {
        let now = self.mover.clock.monotonic();
        if now.saturating_sub(self.beaten) < BEAT {
            return Ok(());
        }
        self.beaten = now;
        let Self { mover, id, attempt, ref copying, .. } = *self;
        let beat = |document: &mut Document| state_machine::beat(document, attempt, copying.copied, mover.clock.now());
        mover.documents.update(id, beat).await.map(drop)
    }
}

/// Releases the store for other movers.
struct Released<'a> {
    mover: &'a Mover,
    id: StoreId,
}

impl Drop for Released<'_> {
    fn drop(&mut self) {
        self.mover.lock().remove(&self.id);
    }
}

fn location_name(class: Option<LifecycleClass>) -> String {
    class.map_or_else(|| "permanent".to_owned(), |class| format!("expiring/{}", class.days()))
}
